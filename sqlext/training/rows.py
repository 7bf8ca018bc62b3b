"""The rows of a training: features made once and kept, bad rows counted and left out, the rest split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sqlext.context import Context
from sqlext.errors import SqlExtError
from sqlext.evaluation.names import TEST, TRAIN, VALIDATION
from sqlext.training.bad_rows import bad_rows_query, reasons
from sqlext.training.features import feature_rows, watching
from sqlext.training.labels import Labels
from sqlext.training.plan import TrainPlan
from sqlext.training.recorder import RunRecorder
from sqlext.training.split import split_by_hash

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
        groups = _groups(plan, everything)
    width = _width(context, plan, groups)
    bad = _bad_rows(plan, groups, width, total)
    split = _split(context, plan, labels, everything.where(F.col("error").isNull() & (F.size("features") == width)))
    split.persist(StorageLevel.MEMORY_AND_DISK)
    by_hash = plan.validation.kind == "split"
    counted = _counts(_sides(plan, split) if by_hash else [g for g in groups if g.wrong(width) is None])
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


@dataclass(frozen=True)
class _Group:
    """Rows alike: why they are bad, the length of their features, their label ('' in a regression) and their side."""

    error: str | None
    width: int
    key: str | None
    side: str
    rows: int

    def wrong(self, width: int) -> str | None:
        """Why the rows cannot be used, if the features should have ``width`` numbers."""
        return self.error or (f"not {width} values" if self.width != width else None)


def _groups(plan: TrainPlan, everything: DataFrame) -> list[_Group]:
    """All that is counted before a split by hash, in one pass: the one that makes the features."""
    grouped = everything.groupBy(
        "error", F.size("features").alias("width"), _key(plan), F.col("given_side").alias("side")
    )
    return [_Group(row.error, row.width, row.key, row.side, row["count"]) for row in grouped.count().collect()]


def _key(plan: TrainPlan) -> Column:
    return (F.lit("") if plan.regression else F.col("label_text")).alias("key")


def _width(context: Context, plan: TrainPlan, groups: list[_Group]) -> int:
    """Length of the features: the backbone's, the number of columns, or what most rows have."""
    good: Counter[int] = Counter()
    for group in groups:
        if group.error is None:
            good[group.width] += group.rows
    if not good:
        why = ", ".join(f"{rows} x {error}" for error, rows in _reasons(groups, 0).most_common(3)) or "it is empty"
        raise SqlExtError("NO_ROWS", source=plan.source_text, reason=why, offset=plan.source_offset)
    common = max(good, key=lambda width: good[width])
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


def _reasons(groups: list[_Group], width: int) -> Counter[str]:
    """Why rows are bad -> how many."""
    bad: Counter[str] = Counter()
    for group in groups:
        if reason := group.wrong(width):
            bad[reason] += group.rows
    return bad


def _bad_rows(plan: TrainPlan, groups: list[_Group], width: int, total: int) -> Counter[str]:
    """Reason -> rows.

    :raises SqlExtError: TOO_MANY_BAD_ROWS when OPTIONS allow fewer.
    """
    bad = _reasons(groups, width)
    allowed = 0.0 if plan.options["on_bad_row"] == "fail" else float(plan.options["max_bad_fraction"])
    if sum(bad.values()) > allowed * total:
        option = "none" if allowed == 0.0 else f"a share of {allowed:g} (max_bad_fraction)"
        raise SqlExtError(
            "TOO_MANY_BAD_ROWS",
            bad=sum(bad.values()),
            rows=total,
            source=plan.source_text,
            reasons=reasons(bad),
            allowed=option,
            query=bad_rows_query(plan, bad, width),
            offset=plan.source_offset,
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


def _sides(plan: TrainPlan, split: DataFrame) -> list[_Group]:
    """The good rows after a split by hash."""
    found = split.groupBy(_key(plan), "side").count().collect()
    return [_Group(None, 0, row.key, row.side, row["count"]) for row in found]


def _counts(groups: Iterable[_Group]) -> dict[str, Counter[str]]:
    """Good rows by side, then by label."""
    counts: dict[str, Counter[str]] = {side: Counter() for side in (TRAIN, VALIDATION, TEST)}
    for group in groups:
        counts[group.side][str(group.key)] += group.rows
    return counts


def _shared(plan: TrainPlan, rows: DataFrame) -> int:
    """Held-out rows with the features of a training row: none after a split of the rows by their hash."""
    if plan.validation.kind == "none" or (plan.validation.kind == "split" and plan.group is None):
        return 0
    trains = F.col("side") == TRAIN
    by_features = rows.groupBy("row_hash").agg(
        F.max(trains).alias("trains"), F.sum((~trains).cast("int")).alias("held_out")
    )
    return int(by_features.where("trains").agg(F.sum("held_out")).first()[0] or 0)  # type: ignore[index]


def _need_training_rows(plan: TrainPlan, labels: Labels, rows: Rows) -> None:
    missing = [name for name in labels.names if not rows.trained[name]]
    reason = f"all rows of class '{missing[0]}' are bad rows or held out" if missing else "none is left to train on"
    if missing or not rows.trained:
        rows.release()
        raise SqlExtError("NO_ROWS", source=plan.source_text, reason=reason, offset=plan.source_offset)
