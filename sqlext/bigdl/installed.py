"""Whether the session can use BigDL."""

from __future__ import annotations

from pyspark.sql import SparkSession

from sqlext.spark.java_classes import java_classes

_MODULE = "com.intel.analytics.bigdl.dllib.nn.abstractnn.AbstractModule"


def missing(spark: SparkSession) -> str | None:
    """Why this session cannot use BigDL, with the remedy; None if it can."""
    # Spark's own check for a class returns False, while Py4J would raise an exception.
    if java_classes(spark).org.apache.spark.util.Utils.classIsLoadable(_MODULE):
        return None
    return (
        "BigDL's jar is not on the class path of this Spark driver. Run pip install bigdl-dllib-spark3==2.5.0b20240324 in "
        "the Python environment of bigdl-sqlext, and start the session with sqlext.session() or sqlext.configure()."
    )
