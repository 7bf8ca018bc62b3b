"""Persistent functions that one of our short names hides, since Spark looks up built-in functions first."""

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
    """The hidden functions of all databases that the caller can see, as ``database.function``.

    :param ours: the names of our functions.
    """
    short = _short_names(spark, ours)
    for database in Metastore(spark).databases():
        found = _external(spark).listFunctions(database, "*")
        names = [str(found.apply(i)).lower() for i in range(found.size())]
        yield from (f"{database}.{name}" for name in sorted(names) if name in short)


def warn_of_hidden(spark: SparkSession, function: str, database: str) -> None:
    """Logs, once per function of ours and database, that a call of this name does not reach the persistent function."""
    key = (spark.sparkContext.applicationId, database, function)
    if key in _looked_for or function not in _short_names(spark, [function]):
        return
    # Also if nothing is hidden: otherwise each call in a query would ask the metastore.
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


def _short_names(spark: SparkSession, ours: Iterable[str]) -> set[str]:
    """Those of ``ours`` that are registered without the prefix."""
    listed = setting(spark, "functions")
    wanted = None if listed is None else {name.strip() for name in listed.split(",")}
    return {name for name in ours if wanted is None or name in wanted}


def _external(spark: SparkSession) -> Any:
    return spark._jsparkSession.sharedState().externalCatalog()
