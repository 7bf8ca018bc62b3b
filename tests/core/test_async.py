"""OPTIONS (async = true), and what a second session sees of a running training."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from pyspark import InheritableThread
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from sqlext.catalog import RunStore
from sqlext.context import Context
from sqlext.errors import SqlExtError
from sqlext.progress import interrupted
from sqlext.training.background import take_submitted
from sqlext.training.recorder import _training_slots, places
from tests.support.catalog_models import local
from tests.support.results import one

T = TypeVar("T")
LONG = "OPTIONS (async = true, epochs = 1000000, early_stop = false)"


@pytest.fixture(scope="module")
def db(spark: SparkSession) -> Iterator[str]:
    """Database `later` with t."""
    spark.sql("CREATE DATABASE later")
    spark.sql("CREATE TABLE later.t AS SELECT array(1.0D * (id % 2), 1e-3 * id) AS x, id % 2 AS y FROM range(40)")
    yield "later"
    spark.sql("DROP DATABASE later CASCADE")


def soon(find: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """What ``find`` returns, as soon as ``holds`` is true for it."""
    end = time.monotonic() + 120
    while not holds(run := find()):
        assert time.monotonic() < end, run
        time.sleep(0.1)
    return run


def test_a_second_session_sees_and_cancels_what_runs(spark: SparkSession, db: str) -> None:
    caller = spark.newSession()
    caller.sql(f"USE {db}")
    row = one(caller, f"TRAIN MODEL m FROM t LABEL y {LONG}")
    caller.sql("USE default")  # the run goes on where it was submitted
    assert (row.model, row.status, row.version, row.is_default) == ("later.m", "SUBMITTED", None, False)
    assert row.run_id in row.message
    second = RunStore(spark.newSession())
    seen = soon(lambda: second.find(row.run_id), lambda run: run.epoch is not None and run.epoch > 2)
    assert (seen.status, seen.phase, seen.model, seen.epochs, seen.rows_total) == (
        "RUNNING",
        "training",
        "m",
        1000000,
        32 * 1000000,
    )
    assert seen.epoch is not None
    assert seen.rows_done is not None and 0 < seen.rows_done <= 32 * seen.epoch
    assert [e["epoch"] for e in seen.history] == list(range(1, seen.epoch + 1))
    assert seen.loss == seen.history[-1]["loss"] < seen.history[0]["loss"]
    second.request_cancel(row.run_id)
    ended = soon(lambda: second.find(row.run_id), lambda run: not run.is_live)
    assert (ended.status, ended.version) == ("CANCELLED", None)
    (submitted,) = [run for run in take_submitted() if run.run_id == row.run_id]
    assert submitted.ended.wait(20)
    assert submitted.error is not None and "cancelled" in submitted.error
    with pytest.raises(AnalysisException, match="MODEL_NOT_FOUND"):
        spark.sql(f"DESCRIBE MODEL {db}.m")


def test_cancel_training_ends_a_train_that_somebody_waits_for(spark: SparkSession, db: str) -> None:
    """One session waits for its TRAIN; another one, which only uses statements, sees it run and cancels it."""
    waiting, other = spark.newSession(), spark.newSession()
    first = one(spark, f"TRAIN MODEL {db}.watched FROM {db}.t LABEL y OPTIONS (epochs = 1)")
    errors: list[AnalysisException] = []

    def train() -> None:
        with pytest.raises(AnalysisException) as caught:
            waiting.sql(f"TRAIN MODEL {db}.watched FROM {db}.t LABEL y OPTIONS (epochs = 1000000, early_stop = false)")
        errors.append(caught.value)

    def shown() -> Row:
        rows = other.sql(f"SHOW TRAINING RUNS IN {db} FOR MODEL watched").collect()
        return rows[0]  # the newest record: of the first training until the second one has started

    thread = InheritableThread(target=train)
    thread.start()
    seen = soon(shown, lambda row: row.run_id != first.run_id and (row.epoch or 0) > 2)
    assert (seen.status, seen.phase, seen.version, seen.epochs) == ("RUNNING", "training", None, 1000000)
    assert 0 < seen.rows_done <= 32 * seen.epoch and seen.rows_total == 32 * 1000000
    assert (seen.metric_name, seen.finished_at, seen.loss > 0, seen.val_loss > 0) == ("accuracy", None, True, True)
    curve = other.sql(f"SHOW TRAINING HISTORY FOR RUN '{seen.run_id}'").collect()
    assert [row.epoch for row in curve] == list(range(1, len(curve) + 1)) and len(curve) >= seen.epoch
    assert (curve[seen.epoch - 1].loss, curve[seen.epoch - 1].val_loss) == (seen.loss, seen.val_loss)
    assert {(row.model, row.version) for row in curve} == {("watched", None)}

    cancelled = one(other, f"CANCEL TRAINING '{seen.run_id}'")
    assert (cancelled.model, cancelled.version, cancelled.status) == (f"{db}.watched", None, "CANCELLING")
    assert cancelled.message == f"asked to stop in phase training; SHOW TRAINING RUNS IN {db} shows when it has stopped"
    thread.join(60)
    (error,) = errors
    assert error.getErrorClass() == "TRAINING_CANCELLED" and seen.run_id in str(error)
    ended = shown()
    assert (ended.run_id, ended.status, ended.version) == (seen.run_id, "CANCELLED", None)
    assert ended.finished_at is not None and ended.epoch >= seen.epoch
    assert other.sql(f"SHOW TRAINING HISTORY FOR RUN '{seen.run_id}'").count() == ended.epoch
    assert [(v.version, v.is_default) for v in other.sql(f"SHOW MODEL VERSIONS {db}.watched").collect()] == [(1, True)]
    with pytest.raises(
        AnalysisException, match=rf"RUN_HAS_ENDED.*{seen.run_id} .*has already ended.*CANCELLED.*pos 16"
    ):
        other.sql(f"CANCEL TRAINING '{seen.run_id}'")


def test_planning_errors_come_at_once_and_later_ones_are_in_the_record(spark: SparkSession, db: str) -> None:
    with pytest.raises(AnalysisException, match="COLUMN_NOT_FOUND"):
        spark.sql(f"TRAIN MODEL {db}.wrong FROM {db}.t LABEL z {LONG}")
    row = one(spark, f"TRAIN MODEL {db}.wrong FROM (SELECT x, 1 AS y FROM {db}.t) LABEL y {LONG}")
    (submitted,) = [run for run in take_submitted() if run.run_id == row.run_id]
    assert submitted.ended.wait(60)
    run = RunStore(spark).find(row.run_id)
    assert (run.status, run.error) == ("FAILED", submitted.error)
    assert "a classifier needs at least two classes" in str(run.error)


@pytest.mark.parametrize("value", ["0", "-1", "many", ""])
def test_a_setting_without_slots_is_invalid(value: str) -> None:
    with pytest.raises(SqlExtError, match="maxConcurrent.*an integer, at least 1"):
        places(value)


def test_a_training_without_a_slot_waits_and_can_be_cancelled(spark: SparkSession, db: str) -> None:
    slots = _training_slots(Context(spark, ""))
    for _ in range(4):
        assert slots.acquire(timeout=60)
    try:
        first, second = (
            one(spark, f"TRAIN MODEL {db}.queued FROM {db}.t LABEL y OPTIONS (async = true, epochs = 1)")
            for _ in range(2)
        )
        store = RunStore(spark)
        assert {store.find(row.run_id).status for row in (first, second)} == {"QUEUED"}
        store.request_cancel(first.run_id)
        assert soon(lambda: store.find(first.run_id), lambda run: not run.is_live).status == "CANCELLED"
    finally:
        slots.release(4)
    done = soon(lambda: store.find(second.run_id), lambda run: not run.is_live)
    assert (done.status, done.version) == ("READY", 1)
    waited = {run.run_id: run for run in take_submitted()}
    assert waited[second.run_id].ended.wait(20)
    row = waited[second.run_id].row
    assert row is not None
    assert (row["status"], row["version"]) == ("READY", 1)
    assert waited[first.run_id].row is None


def test_of_two_statements_with_if_not_exists_one_trains_and_the_other_waits(spark: SparkSession, db: str) -> None:
    options = "OPTIONS (epochs = 400, early_stop = false)"
    statements = (
        f"TRAIN MODEL IF NOT EXISTS {db}.once FROM {db}.t LABEL y {options}",
        f"CREATE MODEL IF NOT EXISTS {db}.once LABEL y {options} AS SELECT * FROM {db}.t",
    )
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda sql: one(spark.newSession(), sql), statements)
    assert {first.status, second.status} == {"READY", "EXISTS"}
    assert (first.version, first.run_id) == (second.version, second.run_id)
    assert spark.sql(f"SHOW MODEL VERSIONS {db}.once").count() == 1
    runs = spark.sql(f"SHOW TRAINING RUNS IN {db} FOR MODEL once").collect()
    assert {(run.status, run.version) for run in runs} <= {("READY", 1), ("READY", None)}


def test_if_not_exists_waits_for_another_driver_until_it_is_lost(spark: SparkSession, db: str) -> None:
    store = RunStore(spark)
    other = local(store.metastore.database_location(db)) / "_sqlext" / "runs" / "000000000000.json"

    def beat(age: int) -> None:
        """Writes the record of a run of another driver, whose last heartbeat was so many seconds ago."""
        run = {"run_id": "000000000000", "namespace": db, "model": "turn", "status": "RUNNING"}
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_text(json.dumps(run | {"heartbeat_at": (datetime.now(UTC) - timedelta(seconds=age)).isoformat()}))

    def waiting() -> str:
        """The id of a run that waits for the other driver."""
        row = one(spark, f"TRAIN MODEL IF NOT EXISTS {db}.turn FROM {db}.t LABEL y OPTIONS (async = true, epochs = 1)")
        assert row.status == "SUBMITTED"
        seen = soon(lambda: store.find(row.run_id), lambda run: run.phase == "waiting")
        assert seen.status == "QUEUED"
        return seen.run_id

    def ended(run_id: str) -> tuple[str, int | None]:
        run = soon(lambda: store.find(run_id), lambda run: not run.is_live)
        return run.status, run.version

    beat(0)
    try:
        first = waiting()
        nothing = one(spark, f"DROP MODEL IF EXISTS {db}.turn")
        assert f"run {first} trains it: CANCEL TRAINING '{first}' stops the run" in nothing.message
        spark.sql(f"CANCEL TRAINING '{first}'")
        assert ended(first) == ("CANCELLED", None)
        second = waiting()
        interrupted.set()  # as Ctrl-C does on the command line
        assert ended(second) == ("CANCELLED", None)
        interrupted.clear()
        third = waiting()
        beat(90)
        assert ended(third) == ("READY", 1)
    finally:
        interrupted.clear()
        other.unlink()
        take_submitted()


def test_drop_model_cancels_the_run_that_trains_a_further_version(spark: SparkSession, db: str) -> None:
    one(spark, f"TRAIN MODEL {db}.gone FROM {db}.t LABEL y OPTIONS (epochs = 1)")
    row = one(spark, f"TRAIN MODEL {db}.gone FROM {db}.t LABEL y {LONG}")
    store = RunStore(spark)
    soon(lambda: store.find(row.run_id), lambda run: run.epoch is not None)
    dropped = one(spark, f"DROP MODEL {db}.gone")
    assert (dropped.status, dropped.message) == (
        "DROPPED",
        f"cancelled run {row.run_id}, which trained a further version",
    )
    assert soon(lambda: store.find(row.run_id), lambda run: not run.is_live).status == "CANCELLED"
    with pytest.raises(AnalysisException, match="MODEL_NOT_FOUND"):
        spark.sql(f"DESCRIBE MODEL {db}.gone")
    take_submitted()
