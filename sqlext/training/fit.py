"""Trains the head with BigDL: completes the settings, scales the numbers, and converts the results to the user's units."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sqlext.bigdl.records import Epoch, HeadSpec, TrainedHead, TrainSettings
from sqlext.bigdl.training import train_head
from sqlext.catalog.layout import HEAD
from sqlext.context import Context
from sqlext.errors import SqlExtError
from sqlext.evaluation.names import VALIDATION
from sqlext.networks.head import Floats, Head
from sqlext.text import first_few
from sqlext.training.labels import Labels
from sqlext.training.plan import TrainPlan
from sqlext.training.recorder import RunRecorder
from sqlext.training.request import TrainRequest
from sqlext.training.rows import Rows
from sqlext.training.scaling import Scaling, TargetScale, start_weights


@dataclass(frozen=True)
class Fitted:
    """``trained`` has its history in the target's units; ``head`` takes unscaled features and predicts in those units."""

    trained: TrainedHead
    head: Head
    spec: HeadSpec
    target: TargetScale | None


def fit(
    context: Context, plan: TrainPlan, request: TrainRequest, labels: Labels, rows: Rows, run: RunRecorder
) -> Fitted:
    """Trains the head on the training rows and measures it on the validation rows; test rows are not used.

    :raises SqlExtError: INVALID_FEATURES, INVALID_TARGET, TRAINING_CANCELLED, WARM_START_MISMATCH, INVALID_OPTION_VALUE for
        class_weights, and those of
        :func:`~sqlext.bigdl.training.train_head`.
    """
    spec = _spec(plan, labels, rows.width)
    scaling = rows.scaling(features=plan.standardize, target=plan.regression)
    _check_scaling(plan, scaling)
    target = scaling.target
    start = _start(context, plan, request, labels, spec, scaling)
    trained_rows = sum(rows.trained.values())
    settings = _settings(plan, request, labels, rows, run, target)
    run.phase("training", trained_rows * settings.epochs)

    def on_epoch(epoch: Epoch) -> bool:
        return run.epoch(epoch if target is None else target.in_units(epoch), trained_rows)

    trained = train_head(
        context.spark,
        _scaled(rows, scaling).select("features", "target", (F.col("side") == VALIDATION).alias("validates")),
        spec,
        settings,
        on_epoch,
        name=str(plan.name),
        row_count=trained_rows + sum(rows.validated.values()),
        initial=start,
    )
    if trained.stopped == "cancelled":
        raise SqlExtError("TRAINING_CANCELLED", model=plan.name, run_id=run.run_id)
    if target is None:
        return Fitted(trained, Head(tuple(trained.weights), scaling.mean, scaling.std), spec, None)
    trained = replace(trained, history=[target.in_units(epoch) for epoch in trained.history])
    return Fitted(trained, Head(tuple(target.fold(trained.weights)), scaling.mean, scaling.std), spec, target)


def _scaled(rows: Rows, scaling: Scaling) -> DataFrame:
    """The rows that BigDL reads, without validation rows whose scaled features exceed FLOAT: their loss would be NaN."""
    scaled = scaling.scale(rows.used)
    # Training rows cannot be so far from their mean.
    return scaled if scaling.mean is None else scaled.where(F.forall("features", lambda x: F.abs(x) < float("inf")))


def _check_scaling(plan: TrainPlan, scaling: Scaling) -> None:
    """:raises SqlExtError: INVALID_FEATURES, INVALID_TARGET for values whose spread no DOUBLE or FLOAT can hold."""
    if scaling.target is not None and (problem := scaling.target.problem):
        raise SqlExtError("INVALID_TARGET", column=plan.label.text, problem=problem, offset=plan.label_offset)
    if scaling.mean is None or scaling.std is None:
        return
    bad = np.flatnonzero(~np.isfinite(scaling.mean) | ~np.isfinite(scaling.std))
    if len(bad):
        names = [column.text for column in plan.features.columns]
        column = names[bad[0]] if plan.features.kind == "columns" else f"{names[0]}[{bad[0]}]"
        problem = "its values are so large that their squares exceed DOUBLE; divide them by a constant"
        raise SqlExtError("INVALID_FEATURES", column=column, problem=problem, offset=plan.source_offset)


def _spec(plan: TrainPlan, labels: Labels, width: int) -> HeadSpec:
    classes = None if plan.regression else len(labels.names)
    return HeadSpec(width=width, classes=classes, hidden=plan.hidden, dropout=float(plan.options["dropout"]))


def _settings(
    plan: TrainPlan,
    request: TrainRequest,
    labels: Labels,
    rows: Rows,
    run: RunRecorder,
    target: TargetScale | None,
) -> TrainSettings:
    """Adds min_loss on the scaled target, the rest of max_runtime (it counts from when the run got its slot), and weights."""
    min_loss, runtime = plan.options["min_loss"], plan.options["max_runtime"]
    if min_loss is not None and target is not None:
        min_loss /= target.std**2
    left = None if runtime is None else max(runtime - (time.monotonic() - run.began), 0.001)
    weights = class_weights(plan.options["class_weights"], labels.names, rows, request)
    return replace(plan.settings, min_loss=min_loss, max_runtime=left, class_weights=weights)


def class_weights(option: Any, names: Sequence[str], rows: Rows, request: TrainRequest) -> list[float] | None:
    """Weights by class index: for 'auto', n / (k * n_c) over the training rows; otherwise the weight of each label.

    :raises SqlExtError: INVALID_OPTION_VALUE if a label has no weight, or a weight has no label.
    """
    if option is None:
        return None
    if option == "auto":
        total = sum(rows.trained.values())
        return [total / (len(names) * rows.trained[name]) for name in names]
    wrong = [
        f"{what} {', '.join(repr(label) for label in found[:5])}"
        for what, found in (
            ("no weight for", [name for name in names if name not in option]),
            ("no such label:", [label for label in option if label not in names]),
        )
        if found
    ]
    if wrong:
        raise SqlExtError(
            "INVALID_OPTION_VALUE",
            option="class_weights",
            value=next(o.value for o in request.raw_options if o.key == "class_weights"),
            accepted=f"a weight for each label ({'; '.join(wrong)})",
            offset=request.option_offset("class_weights"),
        )
    return [float(option[name]) for name in names]


def _start(
    context: Context,
    plan: TrainPlan,
    request: TrainRequest,
    labels: Labels,
    spec: HeadSpec,
    scaling: Scaling,
) -> list[Floats] | None:
    """The weights of warm_start's model, converted to the scaling of this training.

    :raises SqlExtError: WARM_START_MISMATCH.
    """
    version = plan.start
    if version is None:
        return None
    manifest = context.catalog.read_manifest(version)
    head = Head.from_onnx(context.catalog.read_bytes(version, HEAD))
    shapes = [w.shape for w in head.weights]
    reason = None
    # Also in another order: output i of the old head must mean class i of this training.
    if list(manifest.get("labels") or ()) != list(labels.names):
        reason = (
            f"its labels are {first_few(manifest['labels'], 5)}, those of this training {first_few(labels.names, 5)}"
        )
    elif head.width != spec.width:
        reason = f"it takes {head.width} features, this training has {spec.width}"
    elif shapes != spec.shapes:
        layers = " and ".join(f"{s[1]} -> {s[0]}" for s in shapes[::2])
        reason = f"its layers are {layers}, those of this training are different"
    if reason:
        offset = request.option_offset("warm_start")
        raise SqlExtError("WARM_START_MISMATCH", model=version, reason=reason, offset=offset)
    return start_weights(head, scaling)
