"""Turns source rows into feature rows: images are decoded and embedded on the executors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark import InheritableThread
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, FloatType

from sqlext.catalog.entry import ModelVersion
from sqlext.scoring.choose import Choice
from sqlext.scoring.inputs import Argument
from sqlext.scoring.steps import apply_steps, embedding_steps
from sqlext.sources import ColumnOf
from sqlext.spark.labels import label_sql
from sqlext.training.columns import Features

# A task of 64 images takes a few seconds, so that progress moves and a lost executor costs little.
ROWS_PER_TASK = 64
# With few images the tasks are smaller, so that no core waits long for the last task of another core.
FEWEST_ROWS, TASKS_PER_CORE = 16, 8
NULL_LABEL = "NULL label"
NO_NUMBER = "NaN or infinite value to predict"
LARGEST_FLOAT = "3.4028234663852886e38D"


@dataclass(frozen=True)
class Embedder:
    """How features are computed: by a backbone, or taken as they are (an array or columns; ``choice`` is None).

    ``as_double``: they are read as DOUBLE and scaled before they become FLOAT, so that they may be larger than a FLOAT.
    """

    features: Features
    backbone: ModelVersion | None
    choice: Choice | None
    as_double: bool = False

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
    """Rows with label, label_text STRING, row_hash BIGINT, features (an array of FLOAT or DOUBLE), error STRING, and the
    columns of ``keep``.

    ``error`` says why a row is bad; it is NULL for good rows. Images of rows without a label are not decoded.

    :param rows: the source's number of rows, by which images are spread over the cores.
    :param keep: further columns: name -> SQL over the source.
    """
    further = keep or {}
    frame = source.select(
        F.expr(label.sql).alias("label"),
        F.expr(label_sql(label.sql, label.type)).alias("label_text"),
        F.expr(embedder.features.hash_sql).alias("row_hash"),
        embedder.features.values().alias("raw"),
        *[F.expr(sql).alias(name) for name, sql in further.items()],
    )
    if embedder.embeds:
        frame = _embedded(spark, frame, embedder, rows)
        features, error = F.col("embedded.embedding"), F.col("embedded.error")
    else:
        features, error = F.col("raw"), _array_error(embedder)
    of_numbers = isinstance(label.type, (FloatType, DoubleType))
    columns = ["label", "label_text", "row_hash", *further]
    return frame.select(*columns, features.alias("features"), _error(error, of_numbers=of_numbers))


def _embedded(spark: SparkSession, frame: DataFrame, embedder: Embedder, rows: int) -> DataFrame:
    """Adds ``embedded``, the embedding of the image ``raw`` or the reason why there is none."""
    # Decoding is the expensive part, and a row without a label is not used.
    frame = frame.withColumn("raw", F.when(F.col("label").isNotNull(), F.col("raw")))
    frame = _spread(spark, frame, rows)
    assert embedder.backbone is not None
    assert embedder.choice is not None
    image = Argument(embedder.features.columns[0].type, "raw")
    return apply_steps(frame, embedding_steps(spark, embedder.backbone, image, embedder.choice))


def _error(error: Column, *, of_numbers: bool) -> Column:
    """The column ``error``: a NULL label comes first, then a label or target that is not finite, then ``error``."""
    number = F.col("label").cast("double")
    target = F.isnan(number) | (F.abs(number) == float("inf"))
    why = F.when(F.col("label").isNull(), F.lit(NULL_LABEL))
    return (why.when(target, F.lit(NO_NUMBER)) if of_numbers else why).otherwise(error).alias("error")


def too_large(value: str, *, as_double: bool) -> str:
    """SQL of whether a number is infinite or, unless it is read as DOUBLE, larger than the largest FLOAT."""
    return f"abs({value}) = double('infinity')" if as_double else f"abs({value}) > {LARGEST_FLOAT}"


def _array_error(embedder: Embedder) -> Column:
    bad = F.expr(f"exists(raw, x -> x IS NULL OR isnan(x) OR {too_large('x', as_double=embedder.as_double)})")
    return (
        F.when(F.col("raw").isNull() | (F.size("raw") == 0), F.lit("no features"))
        .when(bad, F.lit("NULL, NaN or infinite value in the features"))
        .otherwise(F.lit(None).cast("string"))
    )


def _spread(spark: SparkSession, frame: DataFrame, rows: int) -> DataFrame:
    """Repartitions ``frame`` by its number of rows, if it has fewer partitions or its plan has a shuffle.

    A small Parquet table is one partition, which would leave cores idle. The number of partitions after a shuffle has
    nothing to do with the number of rows.
    """
    cores = max(spark.sparkContext.defaultParallelism, 1)
    of_few = max(min(rows // FEWEST_ROWS, TASKS_PER_CORE * cores), 2 * cores)
    wanted = min(max(rows // ROWS_PER_TASK, of_few), max(rows, 1))
    if _is_adaptive(frame) or frame.rdd.getNumPartitions() < wanted:
        return frame.repartition(wanted)
    return frame


def _is_adaptive(frame: DataFrame) -> bool:
    """Whether the plan has a shuffle: Spark would have to run it to find the number of partitions."""
    return bool(frame._jdf.queryExecution().executedPlan().nodeName() == "AdaptiveSparkPlan")


@contextmanager
def watching(spark: SparkSession, rows: int, report: Callable[[int, int], None], every: float = 1.0) -> Iterator[None]:
    """Calls ``report(rows done, rows)`` every ``every`` seconds while the block runs, and once after it.

    The rows done are estimated from the finished tasks of the newest job, as if all tasks had equally many rows.
    """
    context = spark.sparkContext
    # The status tracker finds jobs only by their group. setJobGroup would also replace the description of the statement's jobs
    # and the flag that a cancel interrupts their tasks.
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

    # Inheritable, since only such a thread closes its connection to the JVM when it ends.
    thread = InheritableThread(target=poll, name="sqlext-progress", daemon=True)
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
    """The share of finished tasks over all stages of the newest job."""
    if not jobs:
        return 0.0
    info = tracker.getJobInfo(max(jobs))  # type: ignore[attr-defined]
    stages = [tracker.getStageInfo(s) for s in (info.stageIds if info else ())]  # type: ignore[attr-defined]
    known = [s for s in stages if s is not None and s.numTasks]
    tasks = sum(s.numTasks for s in known)
    return sum(s.numCompletedTasks for s in known) / tasks if tasks else 0.0
