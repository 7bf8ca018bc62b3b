"""CREATE MODEL .. AS query: TRAIN MODEL in the words that tools know."""

from __future__ import annotations

from sqlext.errors import SqlExtError
from sqlext.grammar.reader import Source, TokenReader
from sqlext.statements.base import Context, ResultRow
from sqlext.statements.train_model import TrainModel
from sqlext.training.clauses import Clauses, read_clauses


class CreateModel(TrainModel):
    """``CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name (clause of TRAIN MODEL but FROM) .. AS query | (query)``

    What TRAIN MODEL .. FROM (query) does, but for a name that is there: SQL's CREATE makes a new thing or says that it
    exists.
    """

    NAME = "CREATE MODEL"
    HEADS = (("CREATE", "MODEL"), ("CREATE", "OR", "REPLACE", "MODEL"))

    @classmethod
    def parse(cls, reader: TokenReader) -> CreateModel:
        creation, clauses = reader.creation("CREATE"), Clauses()
        read_clauses(reader, clauses, ends=lambda r: r.at("AS"))
        if not reader.take("AS"):
            reader.fail(f"AS and the query that gives the rows of CREATE MODEL {creation.name}")
        clauses.source = _query(reader)
        return cls.of(creation, clauses, reader)

    def run(self, context: Context) -> list[ResultRow]:
        self._refuse_existing(context)
        return super().run(context)

    def explain(self, context: Context, mode: str) -> str:
        self._refuse_existing(context)
        return super().explain(context, mode)

    def _refuse_existing(self, context: Context) -> None:
        if self.replace or self.if_not_exists:
            return
        name = context.model_name(self.name)
        if context.catalog.find(name) is not None:
            raise SqlExtError("MODEL_ALREADY_EXISTS", model=name, offset=self.name.offset)


def _query(reader: TokenReader) -> Source:
    """The rest of the statement, as it can stand behind FROM."""
    offset = reader.offset
    text = reader.rest("a query")
    if _is_parenthesised(text):
        return Source(text, text, offset, is_query=True)
    # The parenthesis that FROM needs stands where the blank before the query is, so that positions stay right.
    return Source(f"({text})", f"({text})", offset - 1, is_query=True)


def _is_parenthesised(text: str) -> bool:
    """Whether one pair of parentheses holds all of it: (SELECT 1) UNION (SELECT 2) is no such text."""
    inner = TokenReader(text)
    if not inner.at("("):
        return False
    inner.parenthesised()
    return inner.done
