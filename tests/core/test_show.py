"""SHOW statements on one model with two versions: columns, orders, runs that failed or still run."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from sqlext.catalog import ModelCatalog, ModelName, RunStore
from sqlext.statements.show_model_versions import ShowModelVersions
from sqlext.statements.show_training_history import ShowTrainingHistory
from sqlext.statements.show_training_runs import ShowTrainingRuns
from tests.support.results import one

TRAIN = "TRAIN MODEL shown.m FROM shown.t LABEL y COMMENT 'why' OPTIONS (epochs = 3, learning_rate = 0.05)"


@pytest.fixture(scope="module")
def trained(spark: SparkSession) -> Iterator[list[Row]]:
    """Database `shown`: m with versions 1 and 2 of three epochs each, an alias, and a run that failed."""
    spark.sql("CREATE DATABASE shown")
    spark.sql("CREATE TABLE shown.t AS SELECT array(1.0D * (id % 2), 1e-3 * id) AS x, id % 2 AS y FROM range(40)")
    rows = [one(spark, TRAIN), one(spark, TRAIN)]
    ModelCatalog(spark).set_alias(ModelName("shown", "m"), "Prod", 1)
    with pytest.raises(AnalysisException, match="NO_ROWS"):
        spark.sql("TRAIN MODEL shown.bad FROM (SELECT x, CAST(NULL AS INT) AS y FROM shown.t) LABEL y")
    yield rows
    spark.sql("DROP DATABASE shown CASCADE")


def test_show_model_versions(spark: SparkSession, trained: list[Row]) -> None:
    rows = spark.sql("SHOW MODEL VERSIONS shown.m").collect()
    assert tuple(rows[0].asDict()) == tuple(ShowModelVersions.OUTPUT)
    newest, oldest = rows
    assert (newest.namespace, newest.model, newest.version, oldest.version) == ("shown", "m", 2, 1)
    assert (newest.aliases, oldest.aliases) == ([], ["prod"])
    assert (newest.is_default, oldest.is_default, newest.is_pinned) == (True, False, False)
    assert [r.run_id for r in rows] == [trained[1].run_id, trained[0].run_id]
    assert (newest.source, newest.statement, newest.comment) == ("shown.t", TRAIN, "why")
    assert newest.validated_on.startswith("shown.t VALIDATE SPLIT 0.2 SEED")
    for column in ("rows_trained", "rows_validated", "rows_skipped", "classes", "metric_name"):
        assert newest[column] == trained[1][column], column
    assert newest.metric_value == pytest.approx(trained[1].metric_value)
    assert newest.baseline_value == pytest.approx(trained[1].baseline_value)
    assert newest.size_bytes > 0
    assert newest.created_at > oldest.created_at


def test_show_training_history(spark: SparkSession, trained: list[Row]) -> None:
    rows = spark.sql("SHOW TRAINING HISTORY FOR MODEL shown.m ALIAS prod").collect()
    assert tuple(rows[0].asDict()) == tuple(ShowTrainingHistory.OUTPUT)
    assert [(r.version, r.run_id, r.epoch) for r in rows] == [(1, trained[0].run_id, e) for e in (1, 2, 3)]
    table = spark.sql("SELECT * FROM shown.m WHERE version = 1 ORDER BY epoch").collect()
    common = [c for c in ShowTrainingHistory.OUTPUT if c not in ("namespace", "model", "version")]
    assert [[r[c] for c in common] for r in rows] == [[t[c] for c in common] for t in table]
    run = spark.sql(f"SHOW TRAINING HISTORY RUN '{trained[1].run_id}'").collect()
    default = spark.sql("SHOW TRAINING HISTORY MODEL shown.m").collect()
    assert [(r.version, r.epoch, r.loss) for r in run] == [(2, r.epoch, r.loss) for r in default]
    assert all(abs((a.recorded_at - b.recorded_at).total_seconds()) < 1 for a, b in zip(run, default, strict=True))
    with pytest.raises(AnalysisException, match=r"(?s)RUN_NOT_FOUND.*line 1 pos 26"):
        spark.sql("SHOW TRAINING HISTORY RUN 'nowhere'")


def test_show_training_runs(spark: SparkSession, trained: list[Row]) -> None:
    rows = spark.sql("SHOW TRAINING RUNS IN shown").collect()
    assert tuple(rows[0].asDict()) == tuple(ShowTrainingRuns.OUTPUT)
    assert [(r.model, r.version, r.status) for r in rows] == [
        ("bad", None, "FAILED"),
        ("m", 2, "READY"),
        ("m", 1, "READY"),
    ]
    failed, ready = rows[0], rows[1]
    assert "does not have the rows that the statement needs" in failed.error
    assert (ready.run_id, ready.statement, ready.epoch, ready.epochs) == (trained[1].run_id, TRAIN, 3, 3)
    assert (ready.error, json.loads(ready.options)["learning_rate"]) == (None, 0.05)
    assert ready.started_at < ready.finished_at <= ready.updated_at
    assert ready.metric_value == pytest.approx(trained[1].metric_value)
    assert [r.model for r in spark.sql("SHOW TRAINING RUNS FROM shown FOR MODEL bad").collect()] == ["bad"]
    assert spark.sql("SHOW TRAINING RUNS FOR MODEL shown.nobody").collect() == []
    with pytest.raises(AnalysisException, match=r"(?s)DATABASE_NOT_FOUND.*line 1 pos 22"):
        spark.sql("SHOW TRAINING RUNS IN nowhere")


def test_a_run_is_seen_while_it_runs(spark: SparkSession, trained: list[Row]) -> None:
    """As another session sees it: all that it knows is the run's file."""
    store, other = RunStore(spark), spark.newSession()
    run = store.start(ModelName("shown", "m"), epochs=9)
    try:
        store.update(run.run_id, phase="training", rows_done=5, rows_total=50)
        store.record_epoch(run.run_id, {"epoch": 1, "loss": 0.5, "recorded_at": "2024-05-06T07:08:09+00:00"})
        store.update(run.run_id, phase="checking")  # a new phase is on disk at once
        row = other.sql("SHOW TRAINING RUNS IN shown FOR MODEL m").first()
        assert (row.run_id, row.status, row.phase, row.epoch, row.loss) == (run.run_id, "RUNNING", "checking", 1, 0.5)
        history = other.sql(f"SHOW TRAINING HISTORY FOR RUN '{run.run_id}'").collect()
        assert [(h.model, h.version, h.epoch, h.loss) for h in history] == [("m", None, 1, 0.5)]
    finally:
        store.finish(run.run_id, "CANCELLED")
