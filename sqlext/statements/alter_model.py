"""ALTER MODEL: changes the name, default version, aliases or properties of a model, or removes versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError, error_at
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import TokenReader
from sqlext.statements._alterations import ALTERATIONS, Alteration
from sqlext.statements.base import CHANGED, Statement, changed

ALTERATION_FORMS = ", ".join(" ".join(kind.WORDS) for kind in ALTERATIONS)
_MISSING = ("MODEL_NOT_FOUND", "DATABASE_NOT_FOUND")


@dataclass(frozen=True)
class AlterModel(Statement):
    """``ALTER MODEL [IF EXISTS] name (RENAME TO name | SET DEFAULT VERSION (n | LATEST) | SET ALIAS a = n | UNSET ALIAS a
    | SET PROPERTIES (..) | UNSET PROPERTIES [IF EXISTS] (key, ..) | DROP VERSION n | PURGE [KEEP n VERSIONS] [OLDER THAN n DAYS])``
    """

    name: Name
    if_exists: bool
    alteration: Alteration

    NAME = "ALTER MODEL"
    HEADS = (("ALTER", "MODEL"),)
    OUTPUT: ClassVar[Mapping[str, str]] = CHANGED

    @classmethod
    def parse(cls, reader: TokenReader) -> AlterModel:
        reader.need("ALTER", "MODEL")
        if_exists = reader.take("IF", "EXISTS")
        name = reader.name("a model name")
        for kind in ALTERATIONS:
            if reader.take(*kind.WORDS):
                alteration = kind.read(reader)
                reader.end("the end of the statement")
                return cls(name, if_exists, alteration)
        reader.fail(f"one of {ALTERATION_FORMS}")

    def run(self, context: Context) -> list[ResultRow]:
        name = context.model_name(self.name)
        try:
            with error_at(self.name.offset):
                entry = context.catalog.get(name)
        except SqlExtError as error:
            if not (self.if_exists and error.error_class in _MISSING):
                raise
            return [changed(name, "NOT_FOUND", "nothing to alter")]
        with error_at(self.alteration.offset):
            return self.alteration.run(context, entry)
