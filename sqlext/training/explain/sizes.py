"""The size of a training for EXPLAIN FORMATTED TRAIN MODEL: parameters, steps and bytes."""

from __future__ import annotations

import re

from sqlext.bigdl.records import HeadSpec
from sqlext.bigdl.training import place_head
from sqlext.context import Context
from sqlext.evaluation.names import TEST, TRAIN, VALIDATION
from sqlext.text import byte_size
from sqlext.training.explain.rows import Found
from sqlext.training.plan import TrainPlan

Lines = list[tuple[str, str]]
_FLOAT = 4  # bytes
# Numbers that an optimizer stores per weight, in addition to weight and gradient.
_STATE = {"sgd": 1, "adam": 2, "adagrad": 1, "adadelta": 2, "adamax": 2, "rmsprop": 1, "ftrl": 2}
# L-BFGS remembers the changes of weights and gradient in each of its last steps (BigDL's nCorrection), and needs the previous
# gradient, the direction and the weights before the step.
_LBFGS_STEPS, _LBFGS_OTHERS = 100, 3


def network(context: Context, plan: TrainPlan, found: Found) -> Lines:
    """Layers with their parameters: the backbone's are frozen, the head's are trained."""
    lines: Lines = []
    if plan.backbone is not None:
        manifest = context.catalog.read_manifest(plan.backbone)
        parameters = re.match(r"[\d,]+ parameters", str(manifest.get("details", {}).get("network", "")))
        size = parameters[0] if parameters else "unknown number of parameters"
        role = "" if plan.embedder.embeds else "; it computed the arrays and will not run"
        lines.append(("backbone", f"{plan.backbone}: {size}, frozen{role}"))
    spec = head(context, plan, found)
    shapes = spec.shapes[::2]
    for inputs, outputs in ((shape[1], shape[0]) for shape in shapes):
        lines.append((f"Linear({inputs} -> {outputs})", f"{(inputs + 1) * outputs:,} parameters, trainable"))
    loss = "mean squared error" if plan.regression else "LogSoftMax, mean negative log likelihood"
    return [*lines, ("criterion", loss), ("trainable", f"{_parameters(spec):,} parameters")]


def batch(context: Context, plan: TrainPlan, found: Found) -> Lines:
    """The batch size that will be used, the steps per epoch, and where training runs."""
    trained, validated, tested = rows_of(plan, found)
    placement = place_head(context.spark, trained + validated, head(context, plan, found), plan.settings)
    steps = -(-trained // placement.batch_size) if trained else 0
    where = f"{placement.executors} executors" if placement.executors else "1 executor, one task"
    lines = [
        ("rows", f"about {trained:,} train, {validated:,} validate, {tested:,} test"),
        ("batch_size", str(placement.batch_size)),
        ("steps", f"{steps:,} per epoch, at most {steps * plan.settings.epochs:,} in {plan.settings.epochs} epochs"),
        ("trains on", where),
    ]
    return [*lines, ("note", placement.note)] if placement.note else lines


def memory(context: Context, plan: TrainPlan, found: Found) -> Lines:
    """Estimated bytes of the features, which are cached for the run, and of the weights."""
    trained, validated, tested = rows_of(plan, found)
    spec = head(context, plan, found)
    features = _FLOAT * spec.width * (trained + validated + tested)
    weights = _FLOAT * _parameters(spec) * (2 + _state(plan))
    limit = context.setting("train.localMaxBytes")
    return [
        ("features", f"about {byte_size(features)}, cached on the executors (memory, then disk) during the run"),
        # Features count twice, because they exist twice while the task reads them (placement.py).
        ("training", f"about {byte_size(2 * features + weights)} of heap; features up to {limit} train in one task"),
        ("driver", "collects none of the training rows"),
    ]


def _state(plan: TrainPlan) -> int:
    """Numbers per weight that the optimizer stores."""
    if plan.settings.optimizer != "lbfgs":
        return _STATE[plan.settings.optimizer]
    # One step per epoch, since a batch has all rows; with a smaller batch_size the history is full sooner.
    steps = _LBFGS_STEPS if plan.settings.batch_size else min(plan.settings.epochs, _LBFGS_STEPS)
    return 2 * steps + _LBFGS_OTHERS


def head(context: Context, plan: TrainPlan, found: Found) -> HeadSpec:
    """The head that will be trained, judging by the rows that were read."""
    classes = None if plan.regression else found.classes
    return HeadSpec(_width(context, plan, found), classes, plan.hidden, float(plan.options["dropout"]))


def rows_of(plan: TrainPlan, found: Found) -> tuple[int, int, int]:
    """Approximate numbers of training, validation and test rows: bad rows are only known once all rows are decoded."""
    known = found.rows - found.null_labels
    validation = plan.validation
    if plan.validation_rows is not None:
        return known, plan.validation_rows.count(), 0
    if validation.kind == "none":
        return known, 0, 0
    if validation.kind == "by":
        return found.sides[TRAIN], found.sides[VALIDATION], found.sides[TEST]
    shares = (validation.fraction, validation.test_fraction)
    held, tested = (sum(_share(n, share) for n in found.labels.values() or [known]) for share in shares)
    return known - held - tested, held, tested


def _share(rows: int, fraction: float) -> int:
    return max(1, round(fraction * rows)) if fraction and rows > 1 else 0


def _width(context: Context, plan: TrainPlan, found: Found) -> int:
    if plan.backbone is not None:
        return int(context.catalog.read_manifest(plan.backbone)["width"])
    return found.width or len(plan.features.columns)


def _parameters(spec: HeadSpec) -> int:
    total = 0
    for shape in spec.shapes:
        size = 1
        for n in shape:
            size *= n
        total += size
    return total
