"""A session beside the caller's, with its temporary views and settings, that nothing the caller does later disturbs."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession

from sqlext.statements.base import Context


def beside(context: Context, sql: str | None = None, namespace: str | None = None) -> Context:
    """The context of a cloned session.

    :param sql: the statement's text there; default: the same.
    :param namespace: the current database there; default, and where it is gone: the same.
    """
    original: Any = context.spark._jsparkSession
    spark = SparkSession(context.spark.sparkContext, original.cloneSession())
    if namespace is not None and spark._jsparkSession.sessionState().catalog().databaseExists(namespace):
        spark.catalog.setCurrentDatabase(namespace)
    return Context(spark, context.sql if sql is None else sql)
