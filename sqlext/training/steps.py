"""The steps of a training: read the rows, fit and score, publish. TUNE fits and scores once per trial.

Phases: reading (labels), embedding (features, once), training (BigDL), checking (precision), publishing (files first, one
metastore call last). Each phase reports its rows; a failure in any of them changes no published version.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any

from sqlext.bigdl.records import Epoch
from sqlext.bigdl.training import save_head
from sqlext.catalog.drafts import Draft
from sqlext.catalog.entry import ModelEntry, ModelVersion
from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError
from sqlext.evaluation import held_out
from sqlext.evaluation.held_out import HeldOut
from sqlext.evaluation.names import VALIDATION
from sqlext.evaluation.quality import quality
from sqlext.spark.java_classes import java_classes
from sqlext.training import precision, promotion, summary
from sqlext.training.fit import Fitted, fit
from sqlext.training.labels import Labels, read_labels
from sqlext.training.manifest import manifest_of
from sqlext.training.outcome import Outcome
from sqlext.training.plan import TrainPlan
from sqlext.training.recorder import RunRecorder
from sqlext.training.request import TrainRequest
from sqlext.training.rows import Rows, prepare
from sqlext.training.suspicious import suspicious_columns


def read_rows(context: Context, plan: TrainPlan, run: RunRecorder) -> tuple[Labels, Rows]:
    """The classes and the feature rows, which are cached until :meth:`Rows.release`."""
    run.phase("reading")
    labels = read_labels(plan)
    return labels, prepare(context, plan, labels, run)


@dataclass(frozen=True)
class Trained:
    """A head with its predictions for the held-out rows."""

    labels: Labels
    rows: Rows
    fitted: Fitted
    scored: HeldOut

    def quality(self, metric: str) -> float | None:
        """A metric on the validation rows; test rows count only in EVALUATE."""
        return quality(metric, self.scored.of_split(VALIDATION), self.labels.names)

    @property
    def published_epoch(self) -> Epoch:
        return self.fitted.trained.history[self.fitted.trained.best_epoch - 1]


def fit_and_score(
    context: Context, plan: TrainPlan, request: TrainRequest, labels: Labels, rows: Rows, run: RunRecorder
) -> Trained:
    fitted = fit(context, plan, request, labels, rows, run)
    count = sum(rows.held_out.values())
    scored = held_out.score(rows.usable, fitted.head, labels.names, rows=count, regression=plan.regression)
    return Trained(labels, rows.without(plan, scored.too_large), fitted, scored)


def publish(
    context: Context,
    plan: TrainPlan,
    request: TrainRequest,
    trained: Trained,
    run: RunRecorder,
    started: float,
    search: str = "",
) -> ResultRow:
    """Checks the trained head, publishes it as a version and returns TRAIN's row.

    :param started: when the statement started, on the monotonic clock.
    :param search: the part of message about TUNE.
    """
    catalog = context.catalog
    with catalog.draft(plan.name, plan.kind, request.comment, request.properties, run_id=run.run_id) as draft:
        outcome = replace(_outcome(context, plan, request, trained, run), search=search)
        run.phase("publishing")
        try:
            version = _publish(context, outcome, draft, run)
        except _ExistsError as other:
            run.not_needed()
            return existing_row(other.entry)
        run.ready(version, outcome.figures())
    remaining = _drop_replaced(context, plan) if request.replace else ""
    row = _row(context, version, outcome, int((time.monotonic() - started) * 1000))
    return row | {"message": "; ".join(part for part in (remaining, row["message"]) if part)}


def _drop_replaced(context: Context, plan: TrainPlan) -> str:
    """Removes the versions that OR REPLACE replaces; a sentence about those that remain.

    The new version is published, so a version that another session has protected meanwhile is no failure of the statement.
    """
    # plan.existing is from the start of the statement: versions that other sessions published meanwhile are not removed.
    if plan.existing is None:
        return ""
    remaining = []
    try:
        for older in context.catalog.replaceable(plan.existing):
            try:
                context.catalog.drop_version(plan.name, older.version)
            except SqlExtError as error:
                if error.error_class != "MODEL_VERSION_NOT_FOUND":  # otherwise another session has dropped it
                    remaining.append(f"version {older.version} was not removed: {error}")
    except SqlExtError as error:
        remaining.append(f"the older versions were not removed: {error}")
    return "; ".join(remaining)


def _outcome(context: Context, plan: TrainPlan, request: TrainRequest, trained: Trained, run: RunRecorder) -> Outcome:
    """Decides precision and promotion on the held-out rows, while the feature rows are still cached."""
    labels, rows, fitted, scored = trained.labels, trained.rows, trained.fitted, trained.scored
    return Outcome(
        plan=plan,
        request=request,
        labels=labels,
        rows=rows,
        fitted=fitted,
        scored=scored,
        precision=precision.check(context, plan, fitted.head, labels.names, scored, run),
        promotion=promotion.decide(context, plan, rows, trained.quality(plan.metric)),
        warnings=suspicious_columns(plan, rows.usable, sum((rows.trained + rows.held_out).values())),
        sources=_sources(context, plan),
        namespace=context.catalog.current_place(),
        sql=context.sql.strip(),
        image_shape=_image_shape(context, plan),
        waited=run.waited,
    )


def _image_shape(context: Context, plan: TrainPlan) -> tuple[int, ...] | None:
    if plan.backbone is None or not plan.embedder.embeds:
        return None
    return tuple(context.catalog.read_manifest(plan.backbone)["input"]["shape"])


def _sources(context: Context, plan: TrainPlan) -> list[dict[str, Any]]:
    """The tables and folders that were read, with the current state of their files."""
    jvm = java_classes(context.spark)
    found = [json.loads(jvm.org.apache.spark.sql.sqlext.SourceFiles.json(plan.source._jdf))]
    if plan.validation_rows is not None:
        found.append(json.loads(jvm.org.apache.spark.sql.sqlext.SourceFiles.json(plan.validation_rows._jdf)))
    return [dict(source) for part in found for source in part]


class _ExistsError(Exception):
    """The statement has IF NOT EXISTS, and another run has published the model."""

    def __init__(self, entry: ModelEntry) -> None:
        self.entry = entry
        super().__init__(entry.name)


def existing_row(entry: ModelEntry) -> ResultRow:
    """TRAIN's row if IF NOT EXISTS finds the model."""
    version = entry.default
    row = {"model": str(entry.name), "version": version.version, "run_id": version.run_id, "status": "EXISTS"}
    task = "regression" if entry.kind == "regressor" else "classification"
    message = f"{entry.name} exists; nothing was trained"
    return row | {"task": task, "message": message, "is_default": True}


def _publish(context: Context, outcome: Outcome, draft: Draft, run: RunRecorder) -> ModelVersion:
    def check() -> None:
        # DROP MODEL cancels the runs of a model before it drops the model.
        run.check_cancelled(now=True)
        # Usually found before the training (turns.py), unless a driver was wrongly taken for lost.
        if outcome.request.if_not_exists and (found := context.catalog.find(draft.name)) is not None:
            raise _ExistsError(found)

    outcome.write(draft.local)
    save_head(context.spark, outcome.fitted.spec, list(outcome.head.weights), draft.local)
    return context.catalog.publish(
        draft,
        outcome.history(),
        manifest_of(outcome),
        outcome.parameters(),
        promote=outcome.promotion.promote,
        check=check,
    )


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
        "message": summary.trained(outcome, entry, version),
        "is_default": is_default,
    }
