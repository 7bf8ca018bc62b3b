"""Persistent functions that a short name of ours hides: Spark looks up built-in functions first."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from pyspark.sql import SparkSession

from sqlext.catalog.metastore import Metastore
from sqlext.settings import setting

logger = logging.getLogger("sqlext")

_looked_for: set[tuple[str, str, str]] = set()  # application, database, function


def hidden_functions(spark: SparkSession, ours: Iterable[str]) -> Iterator[str]:
    """Their names with database, of every database that the caller can see; ``ours`` are the names of our functions."""
    short = _short_names(spark, ours)
    for database in Metastore(spark).databases():
        there = _external(spark).listFunctions(database, "*")
        names = [str(there.apply(i)).lower() for i in range(there.size())]
        yield from (f"{database}.{name}" for name in sorted(names) if name in short)


def warn_of_hidden(spark: SparkSession, function: str, database: str) -> None:
    """Once for a function of ours and database: a persistent function that the call of this name does not reach."""
    key = (spark.sparkContext.applicationId, database, function)
    if key in _looked_for or function not in _short_names(spark, [function]):
        return
    _looked_for.add(key)
    if _external(spark).functionExists(database, function):
        logger.warning(
            "%s() is bigdl-sqlext's and hides the persistent function %s.%s: write that name with its database, or leave "
            "%s out of spark.sqlext.functions",
            function,
            database,
            function,
            function,
        )


def _short_names(spark: SparkSession, ours: Iterable[str]) -> set[str]:
    """Those of ``ours`` that are registered without the prefix."""
    listed = setting(spark, "functions")
    wanted = None if listed is None else {name.strip() for name in listed.split(",")}
    return {name for name in ours if wanted is None or name in wanted}


def _external(spark: SparkSession) -> Any:
    return spark._jsparkSession.sharedState().externalCatalog()
