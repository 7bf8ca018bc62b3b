"""Runs without a published version: one failed, one was cancelled, and one lost its driver."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from places import warehouse
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from tests.support.stored import SHOP

LOST_AFTER = 60  # seconds without a heartbeat
LONG_TRAINING = (
    "(SELECT array(1.0D * (id % 2), sin(id)) AS x, id % 2 AS y FROM range(40000)) LABEL y "
    "OPTIONS (async = true, epochs = 500, batch_size = 4, early_stop = false)"
)


def leave_lost_run(spark: SparkSession) -> tuple[Path, bytes]:
    """Cancels a run. Returns its file and the content while it ran, as a killed driver would leave it."""
    run_id = spark.sql(f"TRAIN MODEL {SHOP}.lost FROM {LONG_TRAINING}").collect()[0].run_id
    soon(spark, run_id, lambda row: (row.epoch or 0) >= 1)
    file = warehouse(spark) / f"{SHOP}.db" / "_sqlext" / "runs" / f"{run_id}.json"
    content = file.read_bytes()
    spark.sql(f"CANCEL TRAINING '{run_id}'")
    soon(spark, run_id, lambda row: row.finished_at is not None)
    return file, content


def leave_cancelled_run(spark: SparkSession) -> None:
    run_id = spark.sql(f"TRAIN MODEL {SHOP}.cancelled FROM {LONG_TRAINING}").collect()[0].run_id
    soon(spark, run_id, lambda row: (row.epoch or 0) >= 1)
    spark.sql(f"CANCEL TRAINING '{run_id}'")
    row = soon(spark, run_id, lambda row: row.finished_at is not None)
    if row.status != "CANCELLED":
        raise SystemExit(f"the run to be cancelled is {row.status}")


def leave_failed_run(spark: SparkSession) -> None:
    try:
        spark.sql(
            f"TRAIN MODEL {SHOP}.failed FROM (SELECT area, 1 AS y FROM {SHOP}.houses) LABEL y OPTIONS (epochs = 1)"
        )
    except AnalysisException as error:
        print(f"failed as it should: {error}")
    else:
        raise SystemExit("a model was trained with one class")


def soon(spark: SparkSession, run_id: str, holds: Callable[[Row], bool]) -> Row:
    """Waits until the run's row has the wanted values, and returns it."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        (row,) = (r for r in spark.sql(f"SHOW TRAINING RUNS IN {SHOP}").collect() if r.run_id == run_id)
        if holds(row):
            return row
        time.sleep(0.1)
    raise SystemExit(f"run {run_id} is not as wanted: {row}")
