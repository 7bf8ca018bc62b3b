"""The paths of this machine, and the name that replaces them in stored files."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from sqlext.catalog import ModelCatalog, ModelEntry
from tests.support.stored import DATABASES, WAREHOUSE, warehouse_of


def warehouse(spark: SparkSession) -> Path:
    return Path(warehouse_of(spark))


def entries(spark: SparkSession) -> list[ModelEntry]:
    return [entry for database in DATABASES for entry in ModelCatalog(spark).list(database)]


def hide_paths(spark: SparkSession) -> None:
    """Replaces the path of the warehouse by WAREHOUSE in manifests and run records. An export lists their checksums, so call it first."""
    here = warehouse(spark)
    for database in DATABASES:
        for file in (here / f"{database}.db").rglob("*.json"):
            text = file.read_text()
            if str(here) in text:
                file.write_text(text.replace(str(here), WAREHOUSE))
