"""TRAIN MODEL .. TARGET: results are in the target's units, although BigDL trains on scaled numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from sqlext.bigdl.records import Epoch
from sqlext.catalog import ModelCatalog, ModelRef
from sqlext.networks.head import Head
from sqlext.training.scaling import Scaling, TargetScale, start_weights
from tests.support.results import one

HOUSES = """SELECT area, rooms * 1e-3 AS rooms, 200000 + 400 * (area - 100) + 9000 * rooms + 2000 * randn({seed} + 60) AS price
  FROM (SELECT 100 + 30 * randn({seed}) AS area, randn({seed} + 30) AS rooms FROM range(0, 300, 1, 1))"""


@pytest.fixture(scope="module")
def houses(spark: SparkSession) -> Iterator[str]:
    spark.sql("CREATE DATABASE estate")
    spark.sql("USE estate")
    spark.sql(f"CREATE TABLE houses STORED AS PARQUET AS {HOUSES.format(seed=1)}")
    yield "houses"
    spark.sql("USE default")
    spark.sql("DROP DATABASE estate CASCADE")


@pytest.fixture(scope="module")
def prices(spark: SparkSession, houses: str) -> Row:
    return one(spark, "TRAIN MODEL prices FROM houses FEATURES (area, rooms) TARGET price VALIDATE SPLIT 0.2 TEST 0.1")


def saved(spark: SparkSession, model: str) -> tuple[dict[str, Any], Head, pd.DataFrame]:
    """Manifest, head and held-out rows of a version."""
    catalog = ModelCatalog(spark)
    version = catalog.resolve(ModelRef.parse(model, "estate"))
    head = Head.from_onnx(catalog.read_bytes(version, "head.onnx"))
    return (
        catalog.read_manifest(version),
        head,
        spark.read.parquet(f"{version.model_folder}/held_out.parquet").toPandas(),
    )


def test_result_row(prices: Row) -> None:
    assert (prices.task, prices.classes, prices.metric_name) == ("regression", None, "rmse")
    assert (prices.rows_trained, prices.rows_validated, prices.rows_tested) == (210, 60, 30)
    assert 1500 < prices.metric_value < 2700 < 10_000 < prices.baseline_value
    assert f"rmse {prices.metric_value:.6g} on 60 rows; always predicting the mean " in prices.message


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4, 5))])
def test_large_targets_train_without_options(spark: SparkSession, houses: str, seed: int) -> None:
    row = one(spark, f"TRAIN MODEL seeds FROM ({HOUSES.format(seed=seed)}) FEATURES (area, rooms) TARGET price")
    held_out = saved(spark, f"seeds@{row.version}")[2]
    errors = held_out.target - held_out.predicted_value
    assert 1 - (errors**2).sum() / ((held_out.target - held_out.target.mean()) ** 2).sum() >= 0.95
    assert np.sqrt((errors**2).mean()) == pytest.approx(row.metric_value)


def test_losses_and_files_are_in_the_targets_units(spark: SparkSession, prices: Row, houses: str) -> None:
    manifest, head, held_out = saved(spark, "prices@1")
    assert (manifest["kind"], manifest["task"], manifest["target_column"], manifest["labels"]) == (
        "regressor",
        "regression",
        "price",
        None,
    )
    rows = spark.sql("SELECT area, rooms, price, xxhash64(area, rooms) AS row_hash FROM houses").toPandas()
    value = head.logits(rows[["area", "rooms"]].to_numpy(dtype=np.float32))[:, 0]
    rows["square"] = (value - rows.price) ** 2
    split = rows.merge(held_out, on="row_hash", how="left")
    assert np.allclose(split.predicted_value.dropna(), value[split.predicted_value.notna()], rtol=1e-5)
    assert split[split.split.isna()].square.mean() == pytest.approx(prices.loss, rel=1e-3)
    assert split[split.split == "validation"].square.mean() == pytest.approx(prices.val_loss, rel=1e-3)
    history = spark.sql("SELECT * FROM prices WHERE version = 1 ORDER BY epoch").collect()
    assert {r.metric_name for r in history} == {"rmse"}
    assert history[prices.best_epoch - 1].metric_value == pytest.approx(prices.metric_value, rel=1e-4)


def test_warm_start_and_promotion(spark: SparkSession, prices: Row) -> None:
    row = one(
        spark,
        "TRAIN MODEL prices FROM houses FEATURES (area, rooms) TARGET price VALIDATE SPLIT 0.2 TEST 0.1 OPTIONS (metric = 'r2', "
        "promote = 'never', warm_start = 'prices@1', epochs = 1, early_stop = false, learning_rate = 1e-9, standardize = false)",
    )
    assert row.loss == pytest.approx(prices.loss, rel=1e-4)  # the same function, in spite of another scaling
    assert 0.9 < row.metric_value < 1
    assert not row.is_default
    assert row.message.startswith("default stays 1: promote = 'never' (ALTER MODEL")
    assert "ALTER MODEL estate.prices SET DEFAULT VERSION LATEST" in row.message
    worse = one(
        spark,
        "TRAIN MODEL prices FROM houses FEATURES (rooms) TARGET price OPTIONS (promote = 'if_better', epochs = 2, min_loss = 1e12)",
    )
    assert worse.message.startswith(
        "default stays 1: version 1 scores "
    )  # the default has other features, which are computed again for these rows
    assert "ended by min_loss after epoch 1" in worse.message
    with pytest.raises(AnalysisException, match="MODEL_KIND_MISMATCH"):
        spark.sql("TRAIN MODEL prices FROM houses FEATURES (rooms) LABEL area")


def test_nan_and_null_targets_are_skipped_and_listed(spark: SparkSession, houses: str) -> None:
    spark.sql(
        "CREATE TABLE odd AS SELECT area, price FROM houses UNION ALL SELECT 1.0D, double('NaN') UNION ALL SELECT 1.0D, NULL"
    )
    row = one(spark, "TRAIN MODEL odd_prices FROM odd TARGET price OPTIONS (epochs = 1)")
    assert row.rows_skipped == 2
    assert spark.sql(row.message[row.message.index("SELECT") :]).count() == 2


def test_scaling_folds_and_unfolds() -> None:
    random = np.random.default_rng(1)
    target = TargetScale(200_000.0, 30_000.0)
    weights = [random.normal(size=s).astype(np.float32) for s in ((4, 3), (4,), (1, 4), (1,))]
    mean, std = random.normal(size=3).astype(np.float32), np.array([1, 2, 4], dtype=np.float32)
    x = random.normal(size=(5, 3)).astype(np.float32)
    scaled = Head(tuple(weights), mean, std).logits(x)
    own = Head(tuple(target.fold(weights)), mean, std)
    assert own.logits(x) == pytest.approx(scaled * target.std + target.mean, rel=1e-6)
    again = start_weights(own, Scaling(target=TargetScale(100_000.0, 7_000.0)))
    assert Head(tuple(again)).logits(x) * 7_000 + 100_000 == pytest.approx(own.logits(x), rel=1e-5)


def test_epochs_are_converted_to_the_targets_units() -> None:
    from datetime import UTC, datetime

    epoch = TargetScale(5.0, 10.0).in_units(Epoch(1, 4, 0.5, None, 0.7, 0.1, 10.0, datetime.now(UTC)))
    assert (epoch.loss, epoch.val_loss, epoch.metric_value) == (50.0, None, 7.0)
