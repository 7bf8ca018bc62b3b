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
from sqlext.training.split import TEST, TRAIN, VALIDATION, split_by_hash

if TYPE_CHECKING:
    from sqlext.training.runs import RunRecorder

# target: class index (NULL: a label unseen in training), or the value of a regression. side: train, validation or test.
_COLUMNS = ("label_text", "row_hash", "features", "target", "side")


@dataclass
class Rows:
    """Feature rows of a run. ``usable``: label_text, row_hash, features, target, side.

    The counters are rows by label; a regression has one entry, ''.
    """

    usable: DataFrame
    width: int
    trained: Counter[str]
    validated: Counter[str]
    tested: Counter[str]
    skipped: int
    skipped_why: Counter[str]
    shared: int  # held-out rows whose features are among the training rows, too
    cached: list[DataFrame] = field(default_factory=list)

    @property
    def held_out(self) -> Counter[str]:
        return self.validated + self.tested

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
    counted = _counts(plan, split)
    rows = Rows(
        usable=split,
        width=width,
        trained=counted[TRAIN],
        validated=counted[VALIDATION],
        tested=counted[TEST],
        skipped=sum(bad.values()),
        skipped_why=bad,
        shared=_shared(plan, split),
        cached=[split, everything],
    )
    _need_training_rows(plan, labels, rows)
    return rows


def _features(context: Context, plan: TrainPlan, labels: Labels) -> tuple[DataFrame, int]:
    """Feature rows of the training source and of VALIDATE FROM's, told apart by ``given_side``; ``unit`` stays together."""
    embedder, spark = plan.embedder, context.spark
    own = plan.features.hash_sql
    # A row without a group stands for itself.
    unit = f"CASE WHEN {plan.group.sql} IS NULL THEN {own} ELSE xxhash64({plan.group.sql}) END" if plan.group else own
    keep = {"given_side": plan.side_sql or f"'{TRAIN}'", "unit": unit}
    rows = feature_rows(spark, plan.source, plan.label, embedder, labels.rows, keep=keep)
    if plan.validation_rows is None:
        return rows, labels.rows
    count = plan.validation_rows.count()
    keep = {"given_side": f"'{VALIDATION}'", "unit": own}
    extra = feature_rows(spark, plan.validation_rows, plan.label, embedder, count, keep=keep)
    return rows.unionByName(extra), labels.rows + count


def _width(context: Context, plan: TrainPlan, sizes: list[Any]) -> int:
    """Length of the features: the backbone's, the number of columns, or what most rows have."""
    good = {row.width: row["count"] for row in sizes if row.error is None}
    if not good:
        why = ", ".join(f"{row['count']} x {row.error}" for row in sizes[:3]) or "it is empty"
        raise SqlExtError("NO_ROWS", source=plan.source_text, reason=why, offset=plan.source_offset)
    common = int(max(good, key=lambda width: good[width]))
    if plan.backbone is None:
        return common
    expected = int(context.catalog.read_manifest(plan.backbone)["width"])
    if not plan.embedder.embeds and common != expected:
        raise SqlExtError(
            "BACKBONE_WIDTH",
            backbone=plan.backbone.name,
            expected=expected,
            column=plan.features.text,
            width=common,
            offset=plan.source_offset,
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
    """Adds ``target`` and ``side``."""
    spark = context.spark
    if plan.regression:
        rows = rows.withColumn("target", F.col("label").cast("double"))
    else:
        index = [(name, float(i)) for i, name in enumerate(labels.names)]
        classes = spark.createDataFrame(index, "label_text string, target double")
        rows = rows.join(F.broadcast(classes), "label_text", "left")
    if plan.validation.kind != "split":
        return rows.withColumnRenamed("given_side", "side").select(*_COLUMNS)
    # Labels and hashes alone are ranked: the windows' shuffles carry no features.
    ranked = F.lit("") if plan.regression else F.col("label_text")
    slim = rows.select(ranked.alias("label"), "unit")
    split = split_by_hash(slim, plan.validation.fraction, plan.split_seed, test=plan.validation.test_fraction)
    return rows.join(split.select("unit", "side").distinct(), "unit").select(*_COLUMNS)


def _counts(plan: TrainPlan, split: DataFrame) -> dict[str, Counter[str]]:
    """Rows by side, then by label."""
    key = F.lit("") if plan.regression else F.col("label_text")
    counts: dict[str, Counter[str]] = {side: Counter() for side in (TRAIN, VALIDATION, TEST)}
    for row in split.groupBy(key.alias("key"), "side").count().collect():
        counts[row.side][row.key] = row["count"]
    return counts


def _shared(plan: TrainPlan, rows: DataFrame) -> int:
    """Held-out rows with the features of a training row: none after a split of the rows by their hash."""
    if plan.validation.kind == "none" or (plan.validation.kind == "split" and plan.group is None):
        return 0
    trained = rows.where(F.col("side") == TRAIN).select("row_hash").distinct()
    return rows.where(F.col("side") != TRAIN).join(trained, "row_hash", "leftsemi").count()


def _need_training_rows(plan: TrainPlan, labels: Labels, rows: Rows) -> None:
    missing = [name for name in labels.names if not rows.trained[name]]
    reason = f"all rows of class '{missing[0]}' are bad rows or held out" if missing else "none is left to train on"
    if missing or not rows.trained:
        rows.release()
        raise SqlExtError("NO_ROWS", source=plan.source_text, reason=reason, offset=plan.source_offset)
