"""Training runs as other connections see them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sqlext.catalog import ModelName, RunStore
from sqlext.errors import SqlExtError
from tests.support.catalog_models import local


@pytest.fixture
def store(spark: SparkSession, database: str) -> RunStore:
    return RunStore(spark)


@pytest.fixture
def name(database: str) -> ModelName:
    return ModelName(database, "flowers")


def runs_folder(store: RunStore, name: ModelName) -> Path:
    return local(store.metastore.database_location(name.namespace)) / "_sqlext" / "runs"


def soon(condition: Callable[[], bool]) -> bool:
    """Whether the condition becomes true within 20 seconds."""
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def test_a_run_from_queue_to_ready(spark: SparkSession, store: RunStore, name: ModelName) -> None:
    run = store.start(name, status="QUEUED", statement="TRAIN MODEL flowers", options='{"epochs": 2}')
    other = RunStore(spark)
    seen = other.list(name.namespace)[0]
    assert (seen.status, seen.model, seen.statement, seen.version) == ("QUEUED", "flowers", "TRAIN MODEL flowers", None)
    store.update(run.run_id, status="RUNNING", phase="embedding", rows_done=10, rows_total=200)
    assert (other.find(run.run_id).phase, other.find(run.run_id).rows_total) == ("embedding", 200)
    for epoch in (1, 2):
        store.record_epoch(
            run.run_id, {"epoch": epoch, "loss": 1 / epoch, "val_loss": None, "recorded_at": datetime.now(UTC)}
        )
    assert soon(lambda: other.find(run.run_id).epoch == 2)
    store.finish(run.run_id, "READY", version=1)
    done = other.find(run.run_id)
    assert (done.status, done.version, done.loss, len(done.history)) == ("READY", 1, 0.5, 2)
    assert done.started_at is not None and done.finished_at is not None
    assert done.started_at <= done.finished_at
    assert [p.name for p in runs_folder(store, name).iterdir()] == [f"{run.run_id}.json"]


def test_cancel_from_another_connection(spark: SparkSession, store: RunStore, name: ModelName) -> None:
    run = store.start(name)
    assert not store.cancel_requested(run.run_id)
    # Another driver requests a cancel only through this file.
    (runs_folder(store, name) / f"{run.run_id}.cancel").write_text("somebody")
    assert soon(lambda: store.cancel_requested(run.run_id))
    store.finish(run.run_id, "CANCELLED")
    with pytest.raises(SqlExtError, match="its status is CANCELLED"):
        RunStore(spark).request_cancel(run.run_id)
    assert not (runs_folder(store, name) / f"{run.run_id}.cancel").exists()


def test_cancel_in_the_same_process(spark: SparkSession, store: RunStore, name: ModelName) -> None:
    run = store.start(name)
    RunStore(spark).request_cancel(run.run_id)
    assert store.cancel_requested(run.run_id)
    store.finish(run.run_id, "CANCELLED")


@pytest.mark.parametrize(
    ("age", "status", "expected"),
    [
        (30, "RUNNING", "RUNNING"),
        (90, "RUNNING", "FAILED"),
        (90, "QUEUED", "FAILED"),
        (9000, "READY", "READY"),
    ],
)
def test_a_lost_driver(store: RunStore, name: ModelName, age: int, status: str, expected: str) -> None:
    store.finish(store.start(name).run_id, "READY")
    beat = datetime.now(UTC) - timedelta(seconds=age)
    file = {"run_id": "gone", "namespace": name.namespace, "model": name.name, "status": status, "from_the_future": 1}
    times = {"started_at": beat.isoformat(), "heartbeat_at": beat.isoformat()}
    (runs_folder(store, name) / "gone.json").write_text(json.dumps(file | times))
    (runs_folder(store, name) / "no_run.json").write_text("{")
    run = store.find("gone")
    assert (run.status, run.error) == (expected, "driver lost" if expected == "FAILED" else None)
    assert [r.run_id for r in store.list(name.namespace)][-1] == "gone"


def test_heartbeat(spark: SparkSession, store: RunStore, name: ModelName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlext.catalog.runs.HEARTBEAT", timedelta(seconds=1))
    run = store.start(name)
    first = RunStore(spark).find(run.run_id).heartbeat_at
    assert soon(lambda: RunStore(spark).find(run.run_id).heartbeat_at != first)
    store.finish(run.run_id, "FAILED", error="why")


def test_list_is_newest_first_and_by_model(store: RunStore, name: ModelName) -> None:
    other = ModelName(name.namespace, "birds")
    ids = [store.start(model).run_id for model in (name, other, name)]
    assert [r.run_id for r in store.list(name.namespace)] == ids[::-1]
    assert [r.run_id for r in store.list(name.namespace, "flowers")] == [ids[2], ids[0]]
    for run_id in ids:
        store.finish(run_id, "FAILED")


@pytest.mark.parametrize("run_id", ["0123456789ab", "../../etc/passwd", ""])
def test_no_such_run(store: RunStore, run_id: str) -> None:
    with pytest.raises(SqlExtError) as error:
        store.find(run_id)
    assert error.value.error_class == "RUN_NOT_FOUND"


def test_no_such_database(store: RunStore) -> None:
    with pytest.raises(SqlExtError) as error:
        store.start(ModelName("nowhere", "m"))
    assert error.value.error_class == "DATABASE_NOT_FOUND"
