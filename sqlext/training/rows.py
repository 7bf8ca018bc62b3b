"""The rows of a training: computes the features once, caches them, counts and removes bad rows, and splits the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sqlext.bigdl.placement import SHARE_OF_HEAP
from sqlext.bigdl.training import executor_heap
from sqlext.context import Context
from sqlext.errors import SqlExtError
from sqlext.evaluation.names import TEST, TRAIN, VALIDATION
from sqlext.networks.head import TOO_LARGE
from sqlext.spark.conf import setting_bytes
from sqlext.training.bad_rows import bad_rows_query, largest_rows_query, reasons
from sqlext.training.counts import Group, bad_by_reason, by_side, class_of, groups_of
from sqlext.training.features import feature_rows, watching
from sqlext.training.labels import Labels
from sqlext.training.plan import TrainPlan
from sqlext.training.recorder import RunRecorder
from sqlext.training.scaling import Scaling
from sqlext.training.split import split_by_hash, split_for_every_class

# target: class index (NULL for a label that no training row has), or the value of a regression. side: train, validation
# or test.
_COLUMNS = ("label_text", "row_hash", "unit", "features", "target", "side")
# Bytes of a row in addition to its features: label, hashes and Spark's own.
_ROW_BYTES = 256
_GATHERED_SHARE = 8  # all rows are put in one partition if they take up to 1/8 of what one task may train on
# Assumed for arrays, whose width is not known before they are read: more than most, so that wide ones do not fill an executor.
_UNKNOWN_WIDTH = 8192
_PARTITION_BYTES = 16 * 2**20
# Up to this many classes, a row finds its class in an array; more are joined, and the broadcast of a join is one more job.
_LISTED_CLASSES = 1000


@dataclass
class Rows:
    """The feature rows of a run. ``usable`` has label_text, row_hash, unit, features, target and side.

    The counters have rows by label; for a regression, their only key is ''.
    """

    usable: DataFrame
    width: int
    trained: Counter[str]
    validated: Counter[str]
    tested: Counter[str]
    skipped: int
    skipped_why: Counter[str]
    shared: int  # held-out rows with the same features as a training row
    cached: list[DataFrame] = field(default_factory=list)
    _scalings: dict[tuple[bool, bool], Scaling] = field(default_factory=dict)

    @property
    def used(self) -> DataFrame:
        """The rows that the training of the head reads: test rows, and labels that no training row has, are left out."""
        return self.usable.where(F.col("target").isNotNull() & (F.col("side") != TEST))

    def scaling(self, *, features: bool, target: bool) -> Scaling:
        """The scaling by the training rows. It is computed once, because the trials of TUNE have the same rows."""
        wanted = (features, target)
        if wanted not in self._scalings:
            self._scalings[wanted] = Scaling.of(self.used, features=features, target=target)
        return self._scalings[wanted]

    def without(self, plan: TrainPlan, too_large: Counter[tuple[str, str]]) -> Rows:
        """The same rows without held-out rows that the trained head cannot score, which are bad rows, too.

        :param too_large: their number by split and label ('' in a regression).
        :raises SqlExtError: TOO_MANY_BAD_ROWS.
        """
        if not too_large:
            return self
        lost: dict[str, Counter[str]] = {VALIDATION: Counter(), TEST: Counter()}
        for (side, label), count in too_large.items():
            lost[side][label] = count
        bad = self.skipped_why + Counter({TOO_LARGE: sum(too_large.values())})
        total = self.skipped + sum((self.trained + self.held_out).values())
        _refuse_many(plan, bad, total, largest_rows_query(plan, bad[TOO_LARGE]))
        validated, tested = self.validated - lost[VALIDATION], self.tested - lost[TEST]
        return replace(self, validated=validated, tested=tested, skipped=sum(bad.values()), skipped_why=bad)

    @property
    def held_out(self) -> Counter[str]:
        return self.validated + self.tested

    def release(self) -> None:
        _release(self.cached)


def _release(cached: Iterable[DataFrame]) -> None:
    for frame in cached:
        frame.unpersist()


def prepare(context: Context, plan: TrainPlan, labels: Labels, run: RunRecorder) -> Rows:
    """Computes the features of every row once, caches them, counts and leaves out bad rows, and splits the rest.

    Few rows are gathered in one partition, on one executor: counting, splitting and training then need no shuffle, and a
    single job finds all counts by label and split. More rows stay spread over the executors and are split in a second pass.

    :raises SqlExtError: NO_ROWS, TOO_MANY_BAD_ROWS, BACKBONE_WIDTH.
    """
    everything, total = _features(context, plan, labels)
    # All sessions of a driver share Spark's cache, which compares plans: without a column of its own, a training of the same
    # rows would use this cache entry and lose it when this run ends.
    everything = everything.withColumn("run", F.lit(run.run_id))
    few = _are_few(context, plan, total)
    # repartition, since coalesce(1) has no shuffle: Spark would also compute all features in one task.
    everything = _with_target(context, plan, labels, everything.repartition(1) if few else everything)
    gathered = few and plan.validation.kind == "split"
    everything = _split_gathered(plan, everything) if gathered else _as_given(everything)
    cached = [everything.persist(StorageLevel.MEMORY_AND_DISK)]
    try:
        run.phase("embedding", total)
        with watching(context.spark, total, run.progress):
            groups = groups_of(plan, everything)
        rows = _good_rows(context, plan, groups, total, few, cached)
        _need_training_rows(plan, labels, rows)
    except BaseException:
        _release(cached)
        raise
    return rows


def _good_rows(
    context: Context, plan: TrainPlan, groups: list[Group], total: int, few: bool, cached: list[DataFrame]
) -> Rows:
    """The good rows with their split and their counts.

    :param groups: the counts of all rows, which are the first entry of ``cached``.
    :param few: whether they are split already; further passes add what they cache to ``cached``.
    """
    width = _width(context, plan, groups)
    bad = _bad_rows(plan, groups, width, total)
    usable = cached[0].where(F.col("error").isNull() & (F.size("features") == width))
    counted = by_side(group for group in groups if group.wrong(width) is None)
    splits = plan.validation.kind == "split"
    partitions = -(-_bytes(plan, total, width) // _PARTITION_BYTES)
    if splits and not few:
        usable, counted = _split(plan, usable, split_by_hash, partitions, cached)
    if splits and _held_out_only(counted):
        usable, counted = _split(plan, usable, split_for_every_class, partitions, cached)
    return Rows(
        usable=usable.select(*_COLUMNS),
        width=width,
        trained=counted[TRAIN],
        validated=counted[VALIDATION],
        tested=counted[TEST],
        skipped=sum(bad.values()),
        skipped_why=bad,
        shared=_shared(plan, usable),
        cached=cached,
    )


def _are_few(context: Context, plan: TrainPlan, rows: int) -> bool:
    """Whether all feature rows together are small: well below what one task may train on."""
    one_task = min(setting_bytes(context.spark, "train.localMaxBytes"), executor_heap(context.spark) // SHARE_OF_HEAP)
    width = _expected_width(context, plan) or _UNKNOWN_WIDTH
    return _bytes(plan, rows, width) <= one_task // _GATHERED_SHARE


def _expected_width(context: Context, plan: TrainPlan) -> int | None:
    """The number of features, if it is known before any of them is read."""
    if plan.backbone is not None:
        return int(context.catalog.read_manifest(plan.backbone)["width"])
    return len(plan.features.columns) if plan.features.kind == "columns" else None


def _bytes(plan: TrainPlan, rows: int, width: int) -> int:
    return rows * (plan.features.value_bytes * width + _ROW_BYTES)


def _features(context: Context, plan: TrainPlan, labels: Labels) -> tuple[DataFrame, int]:
    """Feature rows of FROM and VALIDATE FROM, and their number.

    ``given_side`` is the split that the statement gives a row; rows with the same ``unit`` are never split apart.
    """
    embedder, spark = plan.embedder, context.spark
    keep = {"given_side": plan.side_sql or f"'{TRAIN}'", "unit": unit_sql(plan)}
    rows = feature_rows(spark, plan.source, plan.label, embedder, labels.rows, keep=keep)
    if plan.validation_rows is None:
        return rows, labels.rows
    count = labels.validation_rows
    keep = {"given_side": f"'{VALIDATION}'", "unit": plan.features.hash_sql}
    extra = feature_rows(spark, plan.validation_rows, plan.held_out_label, embedder, count, keep=keep)
    return rows.unionByName(extra), labels.rows + count


def unit_sql(plan: TrainPlan) -> str:
    """SQL of what is never split apart: the hash of a row's group, or of its features."""
    own = plan.features.hash_sql
    # A row whose group is NULL is a group by itself.
    return f"CASE WHEN {plan.group.sql} IS NULL THEN {own} ELSE xxhash64({plan.group.sql}) END" if plan.group else own


def _width(context: Context, plan: TrainPlan, groups: list[Group]) -> int:
    """The number of features: that of the backbone, otherwise that of most good rows."""
    good: Counter[int] = Counter()
    for group in groups:
        if group.error is None:
            good[group.width] += group.rows
    if not good:
        bad = bad_by_reason(groups, 0)
        reason = f"all rows are bad ({reasons(bad)})" if bad else "it is empty"
        raise SqlExtError("NO_ROWS", source=plan.source_text, reason=reason, offset=plan.source_offset)
    common = max(good, key=lambda width: good[width])
    expected = _expected_width(context, plan)
    if plan.backbone is None or expected is None:
        return common
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


def _bad_rows(plan: TrainPlan, groups: list[Group], width: int, total: int) -> Counter[str]:
    """Reason -> number of bad rows.

    :raises SqlExtError: TOO_MANY_BAD_ROWS if max_bad_fraction or on_bad_row allows fewer.
    """
    bad = bad_by_reason(groups, width)
    _refuse_many(plan, bad, total, bad_rows_query(plan, bad, width))
    return bad


def _refuse_many(plan: TrainPlan, bad: Counter[str], total: int, query: str) -> None:
    """:raises SqlExtError: TOO_MANY_BAD_ROWS if max_bad_fraction or on_bad_row allows fewer."""
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
            query=query,
            offset=plan.source_offset,
        )


def _with_target(context: Context, plan: TrainPlan, labels: Labels, rows: DataFrame) -> DataFrame:
    """Adds ``target``: the value of a regression, or the index of the class (NULL for a label that no training row has)."""
    if plan.regression:
        return rows.withColumn("target", F.col("label").cast("double"))
    if len(labels.names) <= _LISTED_CLASSES:
        # F.array_position of PySpark 3.4 accepts only a constant to look for.
        position = F.call_udf("array_position", F.array(*map(F.lit, labels.names)), F.col("label_text"))
        return rows.withColumn("target", F.when(position > 0, (position - 1).cast("double")))
    index = [(name, float(i)) for i, name in enumerate(labels.names)]
    classes = context.spark.createDataFrame(index, "label_text string, target double")
    return rows.join(F.broadcast(classes), "label_text", "left")


def _as_given(rows: DataFrame) -> DataFrame:
    """``side`` as the statement says; of rows that are split by hash later, it is a placeholder."""
    return rows.withColumnRenamed("given_side", "side")


def _split_gathered(plan: TrainPlan, everything: DataFrame) -> DataFrame:
    """Adds ``side`` to rows in one partition.

    The width that most rows have decides which rows can be used, and it is not known yet: rows of each width are split
    independently of the others.
    """
    usable_width = F.when(F.col("error").isNull(), F.size("features"))
    rows = everything.withColumn("label", class_of(plan)).withColumn("usable_width", usable_width)
    return split_by_hash(rows, **_shares(plan), apart=("usable_width",))


def _split(
    plan: TrainPlan, rows: DataFrame, split: Callable[..., DataFrame], partitions: int, cached: list[DataFrame]
) -> tuple[DataFrame, dict[str, Counter[str]]]:
    """Replaces ``side``, caches the rows and adds them to ``cached``. Returns them and their counts.

    Only labels and hashes are ranked, so that the shuffles of the windows carry no features.
    """
    slim = rows.select(class_of(plan).alias("label"), "unit")
    sides = split(slim, **_shares(plan), partitions=partitions).select("unit", "side").distinct()
    usable = rows.drop("side").join(sides, "unit").persist(StorageLevel.MEMORY_AND_DISK)
    # Released first, because it is computed from the other.
    cached.insert(0, usable)
    return usable, by_side(groups_of(plan, usable))


def _held_out_only(counted: dict[str, Counter[str]]) -> set[str]:
    """The classes that have usable rows but no training row; only classes that share units can have none."""
    return (set(counted[VALIDATION]) | set(counted[TEST])) - set(counted[TRAIN])


def _shares(plan: TrainPlan) -> dict[str, Any]:
    split = plan.validation
    return {"fraction": split.fraction, "seed": plan.split_seed, "test": split.test_fraction}


def _shared(plan: TrainPlan, rows: DataFrame) -> int:
    """The number of held-out rows with the same features as a training row; a split by the features' hash leaves none."""
    if plan.validation.kind == "none" or (plan.validation.kind == "split" and plan.group is None):
        return 0
    trains = F.col("side") == TRAIN
    by_features = rows.groupBy("row_hash").agg(
        F.max(trains).alias("trains"), F.sum((~trains).cast("int")).alias("held_out")
    )
    return int(by_features.where("trains").agg(F.sum("held_out")).first()[0] or 0)  # type: ignore[index]


def _need_training_rows(plan: TrainPlan, labels: Labels, rows: Rows) -> None:
    missing = [name for name in labels.names if not rows.trained[name]]
    reason = f"all rows of class '{missing[0]}' are bad or held out" if missing else "all rows are bad or held out"
    if missing or not rows.trained:
        raise SqlExtError("NO_ROWS", source=plan.source_text, reason=reason, offset=plan.source_offset)
