"""sqlext_training_runs(): SHOW TRAINING RUNS of every database as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlext.statements.show_training_runs import ShowTrainingRuns, run_rows
from sqlext.udfs.base import TableFunction, TableRow, every_database

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SqlextTrainingRuns(TableFunction):
    """Returns one row per run, with the columns of SHOW TRAINING RUNS, for all databases that the caller can see."""

    name = "sqlext_training_runs"
    signature = "sqlext_training_runs()"
    usage = "_FUNC_() - Returns one row per training run in all databases."
    examples = """
    Examples:
      > SELECT model, status, phase, rows_done, rows_total FROM _FUNC_() WHERE status = 'RUNNING';
    """
    OUTPUT = ShowTrainingRuns.OUTPUT
    comments = ShowTrainingRuns.COMMENTS

    def rows(self, spark: SparkSession, bound: dict[str, Any]) -> Iterable[TableRow]:
        return every_database(spark, run_rows)
