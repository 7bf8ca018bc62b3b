"""TRAIN MODEL from a checked plan to a published version.

Phases: reading (labels), embedding (features, once), training (BigDL), checking (precision), publishing (files first, one
metastore call last). Each reports rows done of rows total; a failure in any of them leaves every published version alone.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlext.bigdl.training import save_head
from sqlext.catalog.drafts import check_properties
from sqlext.errors import SqlExtError
from sqlext.evaluation import held_out
from sqlext.evaluation.quality import quality
from sqlext.spark.java_classes import java_classes
from sqlext.statements.base import Context, ResultRow, located
from sqlext.training import precision, promotion
from sqlext.training import summary as messages
from sqlext.training.background import submit
from sqlext.training.fit import Fitted, fit
from sqlext.training.labels import Labels, read_labels
from sqlext.training.outcome import Outcome
from sqlext.training.plan import TrainPlan, existing_model, make_plan
from sqlext.training.recorder import RunRecorder
from sqlext.training.rows import Rows, prepare
from sqlext.training.sessions import beside
from sqlext.training.split import VALIDATION
from sqlext.training.suspicious import suspicious_columns
from sqlext.training.trials import goal_of, trials_of

if TYPE_CHECKING:
    from sqlext.bigdl.training import Epoch
    from sqlext.catalog import Draft, ModelEntry, ModelVersion
    from sqlext.evaluation.held_out import HeldOut
    from sqlext.statements.train_model import TrainModel


def train(context: Context, statement: TrainModel) -> ResultRow:
    """Carries out TRAIN MODEL, or submits it, and returns its one row."""
    from sqlext.training.tune import tune

    name, existing = existing_model(context, statement)
    if existing is not None and statement.if_not_exists:
        return _exists(existing)
    submitted = bool(statement.options["async"])
    if submitted:
        context = beside(context)
    trials = trials_of(statement) if statement.tune else []
    first = trials[0].statement if trials else statement
    plan = make_plan(context, first, name, existing)
    _need_bigdl(context)
    _check_publishing(context, plan, statement)
    run = RunRecorder(context, plan, first)

    def carry_out() -> ResultRow:
        return (
            tune(context, plan, trials, goal_of(statement), run)
            if trials
            else _carry_out(context, plan, statement, run)
        )

    return submit(run, carry_out) if submitted else carry_out()


def _carry_out(context: Context, plan: TrainPlan, statement: TrainModel, run: RunRecorder) -> ResultRow:
    started = time.monotonic()
    with run:
        labels, rows = read_rows(context, plan, run)
        try:
            trained = fit_and_score(context, plan, statement, labels, rows, run)
            return publish(context, plan, statement, trained, run, started)
        finally:
            rows.release()


def read_rows(context: Context, plan: TrainPlan, run: RunRecorder) -> tuple[Labels, Rows]:
    """The classes and the feature rows, which stay cached until they are released."""
    run.phase("reading")
    labels = read_labels(plan)
    return labels, prepare(context, plan, labels, run)


@dataclass(frozen=True)
class Trained:
    """A head with its answers for the held-out rows."""

    labels: Labels
    rows: Rows
    fitted: Fitted
    scored: HeldOut

    def quality(self, metric: str) -> float | None:
        """On the validation rows: test rows count only in EVALUATE."""
        return quality(metric, self.scored.of_split(VALIDATION), self.labels.names)

    @property
    def published_epoch(self) -> Epoch:
        return self.fitted.trained.history[self.fitted.trained.best_epoch - 1]


def fit_and_score(
    context: Context, plan: TrainPlan, statement: TrainModel, labels: Labels, rows: Rows, run: RunRecorder
) -> Trained:
    fitted = fit(context, plan, statement, labels, rows, run)
    scored = held_out.score(rows.usable, fitted.head, labels.names, regression=plan.regression)
    return Trained(labels, rows, fitted, scored)


def publish(
    context: Context,
    plan: TrainPlan,
    statement: TrainModel,
    trained: Trained,
    run: RunRecorder,
    started: float,
    search: str = "",
) -> ResultRow:
    """Checks what has been trained, makes a version of it and returns TRAIN's row.

    :param started: of the monotonic clock.
    :param search: what message says of TUNE.
    """
    catalog = context.catalog
    with catalog.draft(plan.name, plan.kind, statement.comment, statement.properties, run_id=run.run_id) as draft:
        outcome = replace(_outcome(context, plan, statement, trained, run), search=search)
        run.phase("publishing")
        version = _publish(context, outcome, draft)
        run.ready(version, outcome)
    if plan.existing is not None and statement.replace:
        for older in catalog.replaceable(plan.existing):
            catalog.drop_version(plan.name, older.version)
    return _row(context, version, outcome, int((time.monotonic() - started) * 1000))


def _check_publishing(context: Context, plan: TrainPlan, statement: TrainModel) -> None:
    """What publishing would refuse (a right, a property, the database's folder) is refused before the first job."""
    located(statement.given.get("PROPERTIES"), lambda: check_properties(statement.properties))
    located(statement.given.get("COMMENT"), lambda: check_properties({}, statement.comment))
    draft = located(statement.name.offset, lambda: context.catalog.draft(plan.name, plan.kind))
    draft.close()


def _need_bigdl(context: Context) -> None:
    import sqlext.bigdl

    reason = sqlext.bigdl.missing(context.spark)
    if reason:
        raise SqlExtError("BIGDL_MISSING", reason=reason)


def _outcome(context: Context, plan: TrainPlan, statement: TrainModel, trained: Trained, run: RunRecorder) -> Outcome:
    """Decides what the held-out rows decide, while the feature rows are still kept."""
    labels, rows, fitted, scored = trained.labels, trained.rows, trained.fitted, trained.scored
    return Outcome(
        plan=plan,
        statement=statement,
        labels=labels,
        rows=rows,
        fitted=fitted,
        scored=scored,
        precision=precision.check(context, plan, fitted.head, labels.names, scored, run),
        promotion=promotion.decide(context, plan, rows, trained.quality(plan.metric)),
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
    jvm = java_classes(context.spark)
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
