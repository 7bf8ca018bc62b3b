"""Shared tables and models of the core tests: drawn flowers, the package's small backbone, a model trained once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import Row, SparkSession
from results import one

# Handed out first: two processes share the files, and a long one at the end would leave the other process idle.
LONGEST_FIRST = (
    "test_ants_bees",
    "test_transfer",
    "test_docs",
    "test_recipes",
    "test_train",
    "test_stored_models",
    "test_show_create_model",
    "test_train_options",
    "test_evaluate",
    "test_train_again",
    "test_catalog_crash",
)


def pytest_configure(config: pytest.Config) -> None:
    """pytest-xdist would hand out the files with many tests first, which are the grammar's: quick ones."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="module", autouse=True)
def no_temporary_views_stay() -> Iterator[None]:
    """They belong to the session, not to a database: the next module's tables of the same names would be hidden."""
    yield
    session = SparkSession._instantiatedSession  # the active one may be a clone, with a database that is gone
    for view in session.sql("SHOW VIEWS IN default").collect() if session else ():
        if view.isTemporary:
            session.catalog.dropTempView(view.viewName)  # type: ignore[union-attr]


@pytest.fixture(scope="session")
def flower_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ and val/ with a folder of JPEGs per species."""
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
    """The row that training shop.flowers on images gave (version 1)."""
    return one(
        spark,
        "TRAIN MODEL shop.flowers FROM shop.images FEATURES (image) LABEL species BACKBONE models.small "
        "VALIDATE FROM shop.holdout COMMENT 'flowers of the shop' OPTIONS (epochs = 15, learning_rate = 0.01, batch_size = 16)",
    )
