"""The list of all statements of the language, and the functions that parse and run them.

To add a statement, add a file here, its class in :data:`STATEMENTS`, a page in docs/statements/ and a test;
tests/core/test_layout.py reports any step that is missing. The Scala shim reads the leading words of the statements from
the jar, so run ``make jar`` afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlext.context import Context, ResultRow
from sqlext.errors import error_in
from sqlext.grammar.reader import TokenReader
from sqlext.statements.alter_model import AlterModel
from sqlext.statements.base import Explained, Statement
from sqlext.statements.cancel_training import CancelTraining
from sqlext.statements.comment_on_model import CommentOnModel
from sqlext.statements.create_model import CreateModel
from sqlext.statements.describe_model import DescribeModel
from sqlext.statements.drop_model import DropModel
from sqlext.statements.evaluate_model import EvaluateModel
from sqlext.statements.export_model import ExportModel
from sqlext.statements.import_model import ImportModel
from sqlext.statements.purge_models import PurgeModels
from sqlext.statements.show_create_model import ShowCreateModel
from sqlext.statements.show_model_versions import ShowModelVersions
from sqlext.statements.show_models import ShowModels
from sqlext.statements.show_training_history import ShowTrainingHistory
from sqlext.statements.show_training_runs import ShowTrainingRuns
from sqlext.statements.train_model import TrainModel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STATEMENTS: tuple[type[Statement], ...] = (
    TrainModel,
    CreateModel,
    EvaluateModel,
    ImportModel,
    ExportModel,
    ShowModels,
    ShowModelVersions,
    ShowCreateModel,
    ShowTrainingHistory,
    ShowTrainingRuns,
    CancelTraining,
    AlterModel,
    CommentOnModel,
    PurgeModels,
    DescribeModel,
    DropModel,
)

_EXPLAIN_MODES = ("SIMPLE", "EXTENDED", "FORMATTED")


@dataclass(frozen=True)
class Parsed:
    """What the shim needs to know about a parsed statement. It passes ``payload`` to :func:`run` unchanged."""

    statement: str
    schema: str
    payload: dict[str, Any]
    explained: bool = False


def parse_statement(sql: str) -> Statement:
    """Parses one statement of the language. No session is needed.

    :raises SqlExtError: SYNTAX_ERROR and other errors of the text, with an offset into ``sql``; FEATURE_NOT_AVAILABLE.
    """
    reader = TokenReader(sql)
    statement = read_statement(reader)
    if reader.not_available is not None:
        raise reader.not_available
    return statement


def read_statement(reader: TokenReader) -> Statement:
    """Reads the statement at the reader's position; afterwards the reader has notes on the parts of the statement."""
    heads = [(head, statement) for statement in STATEMENTS for head in statement.HEADS if reader.at(*head)]
    if not heads:
        reader.fail("one of " + ", ".join(statement.NAME for statement in STATEMENTS))
    longest = max(heads, key=lambda match: len(match[0]))
    return longest[1].parse(reader)


def parse(spark: SparkSession, sql: str, explain: str | None = None) -> Parsed:
    """Parses ``sql`` for the shim, while Spark parses the same text.

    :param explain: the mode of the EXPLAIN before the statement; None: there is no EXPLAIN.
    """
    with error_in(sql):
        statement = parse_statement(sql)
    if explain in _EXPLAIN_MODES and isinstance(statement, Explained):
        return Parsed(f"EXPLAIN {statement.NAME}", "`plan` STRING", {"sql": sql, "explain": explain}, explained=True)
    schema = ", ".join(f"`{name}` {kind}" for name, kind in statement.output().items())
    return Parsed(statement.NAME, schema, {"sql": sql})


def run(spark: SparkSession, payload: dict[str, Any]) -> list[ResultRow]:
    """Runs the statement for the shim, when Spark executes its command.

    The text is parsed a second time, which costs 0.2 ms, so that the payload can be plain text.
    """
    sql, explain = payload["sql"], payload.get("explain")
    with error_in(sql):
        return _execute(parse_statement(sql), Context(spark, sql), explain)


def _execute(statement: Statement, context: Context, explain: str | None) -> list[ResultRow]:
    if explain is not None and isinstance(statement, Explained):
        return [{"plan": statement.explain(context, explain)}]
    return statement.run(context)
