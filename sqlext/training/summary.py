"""The sentences of the `message` column of TRAIN."""

from __future__ import annotations

from sqlext.catalog.entry import ModelEntry, ModelVersion
from sqlext.evaluation.metrics import MAX_SCORES, wilson_interval
from sqlext.evaluation.names import OF_SCORES, VALIDATION
from sqlext.networks.head import TOO_LARGE
from sqlext.text import first_few
from sqlext.training.bad_rows import bad_rows_query, reasons
from sqlext.training.outcome import Outcome
from sqlext.training.plan import TrainPlan

_MOST_COLUMNS = 20
_MOST_SINGLE = 10  # more classes with a single row than this are rather the values of an id


def trained(outcome: Outcome, entry: ModelEntry, version: ModelVersion) -> str:
    """The message of a READY row."""
    parts = [_default(outcome, entry, version), _quality(outcome), _placement(outcome), _columns(outcome.plan)]
    parts += _data(outcome)
    parts.append(outcome.search)
    skipped = outcome.rows.skipped_why
    if skipped:  # at the end, so that the SELECT can be copied
        query = bad_rows_query(outcome.plan, skipped, outcome.rows.width, str(version))
        parts.append(f"skipped {reasons(skipped)}: {query}")
    return "; ".join(part for part in parts if part)


def _default(outcome: Outcome, entry: ModelEntry, version: ModelVersion) -> str:
    """Why the default stayed and the ALTER that changes it, or why if_better made this version the default."""
    if entry.default.version == version.version:
        reason = outcome.promotion.reason
        return f"is now the default: {reason}" if reason else ""
    why = "pinned" if entry.default.pinned else outcome.promotion.reason
    change = f"ALTER MODEL {version.name} SET DEFAULT VERSION LATEST changes it"
    return f"default stays {entry.default.version}: {why} ({change})"


# --- how good it is -----------------------------------------------------------------------------------------------


def _quality(outcome: Outcome) -> str:
    if outcome.metric_value is None:
        return _no_metric(outcome)
    if outcome.plan.regression:
        return _regression(outcome)
    if outcome.plan.metric == "accuracy":
        return _accuracy(outcome)
    name = outcome.plan.metric
    value, base = outcome.metric_value, outcome.baseline
    return (
        f"{name} {value:.3f}" + (f" ({base:.3f} without a model); " if base is not None else "; ") + _accuracy(outcome)
    )


def _no_metric(outcome: Outcome) -> str:
    if outcome.rows.validated:
        return f"{outcome.plan.metric} is not defined on these rows"
    kind = outcome.plan.validation.kind
    together = "rows with identical features are not split apart"
    if set(outcome.rows.trained.values()) == {1}:
        together = "the only row" + ("" if outcome.plan.regression else " of a class") + " is used for training"
    if TOO_LARGE in outcome.rows.skipped_why:
        return f"no validation rows ({TOO_LARGE})"
    why = {"none": "VALIDATE NONE", "split": together}
    return f"no validation rows ({why.get(kind, 'VALIDATE ' + outcome.plan.validation.text)})"


def _accuracy(outcome: Outcome) -> str:
    scored = outcome.validated
    accuracy, frequent = scored.accuracy or 0.0, str(outcome.frequent_label)
    low, high = wilson_interval(accuracy, scored.rows)
    share = outcome.rows.validated[frequent] / scored.rows
    text = (
        f"accuracy {accuracy:.3f} on {scored.rows} rows (95 % Wilson interval {low:.3f} to {high:.3f}); "
        f"always predicting '{frequent}' would give {share:.3f}"
    )
    return text + (": these rows do not show that the model is better" if share >= low else "")


def _regression(outcome: Outcome) -> str:
    value, base, name = outcome.metric_value, outcome.baseline, outcome.plan.metric
    assert value is not None
    text = f"{name} {_number(value)} on {outcome.validated.rows} rows"
    if base is None:
        return text
    better = value > base if name == "r2" else value < base
    text += f"; always predicting the mean {_number(outcome.mean)} would give {_number(base)}"
    return text + ("" if better else ": the model is not better")


def _number(value: float | None) -> str:
    """Six digits; large numbers have no exponent."""
    return "" if value is None else f"{value:.0f}" if abs(value) >= 1e6 else f"{value:.6g}"


def _placement(outcome: Outcome) -> str:
    trained = outcome.trained
    where = f"trained on {trained.executors} executor{'s' if trained.executors != 1 else ''}"
    ended = {
        "early_stop": f", stopped early; epoch {trained.best_epoch} is published",
        "min_loss": f", ended by min_loss after epoch {len(trained.history)}",
        "max_runtime": f", ended by max_runtime after epoch {len(trained.history)}",
    }
    waited = f", after {outcome.waited:.0f} s in the queue" if outcome.waited >= 0.5 else ""
    asked = outcome.plan.options["batch_size"]
    if asked is not None and trained.batch_size < asked:
        waited += f", batch_size lowered from {asked} to {trained.batch_size}, the number of training rows"
    return where + waited + ended.get(trained.stopped or "", "") + (f" ({trained.note})" if trained.note else "")


# --- what it learned from -----------------------------------------------------------------------------------------


def _columns(plan: TrainPlan) -> str:
    """The columns that are used, and those that are left out."""
    used, left = [c.text for c in plan.features.columns], list(plan.features.left_out)
    text = f"features: {first_few(used, _MOST_COLUMNS)}"
    return text + (f" (left out: {first_few(left, _MOST_COLUMNS)})" if left else "")


def _data(outcome: Outcome) -> list[str]:
    plan, parts = outcome.plan, list(outcome.warnings)
    split = plan.validation
    if split.kind == "split" and split.fraction > 0.5:
        trained = 1 - split.fraction - split.test_fraction
        parts.append(f"SPLIT {split.fraction:g} is the share of validation rows; only {trained:g} of the rows trained")
    if outcome.rows.shared:
        what = "held-out" if outcome.rows.tested else VALIDATION
        parts.append(f"{outcome.rows.shared} {what} rows have the same features as a training row")
    parts += _too_little(outcome)
    if plan.architecture == "mlp" and not plan.hidden:
        parts.append("USING mlp without hidden layers is linear: OPTIONS (hidden = '256,64') adds two")
    if not plan.regression:
        if outcome.scored.rows and not len(outcome.scored.scores):
            sizes = f"{outcome.scored.rows:,} held-out rows x {len(outcome.labels.names):,} classes"
            parts.append(f"{', '.join(OF_SCORES)} are not measured: {sizes} are more than {MAX_SCORES:,} scores")
        unseen = sorted(set(outcome.rows.held_out) - set(outcome.labels.names))
        if unseen:
            parts.append(f"held-out labels that no training row has: {', '.join(map(repr, unseen[:5]))}")
        parts += [
            f"labels that look alike: {', '.join(repr(n) for n in names)}" for names in outcome.labels.lookalikes[:3]
        ]
    if plan.options["precision"] == "bf16" and outcome.precision["use"] != "bf16":
        reason = outcome.precision.get("reason", "bf16 gave other results than f32 on validation rows")
        parts.append(f"scores in f32, not bf16: {reason}")
    return parts


def _too_little(outcome: Outcome) -> list[str]:
    """What cannot be learned because there are too few rows, or rows with too few values."""
    plan, trained, width, parts = outcome.plan, outcome.rows.trained, outcome.rows.width, []
    rows = sum(trained.values())
    # Features from a backbone are often more than the rows, and its training has seen many more pictures.
    if width > rows and plan.backbone is None:
        parts.append(f"{width} features are more than {rows} training rows: the model may only memorise the rows")
    if plan.regression:
        constant = outcome.fitted.target is not None and outcome.fitted.target.constant
        return parts + ([f"{plan.label.text} has the same value in each training row"] if constant else [])
    single = [name for name in outcome.labels.names if trained[name] == 1 and not outcome.rows.held_out[name]]
    if single:
        which = f"classes with a single row, which is used for training: {first_few([*map(repr, single)], 3)}"
        identity = f"; is {plan.label.text} an id and not a class?" if len(single) > _MOST_SINGLE else ""
        parts.append(which + identity)
    return parts
