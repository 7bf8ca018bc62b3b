"""CREATE MODEL .. AS query: TRAIN MODEL in a syntax that SQL tools know."""

from __future__ import annotations

from dataclasses import dataclass

from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError
from sqlext.grammar.reader import TokenReader
from sqlext.statements.train_model import TrainModel
from sqlext.training.clauses import read_create


@dataclass(frozen=True)
class CreateModel(TrainModel):
    """``CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name (clause of TRAIN MODEL except FROM) .. AS query | (query)``

    Does the same as TRAIN MODEL .. FROM (query), except that an existing model is an error, as is usual for CREATE.
    """

    NAME = "CREATE MODEL"
    HEADS = (("CREATE", "MODEL"), ("CREATE", "OR", "REPLACE", "MODEL"))

    @classmethod
    def parse(cls, reader: TokenReader) -> CreateModel:
        return cls(read_create(reader))

    def run(self, context: Context) -> list[ResultRow]:
        self._refuse_existing(context)
        return super().run(context)

    def explain(self, context: Context, mode: str) -> str:
        self._refuse_existing(context)
        return super().explain(context, mode)

    def _refuse_existing(self, context: Context) -> None:
        if self.request.replace or self.request.if_not_exists:
            return
        name = context.model_name(self.request.name)
        if context.catalog.find(name) is not None:
            raise SqlExtError("MODEL_ALREADY_EXISTS", model=name, offset=self.request.name.offset)
