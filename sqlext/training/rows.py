"""The rows of a training: features made once and kept, bad rows counted and left out, the rest split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sqlext.errors import SqlExtError
from sqlext.statements.base import Context
from sqlext.training import messages
from sqlext.training.features import feature_rows, watching
from sqlext.training.labels import Labels
from sqlext.training.plan import TrainPlan
from sqlext.training.split import split_by_hash

if TYPE_CHECKING:
    from sqlext.training.runs import RunRecorder


@dataclass
class Rows:
    """Feature rows of a run. ``usable``: label_text, row_hash, features, target (NULL: a label unseen in training), validates."""

    usable: DataFrame
    width: int
    trained: Counter[str]
    held_out: Counter[str]
    skipped: int
    skipped_why: Counter[str]
    shared: int  # validation rows whose features are among the training rows, too
    cached: list[DataFrame] = field(default_factory=list)

    def release(self) -> None:
        for frame in self.cached:
            frame.unpersist()


def prepare(context: Context, plan: TrainPlan, labels: Labels, run: RunRecorder) -> Rows:
    """Features of every row, made once and kept; bad rows are counted and left out; the rest is split."""
    everything, total = _features(context, plan, labels)
    everything.persist(StorageLevel.MEMORY_AND_DISK)
    run.phase("embedding", total)
    with watching(context.spark, total, lambda done, of: run.progress(done, of)):
        sizes = everything.groupBy("error", F.size("features").alias("width")).count().collect()
    width = _width(context, plan, sizes)
    marked = _with_wrong_width(everything, width)
    bad = _bad_rows(plan, marked, total)
    split = _split(context, plan, labels, marked.where("error IS NULL"))
    split.persist(StorageLevel.MEMORY_AND_DISK)
    counts = split.groupBy("label_text", "validates", F.col("target").isNull().alias("unknown")).count().collect()
    rows = Rows(
        usable=split,
        width=width,
        trained=Counter({r.label_text: r["count"] for r in counts if not r.validates}),
        held_out=Counter({r.label_text: r["count"] for r in counts if r.validates}),
        skipped=sum(bad.values()),
        skipped_why=bad,
        shared=_shared(plan, split),
        cached=[split, everything],
    )
    missing = [name for name in labels.names if not rows.trained[name]]
    if missing:
        rows.release()
        reason = f"all rows of class '{missing[0]}' are bad rows"
        raise SqlExtError("NO_ROWS", source=plan.source_text, reason=reason)
    return rows


def _features(context: Context, plan: TrainPlan, labels: Labels) -> tuple[DataFrame, int]:
    """Feature rows of the training source and of VALIDATE FROM's, told apart by ``given_to_validate``."""
    embedder, spark = plan.embedder, context.spark
    rows = feature_rows(spark, plan.source, plan.label, embedder, labels.rows)
    rows = rows.withColumn("given_to_validate", F.lit(False))
    if plan.validation_rows is None:
        return rows, labels.rows
    count = plan.validation_rows.count()
    extra = feature_rows(spark, plan.validation_rows, plan.label, embedder, count)
    return rows.unionByName(extra.withColumn("given_to_validate", F.lit(True))), labels.rows + count


def _width(context: Context, plan: TrainPlan, sizes: list[Any]) -> int:
    """Length of the features: the backbone's, or what most rows have."""
    good = {row.width: row["count"] for row in sizes if row.error is None}
    if not good:
        why = ", ".join(f"{row['count']} x {row.error}" for row in sizes[:3]) or "it is empty"
        raise SqlExtError("NO_ROWS", source=plan.source_text, reason=why)
    common = int(max(good, key=lambda width: good[width]))
    if plan.backbone is None:
        return common
    expected = int(context.catalog.read_manifest(plan.backbone)["width"])
    if not plan.embedder.embeds and common != expected:
        raise SqlExtError(
            "BACKBONE_WIDTH",
            backbone=plan.backbone.name,
            expected=expected,
            column=plan.embedder.features.text,
            width=common,
        )
    return expected


def _with_wrong_width(rows: DataFrame, width: int) -> DataFrame:
    wrong = F.col("error").isNull() & (F.size("features") != width)
    return rows.withColumn("error", F.when(wrong, F.lit(f"not {width} values")).otherwise(F.col("error")))


def _bad_rows(plan: TrainPlan, rows: DataFrame, total: int) -> Counter[str]:
    """Reason -> rows.

    :raises SqlExtError: TOO_MANY_BAD_ROWS when OPTIONS allow fewer.
    """
    found = rows.where("error IS NOT NULL").groupBy("error").count().collect()
    bad = Counter({row.error: row["count"] for row in found})
    allowed = 0.0 if plan.options["on_bad_row"] == "fail" else float(plan.options["max_bad_fraction"])
    if sum(bad.values()) > allowed * total:
        option = "none" if allowed == 0.0 else f"a share of {allowed:g} (max_bad_fraction)"
        raise SqlExtError(
            "TOO_MANY_BAD_ROWS",
            bad=sum(bad.values()),
            rows=total,
            source=plan.source_text,
            reasons=messages.reasons(bad),
            allowed=option,
            query=messages.bad_rows_query(plan, bad),
        )
    return bad


def _split(context: Context, plan: TrainPlan, labels: Labels, rows: DataFrame) -> DataFrame:
    """Adds ``target`` (class index) and ``validates``."""
    spark = context.spark
    index = spark.createDataFrame(
        [(n, float(i)) for i, n in enumerate(labels.names)], "label_text string, target double"
    )
    rows = rows.join(F.broadcast(index), "label_text", "left")
    if plan.validation.kind != "split":
        return rows.withColumn("validates", F.col("given_to_validate")).select(*_COLUMNS)
    # Labels and hashes alone are ranked: the windows' shuffles carry no features.
    slim = rows.select("label_text", "row_hash").withColumnRenamed("label_text", "label")
    sides = split_by_hash(slim, plan.validation.fraction, plan.split_seed).select("row_hash", "validates").distinct()
    return rows.join(sides, "row_hash").select(*_COLUMNS)


_COLUMNS = ("label_text", "row_hash", "features", "target", "validates")


def _shared(plan: TrainPlan, rows: DataFrame) -> int:
    """Validation rows with the features of a training row: none after a split by hash."""
    if plan.validation.kind != "source":
        return 0
    trained = rows.where("NOT validates").select("row_hash").distinct()
    return rows.where("validates").join(trained, "row_hash", "leftsemi").count()
