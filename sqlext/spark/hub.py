"""The Scala object Hub of the driver, and the scoring steps that its rules recognise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyspark.sql import Column, SparkSession
from pyspark.sql.column import _to_java_column, _to_seq


def hub(spark: SparkSession) -> Any:
    """The Scala object Hub in the driver of ``spark``."""
    return spark._jvm.org.apache.spark.sql.sqlext.Hub  # type: ignore[union-attr]


def register_udf(spark: SparkSession, key: str, udf: Any) -> None:
    """Registers a pandas UDF with the shim as ``key``, for the steps of a binding; replaces the UDF with the same key."""
    function = getattr(udf, "_unwrapped", udf)  # pandas_udf() returns a plain function that holds the object
    hub(spark).registerUdf(key, function._judf)


def scored_column(spark: SparkSession, key: str, arguments: Iterable[Column]) -> Column:
    """The registered UDF ``key`` applied to columns, as a scoring step that the shim's rules recognise."""
    columns = _to_seq(spark.sparkContext, arguments, _to_java_column)  # type: ignore[arg-type]
    return Column(hub(spark).scored(key, columns))
