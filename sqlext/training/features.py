"""From source rows to feature rows: decoded and embedded once, on the executors, and kept for the rest of the run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, FloatType

from sqlext.catalog.entry import ModelVersion
from sqlext.scoring.choose import Choice
from sqlext.scoring.inputs import Argument
from sqlext.scoring.steps import apply_steps, embedding_steps
from sqlext.sources import ColumnOf
from sqlext.training.columns import Features

ROWS_PER_TASK = 64  # of images: some seconds each, so that progress moves and a lost executor costs little
FEWEST_ROWS, TASKS_PER_CORE = (
    16,
    8,
)  # of few images: smaller tasks, so that no core waits long for the last one of another
NULL_LABEL = "NULL label"
NO_NUMBER = "NaN or infinite number to predict"


@dataclass(frozen=True)
class Embedder:
    """How features are made: by a backbone, or taken as they are (an array or columns, ``choice`` None)."""

    features: Features
    backbone: ModelVersion | None
    choice: Choice | None

    @property
    def embeds(self) -> bool:
        return self.features.kind == "image"


def feature_rows(
    spark: SparkSession,
    source: DataFrame,
    label: ColumnOf,
    embedder: Embedder,
    rows: int,
    *,
    keep: Mapping[str, str] | None = None,
) -> DataFrame:
    """Columns label, label_text STRING, row_hash BIGINT, features ARRAY<FLOAT>, error STRING (why a row is bad), and ``keep``.

    ``rows`` is the source's row count: a source of few partitions is spread over the cores first. Rows without a label
    are not decoded. ``keep`` are further columns, name -> SQL over the source.
    """
    features, kept = embedder.features, keep or {}
    frame = source.select(
        F.expr(label.sql).alias("label"),
        F.expr(label.sql).cast("string").alias("label_text"),
        F.expr(features.hash_sql).alias("row_hash"),
        features.values().alias("given"),
        *[F.expr(sql).alias(name) for name, sql in kept.items()],
    )
    own = ["label", "label_text", "row_hash", *kept]
    of_numbers = isinstance(label.type, (FloatType, DoubleType))
    if not embedder.embeds:
        return frame.select(*own, F.col("given").alias("features"), _error(_array_error(), of_numbers=of_numbers))
    frame = frame.withColumn("given", F.when(F.col("label").isNotNull(), F.col("given")))
    frame = _spread(spark, frame, rows)
    assert embedder.backbone is not None
    assert embedder.choice is not None
    steps = embedding_steps(spark, embedder.backbone, Argument(features.columns[0].type, "given"), embedder.choice)
    embedded = apply_steps(frame, steps)
    return embedded.select(
        *own, F.col("embedded.embedding").alias("features"), _error(F.col("embedded.error"), of_numbers=of_numbers)
    )


def _error(error: Column, *, of_numbers: bool) -> Column:
    """NULL labels first, then targets that are no numbers, then ``error``."""
    number = F.col("label").cast("double")
    target = F.isnan(number) | (F.abs(number) == float("inf"))
    why = F.when(F.col("label").isNull(), F.lit(NULL_LABEL))
    return (why.when(target, F.lit(NO_NUMBER)) if of_numbers else why).otherwise(error).alias("error")


def _array_error() -> Column:
    bad = F.expr("exists(given, x -> x IS NULL OR isnan(x) OR abs(x) = float('infinity'))")
    return (
        F.when(F.col("given").isNull() | (F.size("given") == 0), F.lit("no features"))
        .when(bad, F.lit("NULL, NaN or infinite value in the features"))
        .otherwise(F.lit(None).cast("string"))
    )


def _spread(spark: SparkSession, frame: DataFrame, rows: int) -> DataFrame:
    """Partitions that suit ``rows``: more where the cores could use more (a small Parquet table is one partition), and as many
    where the source ends with a shuffle of its own, whose number of partitions has nothing to do with the rows.
    """
    cores = max(spark.sparkContext.defaultParallelism, 1)
    of_few = max(min(rows // FEWEST_ROWS, TASKS_PER_CORE * cores), 2 * cores)
    wanted = min(max(rows // ROWS_PER_TASK, of_few), max(rows, 1))
    if _is_adaptive(frame) or frame.rdd.getNumPartitions() < wanted:
        return frame.repartition(wanted)
    return frame


def _is_adaptive(frame: DataFrame) -> bool:
    """Whether the plan has a shuffle: then Spark would have to run it to learn the number of partitions."""
    return bool(frame._jdf.queryExecution().executedPlan().nodeName() == "AdaptiveSparkPlan")


@contextmanager
def watching(spark: SparkSession, rows: int, report: Callable[[int, int], None], every: float = 1.0) -> Iterator[None]:
    """Calls ``report(rows done, rows)`` while the block's Spark jobs run, by their finished tasks.

    Rows are taken as spread evenly over the tasks of the job's largest stage.
    """
    context = spark.sparkContext
    group = context.getLocalProperty("spark.jobGroup.id")
    own = group is None
    if own:
        group = f"sqlext-{threading.get_ident()}"
        context.setLocalProperty("spark.jobGroup.id", group)
    tracker, ended = context.statusTracker(), threading.Event()
    before = set(tracker.getJobIdsForGroup(group))

    def poll() -> None:
        while not ended.wait(every):
            report(min(int(rows * _fraction(tracker, set(tracker.getJobIdsForGroup(group)) - before)), rows), rows)

    thread = threading.Thread(target=poll, name="sqlext-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if own:
            context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
    report(rows, rows)


def _fraction(tracker: object, jobs: set[int]) -> float:
    """Finished share of the tasks of the newest job's stages."""
    if not jobs:
        return 0.0
    info = tracker.getJobInfo(max(jobs))  # type: ignore[attr-defined]
    stages = [tracker.getStageInfo(s) for s in (info.stageIds if info else ())]  # type: ignore[attr-defined]
    known = [s for s in stages if s is not None and s.numTasks]
    tasks = sum(s.numTasks for s in known)
    return sum(s.numCompletedTasks for s in known) / tasks if tasks else 0.0
