"""Spark jobs, stages, tasks and seconds of TRAIN MODEL on small data, by phase: 1,000 rows of three numbers and 300 drawn images.

    python benchmarks/bench_train_jobs.py [--runs 3] [--shuffle-partitions 200]

The first TRAIN of each kind warms the session up and is not shown. The counts are those of the last run, the seconds are
the median of all later runs. The cache of network outputs is off, so that every run embeds its images.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import SparkSession

import sqlext
from sqlext.cli.demo_images import write_flowers
from sqlext.progress import Progress, listening

PLANNING = "planning"  # before the first phase that TRAIN reports
PHASES = (PLANNING, "reading", "embedding", "training", "checking", "publishing")
NUMBERS = (
    "TRAIN MODEL bench.numbers FROM bench.points FEATURES (a, b, c) LABEL label "
    "OPTIONS (epochs = 5, early_stop = false)"
)
IMAGES = (
    "TRAIN MODEL bench.flowers FROM bench.images FEATURES (image) LABEL species BACKBONE models.small "
    "OPTIONS (epochs = 5, early_stop = false)"
)


@dataclass
class Cost:
    """What one phase of one TRAIN took."""

    jobs: int = 0
    stages: int = 0
    tasks: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.jobs + other.jobs,
            self.stages + other.stages,
            self.tasks + other.tasks,
            self.seconds + other.seconds,
        )


def measure(spark: SparkSession, sql: str) -> dict[str, Cost]:
    """Runs one TRAIN and returns its cost by phase."""
    entered: dict[str, float] = {}

    def on_progress(progress: Progress) -> None:
        entered.setdefault(progress.phase, time.time())

    before = last_job(spark)
    entered[PLANNING] = time.time()
    with listening(on_progress):
        spark.sql(sql).collect()
    ended = time.time()
    costs = {phase: Cost() for phase in PHASES}
    starts = sorted(entered.items(), key=lambda item: item[1])
    for (phase, start), (_, end) in zip(starts, [*starts[1:], ("end", ended)], strict=True):
        costs[phase].seconds = end - start
    for job, submitted in jobs_after(spark, before):
        phase = next(phase for phase, start in reversed(starts) if start <= submitted)
        costs[phase] += job
    return costs


def last_job(spark: SparkSession) -> int:
    return max((number for number, _, _ in known_jobs(spark)), default=-1)


def jobs_after(spark: SparkSession, number: int) -> Iterator[tuple[Cost, float]]:
    """Each later job with the time at which it was submitted."""
    for found, cost, submitted in known_jobs(spark):
        if found > number:
            yield cost, submitted


def known_jobs(spark: SparkSession) -> list[tuple[int, Cost, float]]:
    """Number, cost and submission time (seconds since 1970) of the jobs in Spark's status store. Skipped stages do not count."""
    context = spark.sparkContext._jsc.sc()
    context.listenerBus().waitUntilEmpty()  # the store is filled by a listener, which may lag behind
    jobs = context.statusStore().jobsList(None)
    return [
        (
            job.jobId(),
            Cost(1, job.numCompletedStages(), job.numCompletedTasks()),
            job.submissionTime().get().getTime() / 1000,
        )
        for job in (jobs.apply(i) for i in range(jobs.size()))
    ]


def show(title: str, runs: list[dict[str, Cost]]) -> None:
    """The table of one kind of TRAIN."""
    print(f"\n{title}\n{'phase':12}{'jobs':>8}{'stages':>8}{'tasks':>8}{'seconds':>9}")
    for phase in PHASES:
        _line(phase, runs[-1][phase], [run[phase].seconds for run in runs])
    totals = [sum(run.values(), Cost()) for run in runs]
    _line("all", totals[-1], [total.seconds for total in totals])


def _line(name: str, counts: Cost, seconds: list[float]) -> None:
    print(
        f"{name:12}{counts.jobs:8}{counts.stages:8}{counts.tasks:8}{statistics.median(seconds):9.2f}",
        flush=True,
    )


def prepare(spark: SparkSession, folder: Path, rows: int, images: int) -> None:
    """Tables bench.points (three columns of numbers) and bench.images (drawn flowers of five species); backbone models.small."""
    for database in ("bench", "models"):
        spark.sql(f"CREATE DATABASE {database}")
    spark.sql(
        "CREATE TABLE bench.points STORED AS PARQUET AS SELECT cos(id) AS a, sin(id) AS b, cos(3 * id) AS c, "
        f"if(sin(id) > cos(3 * id), 'up', 'down') AS label FROM range({rows})"
    )
    write_flowers(folder, train=images // 5, validation=1)
    spark.sql(
        "CREATE TABLE bench.images STORED AS PARQUET AS SELECT content AS image, element_at(split(path, '/'), -2) AS species "
        f"FROM binaryFile.`{folder}/train/*`"
    )
    spark.sql("IMPORT MODEL models.small FROM 'sqlext:small' FORMAT ONNX")


def main(runs: int, conf: dict[str, str], folder: Path) -> None:
    spark = sqlext.session(master="local[2]", warehouse=folder / "warehouse", conf=conf)
    prepare(spark, folder / "flowers", rows=1000, images=300)
    for title, sql in (("1,000 rows of three numbers", NUMBERS), ("300 images", IMAGES)):
        measure(spark, sql)
        show(title, [measure(spark, sql) for _ in range(runs)])
    spark.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3, help="warm runs to measure")
    parser.add_argument("--shuffle-partitions", help="spark.sql.shuffle.partitions; default: the session's own")
    given = parser.parse_args()
    settings = {"spark.sqlext.cache.maxBytes": "0"}
    if given.shuffle_partitions:
        settings["spark.sql.shuffle.partitions"] = given.shuffle_partitions
    with TemporaryDirectory() as temporary:
        main(given.runs, settings, Path(temporary))
