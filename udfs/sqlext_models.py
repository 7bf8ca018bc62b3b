"""sqlext_models(): SHOW MODELS of every database as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlext.statements.show_models import ShowModels, model_rows
from sqlext.udfs.base import TableFunction, TableRow, every_database

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SqlextModels(TableFunction):
    """Returns one row per model, with the columns of SHOW MODELS, for all databases that the caller can see."""

    name = "sqlext_models"
    signature = "sqlext_models()"
    usage = "_FUNC_() - Returns one row per model in all databases."
    examples = """
    Examples:
      > SELECT namespace, model, metric_value FROM _FUNC_() WHERE kind = 'classifier';
    """
    OUTPUT = ShowModels.OUTPUT
    comments = ShowModels.COMMENTS

    def rows(self, spark: SparkSession, bound: dict[str, Any]) -> Iterable[TableRow]:
        return every_database(spark, model_rows)
