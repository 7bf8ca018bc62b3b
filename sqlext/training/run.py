"""TRAIN MODEL from a checked plan to a published version.

Phases: reading (labels), embedding (features, once), training (BigDL), checking (precision), publishing (files first, one
metastore call last). Each reports rows done of rows total; a failure in any of them leaves every published version alone.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sqlext.bigdl.training import Epoch, HeadSpec, TrainedHead, save_head, train_head
from sqlext.errors import SqlExtError
from sqlext.networks.head import Head
from sqlext.statements.base import Context, ResultRow
from sqlext.training import held_out, messages, precision, record
from sqlext.training.features import feature_rows, watching
from sqlext.training.labels import Labels, read_labels
from sqlext.training.plan import TrainPlan, existing_model, make_plan
from sqlext.training.runs import RunRecorder
from sqlext.training.split import split_by_hash

if TYPE_CHECKING:
    from sqlext.catalog import ModelEntry, ModelVersion
    from sqlext.statements.train_model import TrainModel


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


def train(context: Context, statement: TrainModel) -> ResultRow:
    """Carries out TRAIN MODEL and returns its one row."""
    started = time.monotonic()
    name, existing = existing_model(context, statement)
    if existing is not None and statement.if_not_exists:
        return _exists(existing)
    plan = make_plan(context, statement, name, existing)
    _need_bigdl(context)
    with (
        RunRecorder(context, plan, statement) as run,
        context.catalog.draft(name, "classifier", statement.comment, run_id=run.run_id) as draft,
    ):
        labels = _read_labels(plan, run)
        rows = _prepare(context, plan, labels, run)
        try:
            trained, head = _train(context, plan, labels, rows, run)
            scored = held_out.score(context, plan, rows, head, labels.names)
            checked = precision.check(context, plan, head, labels.names, scored, run)
        finally:
            rows.release()
        run.phase("publishing")
        shape = _image_shape(context, plan)
        outcome = record.Outcome(
            plan, statement, labels, rows, trained, head, scored, checked, context.sql.strip(), shape
        )
        outcome.write(draft.local)
        save_head(context.spark, _head_spec(rows.width, labels), trained.weights, draft.local)
        version = context.catalog.publish(
            draft,
            outcome.history(),
            outcome.manifest(draft.run_id),
            outcome.parameters(),
            promote=plan.options["promote"] == "always",
        )
        run.ready(version, outcome)
    if existing is not None and statement.replace:
        for older in context.catalog.replaceable(existing):
            context.catalog.drop_version(name, older.version)
    return _row(context, version, outcome, int((time.monotonic() - started) * 1000))


def _image_shape(context: Context, plan: TrainPlan) -> tuple[int, ...] | None:
    if plan.backbone is None or not plan.embedder.embeds:
        return None
    return tuple(context.catalog.read_manifest(plan.backbone)["input"]["shape"])


def _need_bigdl(context: Context) -> None:
    import sqlext.bigdl

    reason = sqlext.bigdl.missing(context.spark)
    if reason:
        raise SqlExtError("BIGDL_MISSING", reason=reason)


def _read_labels(plan: TrainPlan, run: RunRecorder) -> Labels:
    run.phase("reading")
    return read_labels(plan.source, plan.label, plan.source_text)


# --- rows ---------------------------------------------------------------------------------------------------------


def _prepare(context: Context, plan: TrainPlan, labels: Labels, run: RunRecorder) -> Rows:
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
        option = "on_bad_row = 'fail'" if allowed == 0.0 else f"max_bad_fraction = {allowed:g}"
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


# --- training -----------------------------------------------------------------------------------------------------


def _head_spec(width: int, labels: Labels) -> HeadSpec:
    return HeadSpec(width=width, classes=len(labels.names))


def _train(context: Context, plan: TrainPlan, labels: Labels, rows: Rows, run: RunRecorder) -> tuple[TrainedHead, Head]:
    known = rows.usable.where("target IS NOT NULL")
    mean, std = _scaling(known) if plan.standardize else (None, None)
    scaled = known if mean is None or std is None else _scaled(known, mean, std)
    trained_rows, held_out_rows = sum(rows.trained.values()), sum(rows.held_out.values())
    run.phase("training", trained_rows * plan.settings.epochs)

    def on_epoch(epoch: Epoch) -> bool:
        return run.epoch(epoch, trained_rows)

    trained = train_head(
        context.spark,
        scaled.select("features", "target", "validates"),
        _head_spec(rows.width, labels),
        plan.settings,
        on_epoch,
        name=str(plan.name),
        row_count=trained_rows + held_out_rows,
    )
    if trained.stopped == "cancelled":
        raise SqlExtError("TRAINING_CANCELLED", model=plan.name, run_id=run.run_id)
    return trained, Head(tuple(trained.weights), mean, std)


def _scaling(rows: DataFrame) -> tuple[Any, Any]:
    """Mean and standard deviation (1 for a constant column) of each feature over the training rows."""
    from pyspark.ml.functions import array_to_vector
    from pyspark.ml.stat import Summarizer

    vectors = rows.where("NOT validates").select(array_to_vector(F.col("features")).alias("v"))
    summary = vectors.select(Summarizer.metrics("mean", "std").summary(F.col("v")).alias("s")).select("s.*").first()
    assert summary is not None
    mean, std = (np.asarray(summary[key].toArray(), dtype=np.float32) for key in ("mean", "std"))
    return mean, np.where(std > 0, std, np.float32(1))


def _scaled(rows: DataFrame, mean: Any, std: Any) -> DataFrame:
    literal = [F.array(*[F.lit(float(x)) for x in values]) for values in (mean, std)]
    scaled = F.transform("features", lambda x, i: ((x - literal[0][i]) / literal[1][i]).cast("float"))
    return rows.withColumn("features", scaled)


# --- result -------------------------------------------------------------------------------------------------------


def _exists(entry: ModelEntry) -> ResultRow:
    version = entry.default
    row = {"model": str(entry.name), "version": version.version, "run_id": version.run_id, "status": "EXISTS"}
    message = f"{entry.name} exists; nothing was trained"
    return row | {"task": "classification", "message": message, "is_default": True}


def _row(context: Context, version: ModelVersion, outcome: record.Outcome, duration_ms: int) -> ResultRow:
    entry = context.catalog.get(version.name)
    is_default = entry.default.version == version.version
    return {
        "model": str(version.name),
        "version": version.version,
        "run_id": version.run_id,
        "status": "READY",
        "task": "classification",
        **outcome.figures(),
        "duration_ms": duration_ms,
        "message": messages.trained(outcome, entry, version),
        "is_default": is_default,
    }
