"""TUNE: trials on the same rows, each a separate run, of which the best is published."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from sqlext.catalog import ModelCatalog, ModelRef, RunStore
from sqlext.training.background import take_submitted
from tests.support.event_files import scalars
from tests.support.results import one


@pytest.fixture(scope="module")
def db(spark: SparkSession) -> Iterator[str]:
    """Database `tuned` with t: 60 rows of two classes that a line separates."""
    spark.sql("CREATE DATABASE tuned")
    spark.sql("CREATE TABLE tuned.t AS SELECT id, array(1.0D * (id % 2), 1e-3 * id) AS x, id % 2 AS y FROM range(60)")
    yield "tuned"
    spark.sql("DROP DATABASE tuned CASCADE")


def test_the_best_trial_is_published_and_all_are_runs(spark: SparkSession, db: str, tmp_path: Path) -> None:
    read = tmp_path / "read"

    def counted(id: int) -> int:
        with read.open("a") as file:
            file.write("x")
        return id

    spark.udf.register("counted", counted, "bigint")
    source = f"(SELECT transform(x, v -> IF(counted IS NULL, 0, v)) AS x, y FROM (SELECT x, y, counted(id) AS counted FROM {db}.t))"
    options = f"epochs = 2, early_stop = false, tensorboard = '{(tmp_path / 'board').as_uri()}'"
    validate = "VALIDATE SPLIT 0.2 TEST 0.1 SEED 3"
    one(spark, f"TRAIN MODEL {db}.single FROM {source} LABEL y {validate} OPTIONS ({options})")
    once = len(read.read_text())
    row = one(
        spark,
        f"TRAIN MODEL {db}.m FROM {source} LABEL y {validate} OPTIONS ({options}) "
        "TUNE (class_weights IN ('auto', '{\"0\": 1}'), learning_rate IN (1e-9, 0.3)) MINIMIZE log_loss",
    )
    assert len(read.read_text()) == 2 * once  # all trials together read the rows once
    assert (row.version, row.status, row.rows_trained, row.rows_validated, row.rows_tested) == (1, "READY", 42, 12, 6)
    assert "best of 4 trials by log_loss" in row.message
    assert "): class_weights = 'auto', learning_rate = 0.3; 2 failed, the first with class_weights = " in row.message
    runs = [run for run in RunStore(spark).list(db) if run.model == "m"]
    best = next(run for run in runs if run.run_id == row.run_id)
    assert sorted((run.status, run.version) for run in runs if run is not best) == [
        ("FAILED", None),
        ("FAILED", None),
        ("READY", None),
    ]
    assert (best.status, best.version) == ("READY", 1)
    assert "a weight for each label" in str(next(run for run in runs if run.status == "FAILED").error)
    rates = {run.run_id: json.loads(str(run.options))["learning_rate"] for run in runs}
    assert sorted(rates.values()) == [1e-9, 1e-9, 0.3, 0.3]
    assert rates[row.run_id] == 0.3
    manifest = ModelCatalog(spark).read_manifest(ModelCatalog(spark).resolve(ModelRef.parse(f"{db}.m", "default")))
    assert manifest["training"]["options"]["learning_rate"] == 0.3
    written = scalars(tmp_path / "board" / f"{db}.m-{row.run_id}")
    history = spark.sql(f"SELECT epoch, loss, val_loss FROM {db}.m ORDER BY epoch").collect()
    assert {"loss", "val_loss", "accuracy", "learning_rate"} == set(written)
    assert [step for step, _ in written["loss"]] == [r.epoch for r in history] == [1, 2]
    assert [value for _, value in written["loss"]] == pytest.approx([r.loss for r in history], rel=1e-6)
    assert [value for _, value in written["val_loss"]] == pytest.approx([r.val_loss for r in history], rel=1e-6)
    shown = one(spark, f"SHOW CREATE MODEL {db}.m").createmodel_stmt
    assert "TUNE" not in shown and "learning_rate = 0.3" in shown and "class_weights = 'auto'" in shown
    again = one(spark, shown)
    assert (again.version, again.rows_trained, again.rows_tested) == (2, 42, 6)
    assert (again.loss, again.val_loss) == pytest.approx((row.loss, row.val_loss), abs=1e-6)
    text = one(spark, f"EXPLAIN TRAIN MODEL {db}.m FROM {db}.t FEATURES x LABEL y TUNE (epochs IN (1, 2))").plan
    assert "2 trials, the one with the highest accuracy is published: epochs = 1; epochs = 2" in text


def test_nothing_is_published_when_none_succeeds_or_one_is_cancelled(spark: SparkSession, db: str) -> None:
    train = f"TRAIN MODEL {db}.none FROM {db}.t FEATURES x LABEL y"
    with pytest.raises(AnalysisException, match="TUNE_FAILED.*a weight for each label"):
        spark.sql(f"{train} TUNE (class_weights IN ('{{\"0\": 1}}'))")
    with pytest.raises(AnalysisException, match="INVALID_TUNE.*VALIDATE NONE") as caught:
        spark.sql(f"{train} VALIDATE NONE TUNE (epochs IN (1))")
    assert "line 1 pos" in str(caught.value)
    row = one(spark, f"{train} TUNE (epochs IN (1, 1000000, 2)) OPTIONS (async = true, early_stop = false)")
    store, end = RunStore(spark), time.monotonic() + 120
    while (
        len(runs := [r for r in store.list(db) if r.model == "none" and r.status != "FAILED"]) < 2 or not runs[0].epoch
    ):
        assert time.monotonic() < end, runs
        time.sleep(0.2)
    store.request_cancel(runs[0].run_id)
    (submitted,) = [run for run in take_submitted() if run.run_id == row.run_id]
    assert submitted.ended.wait(60)
    assert submitted.error is not None and "cancelled" in submitted.error
    assert [r.status for r in store.list(db) if r.model == "none"] == ["CANCELLED", "CANCELLED", "FAILED"]
    with pytest.raises(AnalysisException, match="MODEL_NOT_FOUND"):
        spark.sql(f"DESCRIBE MODEL {db}.none")


def test_a_folder_for_tensorboard_is_checked_before_any_job(spark: SparkSession, db: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    option = f"tensorboard = '{(tmp_path / 'taken').as_uri()}'"
    with pytest.raises(AnalysisException, match="taken is a file") as caught:
        spark.sql(f"TRAIN MODEL {db}.never FROM {db}.t FEATURES x LABEL y OPTIONS ({option})")
    assert "line 1 pos" in str(caught.value)
