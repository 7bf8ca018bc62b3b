"""The statements of the language: the one list, and the way from text to rows.

To add one: a file here, its class in :data:`STATEMENTS`, a page in docs/statements/, a test. tests/core/test_layout.py
says what was forgotten. The shim reads the leading words from the jar, so run ``make jar`` afterwards.
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
    """What the shim needs of a parsed statement; ``payload`` comes back to :func:`run`."""

    statement: str
    schema: str
    payload: dict[str, Any]
    explained: bool = False


def parse_statement(sql: str) -> Statement:
    """Parses one statement of ours without a session.

    :raises SqlExtError: SYNTAX_ERROR and its kin, with an offset into ``sql``; FEATURE_NOT_AVAILABLE.
    """
    reader = TokenReader(sql)
    statement = read_statement(reader)
    if reader.not_available is not None:
        raise reader.not_available
    return statement


def read_statement(reader: TokenReader) -> Statement:
    """The statement that ``reader`` stands before; the reader then knows its parts."""
    heads = [(head, statement) for statement in STATEMENTS for head in statement.HEADS if reader.at(*head)]
    if not heads:
        reader.fail("one of " + ", ".join(statement.NAME for statement in STATEMENTS))
    longest = max(heads, key=lambda match: len(match[0]))
    return longest[1].parse(reader)


def parse(spark: SparkSession, sql: str, explain: str | None = None) -> Parsed:
    """Called by the shim while Spark parses ``sql``; ``explain`` is the mode of the EXPLAIN before it."""
    with error_in(sql):
        statement = parse_statement(sql)
    if explain in _EXPLAIN_MODES and isinstance(statement, Explained):
        return Parsed(f"EXPLAIN {statement.NAME}", "`plan` STRING", {"sql": sql, "explain": explain}, explained=True)
    schema = ", ".join(f"`{name}` {kind}" for name, kind in statement.output().items())
    return Parsed(statement.NAME, schema, {"sql": sql})


def run(spark: SparkSession, payload: dict[str, Any]) -> list[ResultRow]:
    """Called by the shim when the statement's command runs. Parsing again costs 0.2 ms and keeps the payload plain text."""
    sql, explain = payload["sql"], payload.get("explain")
    with error_in(sql):
        return _carry_out(parse_statement(sql), Context(spark, sql), explain)


def _carry_out(statement: Statement, context: Context, explain: str | None) -> list[ResultRow]:
    if explain is not None and isinstance(statement, Explained):
        return [{"plan": statement.explain(context, explain)}]
    return statement.run(context)
