"""SHOW CREATE MODEL: the statement that makes a version again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlext.grammar.reader import ModelReference, TokenReader
from sqlext.statements.base import Context, ResultRow, Statement, located


@dataclass(frozen=True)
class ShowCreateModel(Statement):
    """``SHOW CREATE MODEL name [VERSION n | ALIAS a]``: running its text again trains the same model."""

    model: ModelReference

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
        return located(self.model.name.offset, lambda: self._text(context))

    def _text(self, context: Context) -> list[ResultRow]:
        from sqlext.training.recreate import statement_of

        version = context.catalog.resolve(context.model_ref(self.model))
        context.catalog.check(version.name, "SELECT")
        return [{"createmodel_stmt": statement_of(context, context.catalog.get(version.name), version)}]
