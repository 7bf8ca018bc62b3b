"""The Scala object Hub of the driver, and the scoring steps that its rules know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyspark.sql import Column, SparkSession
from pyspark.sql.column import _to_java_column, _to_seq


def hub(spark: SparkSession) -> Any:
    """The Scala object Hub in the driver of ``spark``."""
    return spark._jvm.org.apache.spark.sql.sqlext.Hub  # type: ignore[union-attr]


def register_udf(spark: SparkSession, key: str, udf: Any) -> None:
    """Makes a pandas UDF known to the shim as ``key``, for the steps of a binding. The same key replaces."""
    function = getattr(udf, "_unwrapped", udf)  # pandas_udf() returns a plain function that carries the object
    hub(spark).registerUdf(key, function._judf)


def scored_column(spark: SparkSession, key: str, arguments: Iterable[Column]) -> Column:
    """The registered UDF ``key`` over columns, as a scoring step that the shim's rules know."""
    columns = _to_seq(spark.sparkContext, arguments, _to_java_column)  # type: ignore[arg-type]
    return Column(hub(spark).scored(key, columns))
