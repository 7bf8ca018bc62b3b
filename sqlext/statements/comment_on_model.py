"""COMMENT ON MODEL: sets or removes the comment of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sqlext.context import Context, ResultRow
from sqlext.errors import error_at
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import TokenReader
from sqlext.statements.base import CHANGED, Statement, changed


@dataclass(frozen=True)
class CommentOnModel(Statement):
    """``COMMENT ON MODEL name IS ('text' | NULL)``: NULL removes the comment."""

    name: Name
    comment: str | None

    NAME = "COMMENT ON MODEL"
    HEADS = (("COMMENT", "ON", "MODEL"),)
    OUTPUT: ClassVar[Mapping[str, str]] = CHANGED

    @classmethod
    def parse(cls, reader: TokenReader) -> CommentOnModel:
        reader.need("COMMENT", "ON", "MODEL")
        name = reader.name("a model name")
        reader.need("IS")
        comment = None if reader.take("NULL") else reader.string("a comment in quotes, or NULL")
        reader.end("the end of the statement")
        return cls(name, comment)

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.catalog import alter

        name = context.model_name(self.name)
        with error_at(self.name.offset):
            context.catalog.get(name)
            before = alter.set_comment(context.catalog, name, self.comment)
        return [changed(name, "ALTERED", f"the comment was: {before}" if before else None)]
