"""sqlext_model_versions(): SHOW MODEL VERSIONS of every model as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlext.context import Context
from sqlext.errors import SqlExtError
from sqlext.statements.show_model_versions import ShowModelVersions, version_rows
from sqlext.udfs.base import TableFunction, TableRow, every_database

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SqlextModelVersions(TableFunction):
    """Returns one row per version, with the columns of SHOW MODEL VERSIONS, for every model that the caller may SELECT."""

    name = "sqlext_model_versions"
    signature = "sqlext_model_versions()"
    usage = "_FUNC_() - Returns one row per model version in all databases."
    examples = """
    Examples:
      > SELECT namespace, model, version, metric_value FROM _FUNC_() WHERE is_default;
    """
    OUTPUT = ShowModelVersions.OUTPUT
    comments = ShowModelVersions.COMMENTS

    def rows(self, spark: SparkSession, bound: dict[str, Any]) -> Iterable[TableRow]:
        return every_database(spark, _of_database)


def _of_database(context: Context, database: str) -> Iterable[TableRow]:
    for entry in context.catalog.list(database):
        try:
            context.catalog.check(entry.name, "SELECT")
        except SqlExtError:
            continue  # models without the right SELECT are left out, as SHOW TABLES leaves out tables that rights hide
        yield from version_rows(context, entry)
