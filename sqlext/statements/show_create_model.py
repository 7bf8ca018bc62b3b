"""SHOW CREATE MODEL: the statement that creates a version again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlext.context import Context, ResultRow
from sqlext.errors import error_at
from sqlext.grammar.reader import TokenReader, WrittenModel
from sqlext.statements.base import Statement
from sqlext.training.recreate import statement_of


@dataclass(frozen=True)
class ShowCreateModel(Statement):
    """``SHOW CREATE MODEL name [VERSION n | ALIAS a]``: running the statement in the result creates the same model again."""

    model: WrittenModel

    NAME = "SHOW CREATE MODEL"
    HEADS = (("SHOW", "CREATE", "MODEL"),)
    OUTPUT: ClassVar[dict[str, str]] = {"createmodel_stmt": "STRING"}

    @classmethod
    def parse(cls, reader: TokenReader) -> ShowCreateModel:
        reader.need("SHOW", "CREATE", "MODEL")
        model = reader.model()
        reader.end("VERSION, ALIAS or the end of the statement")
        return cls(model)

    def run(self, context: Context) -> list[ResultRow]:
        with error_at(self.model.name.offset):
            return self._text(context)

    def _text(self, context: Context) -> list[ResultRow]:

        version = context.catalog.resolve(context.model_ref(self.model))
        context.catalog.check(version.name, "SELECT")
        return [{"createmodel_stmt": statement_of(context, context.catalog.get(version.name), version)}]
