"""Persistent functions that one of our short names hides, since Spark looks up built-in functions first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger("sqlext")

_looked_for: set[tuple[str, str, str]] = set()  # application, database, function


def hidden_functions(spark: SparkSession) -> Iterator[str]:
    """The hidden functions of all databases that the caller can see, as ``database.function``."""
    from sqlext.catalog import ModelCatalog

    short = _short_names(spark)
    for database in ModelCatalog(spark).metastore.databases():
        found = _external(spark).listFunctions(database, "*")
        names = [str(found.apply(i)).lower() for i in range(found.size())]
        yield from (f"{database}.{name}" for name in sorted(names) if name in short)


def warn_of_hidden(spark: SparkSession, function: str, database: str) -> None:
    """Logs, once per function and database, that a call of this name does not reach the persistent function."""
    key = (spark.sparkContext.applicationId, database, function)
    if key in _looked_for or function not in _short_names(spark):
        return
    _looked_for.add(key)
    if _external(spark).functionExists(database, function):
        logger.warning(
            "%s() is a function of bigdl-sqlext and hides the persistent function %s.%s. To call the persistent one, write "
            "its name with the database, or leave %s out of spark.sqlext.functions",
            function,
            database,
            function,
            function,
        )


def _short_names(spark: SparkSession) -> set[str]:
    from sqlext.settings import setting
    from sqlext.udfs import FUNCTIONS

    listed = setting(spark, "functions")
    wanted = None if listed is None else {name.strip() for name in listed.split(",")}
    return {f.name for f in FUNCTIONS if wanted is None or f.name in wanted}


def _external(spark: SparkSession) -> Any:
    return spark._jsparkSession.sharedState().externalCatalog()
