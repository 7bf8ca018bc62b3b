"""What ``sqlext serve`` prepares before clients connect, and what its readiness line says."""

from __future__ import annotations

import logging

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sqlext.settings import backbone_of_settings, setting
from sqlext.udfs import comments_of

logger = logging.getLogger("sqlext")

DATABASE = "sqlext"
VIEWS = {
    "models": "sqlext_models",
    "model_versions": "sqlext_model_versions",
    "training_runs": "sqlext_training_runs",
}


def prepare(spark: SparkSession) -> str:
    """Creates the views; returns what an administrator should see: the default backbone and the folders that SQL may use."""
    make_views(spark)
    backbone, _ = backbone_of_settings(spark)
    folders = setting(spark, "allowedPaths")
    paths = ", ".join(folder.removeprefix("file:") for folder in folders.split(",")) if folders else "all folders"
    return f"default backbone {backbone}; IMPORT, EXPORT and read_image may use {paths}"


def make_views(spark: SparkSession) -> None:
    """Creates the views of :data:`VIEWS` in the database `sqlext` if they are missing and this server is allowed to."""
    try:
        spark.sql(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        for view, function in VIEWS.items():
            spark.sql(
                f"CREATE VIEW IF NOT EXISTS {DATABASE}.{view} {comments_of(function)} AS SELECT * FROM {function}()"
            )
    except PySparkException as error:
        logger.warning("The views of database %s were not created: %s", DATABASE, str(error).partition("\n")[0])
