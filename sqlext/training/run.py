"""TRAIN MODEL from a checked plan to a published version.

Phases: reading (labels), embedding (features, once), training (BigDL), checking (precision), publishing (files first, one
metastore call last). Each reports rows done of rows total; a failure in any of them leaves every published version alone.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sqlext.bigdl.training import Epoch, HeadSpec, TrainedHead, save_head, train_head
from sqlext.errors import SqlExtError
from sqlext.networks.head import Head
from sqlext.statements.base import Context, ResultRow
from sqlext.training import held_out, messages, precision, record
from sqlext.training.labels import Labels, read_labels
from sqlext.training.plan import TrainPlan, existing_model, make_plan
from sqlext.training.rows import Rows, prepare
from sqlext.training.runs import RunRecorder

if TYPE_CHECKING:
    from sqlext.catalog import ModelEntry, ModelVersion
    from sqlext.statements.train_model import TrainModel


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
        rows = prepare(context, plan, labels, run)
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
