"""Scheduler pools: where Spark schedules fairly (``spark.scheduler.mode=FAIR``), jobs of different pools share the cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

TRAINING = "training"  # `sqlext serve` gives this pool a lower weight than those of its sessions
_POOL = "spark.scheduler.pool"


@contextmanager
def scheduler_pool(spark: SparkSession, name: str) -> Iterator[None]:
    """Runs the jobs of this thread in the pool ``name``. Without fair scheduling, the name has no effect."""
    context = spark.sparkContext
    before = context.getLocalProperty(_POOL)
    context.setLocalProperty(_POOL, name)
    try:
        yield
    finally:
        context.setLocalProperty(_POOL, before)  # type: ignore[arg-type]  # None removes it
