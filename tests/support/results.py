"""Reads results in tests."""

from __future__ import annotations

from pyspark.sql import Row, SparkSession


def one(spark: SparkSession, sql: str) -> Row:
    """The only row of a query or statement."""
    rows = spark.sql(sql).collect()
    assert len(rows) == 1, rows
    return rows[0]
