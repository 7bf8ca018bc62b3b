"""Shared tables and models of the core tests: drawn flowers, the package's small backbone, a model trained once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import Row, SparkSession

from tests.support.results import one


@pytest.fixture(scope="module", autouse=True)
def drop_temporary_views() -> Iterator[None]:
    """Temporary views belong to the session, so they would hide tables of the same names in the next module."""
    yield
    session = SparkSession._instantiatedSession  # the active session may be a clone whose database was dropped
    for view in session.sql("SHOW VIEWS IN default").collect() if session else ():
        if view.isTemporary:
            session.catalog.dropTempView(view.viewName)  # type: ignore[union-attr]


@pytest.fixture(scope="session")
def flower_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with train/ and val/, each with one folder of JPEGs per species."""
    from sqlext.cli.demo_images import write_flowers

    folder = tmp_path_factory.mktemp("flowers")
    write_flowers(folder, train=16, validation=8)
    return folder


@pytest.fixture(scope="session")
def shop(spark: SparkSession, flower_files: Path) -> str:
    """Database `shop`: images (80 rows), holdout (40 rows), emb (embeddings of both); backbone models.small."""
    spark.sql("CREATE DATABASE shop")
    spark.sql("CREATE DATABASE IF NOT EXISTS models")
    for table, part in (("images", "train"), ("holdout", "val")):
        spark.sql(
            f"CREATE TABLE shop.{table} STORED AS PARQUET AS SELECT element_at(split(path, '/'), -1) AS id, content AS image, "
            f"element_at(split(path, '/'), -2) AS species FROM binaryFile.`{flower_files}/{part}/*`"
        )
    spark.sql("IMPORT MODEL models.small FROM 'sqlext:small' FORMAT ONNX")
    spark.sql(
        "CREATE TABLE shop.emb STORED AS PARQUET AS SELECT id, species, embed('models.small', image) AS features, true AS train "
        "FROM shop.images UNION ALL SELECT id, species, embed('models.small', image), false FROM shop.holdout"
    )
    return "shop"


@pytest.fixture(scope="session")
def flowers(spark: SparkSession, shop: str) -> Row:
    """Trains shop.flowers on images and returns the result row (version 1)."""
    return one(
        spark,
        "TRAIN MODEL shop.flowers FROM shop.images FEATURES (image) LABEL species BACKBONE models.small "
        "VALIDATE FROM shop.holdout COMMENT 'flowers of the shop' OPTIONS (epochs = 15, learning_rate = 0.01, batch_size = 16)",
    )
