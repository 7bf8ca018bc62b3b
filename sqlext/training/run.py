"""TRAIN MODEL from a checked plan to a published version.

Phases: reading (labels), embedding (features, once), training (BigDL), checking (precision), publishing (files first, one
metastore call last). Each reports rows done of rows total; a failure in any of them leaves every published version alone.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from sqlext.bigdl.training import save_head
from sqlext.errors import SqlExtError
from sqlext.statements.base import Context, ResultRow
from sqlext.training import held_out, messages, precision, promotion
from sqlext.training.fit import fit
from sqlext.training.labels import Labels, read_labels
from sqlext.training.plan import TrainPlan, existing_model, make_plan
from sqlext.training.quality import quality
from sqlext.training.record import Outcome
from sqlext.training.rows import Rows, prepare
from sqlext.training.runs import RunRecorder
from sqlext.training.split import VALIDATION
from sqlext.training.suspicious import suspicious_columns

if TYPE_CHECKING:
    from sqlext.catalog import Draft, ModelEntry, ModelVersion
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
        context.catalog.draft(name, plan.kind, statement.comment, statement.properties, run_id=run.run_id) as draft,
    ):
        run.phase("reading")
        labels = read_labels(plan)
        rows = prepare(context, plan, labels, run)
        try:
            outcome = _outcome(context, plan, statement, labels, rows, run)
        finally:
            rows.release()
        run.phase("publishing")
        version = _publish(context, outcome, draft)
        run.ready(version, outcome)
    if existing is not None and statement.replace:
        for older in context.catalog.replaceable(existing):
            context.catalog.drop_version(name, older.version)
    return _row(context, version, outcome, int((time.monotonic() - started) * 1000))


def _need_bigdl(context: Context) -> None:
    import sqlext.bigdl

    reason = sqlext.bigdl.missing(context.spark)
    if reason:
        raise SqlExtError("BIGDL_MISSING", reason=reason)


def _outcome(
    context: Context, plan: TrainPlan, statement: TrainModel, labels: Labels, rows: Rows, run: RunRecorder
) -> Outcome:
    """Trains, scores the held-out rows and decides what they decide, while the feature rows are still kept."""
    fitted = fit(context, plan, statement, labels, rows, run)
    scored = held_out.score(rows.usable, fitted.head, labels.names, regression=plan.regression)
    value = quality(plan.metric, scored.of_split(VALIDATION), labels.names)
    return Outcome(
        plan=plan,
        statement=statement,
        labels=labels,
        rows=rows,
        fitted=fitted,
        scored=scored,
        precision=precision.check(context, plan, fitted.head, labels.names, scored, run),
        promotion=promotion.decide(context, plan, rows, value),
        warnings=suspicious_columns(plan, rows.usable),
        sources=_sources(context, plan),
        namespace=context.catalog.current_namespace(),
        sql=context.sql.strip(),
        image_shape=_image_shape(context, plan),
        waited=run.waited,
    )


def _image_shape(context: Context, plan: TrainPlan) -> tuple[int, ...] | None:
    if plan.backbone is None or not plan.embedder.embeds:
        return None
    return tuple(context.catalog.read_manifest(plan.backbone)["input"]["shape"])


def _sources(context: Context, plan: TrainPlan) -> list[dict[str, Any]]:
    """The tables and folders that were read, with their files as they are now."""
    jvm: Any = context.spark._jvm
    found = [json.loads(jvm.org.apache.spark.sql.sqlext.SourceFiles.json(plan.source._jdf))]
    if plan.validation_rows is not None:
        found.append(json.loads(jvm.org.apache.spark.sql.sqlext.SourceFiles.json(plan.validation_rows._jdf)))
    return [dict(source) for part in found for source in part]


def _publish(context: Context, outcome: Outcome, draft: Draft) -> ModelVersion:
    outcome.write(draft.local)
    save_head(context.spark, outcome.fitted.spec, list(outcome.head.weights), draft.local)
    return context.catalog.publish(
        draft,
        outcome.history(),
        outcome.manifest(),
        outcome.parameters(),
        promote=outcome.promotion.promote,
    )


# --- result -------------------------------------------------------------------------------------------------------


def _exists(entry: ModelEntry) -> ResultRow:
    version = entry.default
    row = {"model": str(entry.name), "version": version.version, "run_id": version.run_id, "status": "EXISTS"}
    task = "regression" if entry.kind == "regressor" else "classification"
    message = f"{entry.name} exists; nothing was trained"
    return row | {"task": task, "message": message, "is_default": True}


def _row(context: Context, version: ModelVersion, outcome: Outcome, duration_ms: int) -> ResultRow:
    entry = context.catalog.get(version.name)
    is_default = entry.default.version == version.version
    return {
        "model": str(version.name),
        "version": version.version,
        "run_id": version.run_id,
        "status": "READY",
        "task": outcome.plan.task,
        **outcome.figures(),
        "duration_ms": duration_ms,
        "message": messages.trained(outcome, entry, version),
        "is_default": is_default,
    }
