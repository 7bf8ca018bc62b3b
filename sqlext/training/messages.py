"""What TRAIN says in its `message` column and in its errors: whole sentences for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sqlext.training.features import NULL_LABEL
from sqlext.training.metrics import wilson_interval

if TYPE_CHECKING:
    from sqlext.catalog import ModelEntry, ModelVersion
    from sqlext.training.plan import TrainPlan
    from sqlext.training.record import Outcome


def reasons(why: Counter[str]) -> str:
    """'3 x no image, 1 x truncated file'."""
    return ", ".join(f"{count} x {reason}" for reason, count in why.most_common(3))


def bad_rows_query(plan: TrainPlan, why: Counter[str]) -> str:
    """The SELECT that lists the rows that cannot be used."""
    tests = []
    if set(why) - {NULL_LABEL}:
        tests.append(_bad_features(plan))
    if NULL_LABEL in why:
        tests.append(f"{plan.label.text} IS NULL")
    return f"SELECT * FROM {plan.source_text} WHERE {' OR '.join(tests)}"


def _bad_features(plan: TrainPlan) -> str:
    column = plan.embedder.features.text
    if plan.embedder.embeds:
        return f"image_error({column}) IS NOT NULL"
    return f"{column} IS NULL OR exists({column}, x -> x IS NULL OR isnan(x))"


def trained(outcome: Outcome, entry: ModelEntry, version: ModelVersion) -> str:
    """The message of a READY row."""
    parts = [_default(entry, version), _accuracy(outcome), _placement(outcome), *_data(outcome)]
    skipped = outcome.rows.skipped_why
    if skipped:
        parts.append(f"skipped {reasons(skipped)}: {bad_rows_query(outcome.plan, skipped)}")
    return "; ".join(part for part in parts if part)


def _default(entry: ModelEntry, version: ModelVersion) -> str:
    if entry.default.version == version.version:
        return ""
    why = "pinned" if entry.default.pinned else "promote = 'never'"
    return f"default stays {entry.default.version}: {why}"


def _accuracy(outcome: Outcome) -> str:
    scored = outcome.scored
    if scored.accuracy is None:
        why = (
            "VALIDATE NONE"
            if outcome.plan.validation.kind == "none"
            else "rows with identical features stay on one side"
        )
        return f"no held-out rows ({why})"
    low, high = wilson_interval(scored.accuracy, scored.rows)
    baseline = outcome.baseline or 0.0
    text = (
        f"accuracy {scored.accuracy:.3f} on {scored.rows} rows ({low:.3f} to {high:.3f}, Wilson 95 %); "
        f"always '{outcome.frequent_label}' would give {baseline:.3f}"
    )
    if baseline >= low:
        text += ": the model is not shown to be better than that"
    return text


def _placement(outcome: Outcome) -> str:
    trained = outcome.trained
    where = f"trained on {trained.executors} executor{'s' if trained.executors != 1 else ''}"
    ended = {"early_stop": f", stopped early; epoch {trained.best_epoch} is published"}.get(trained.stopped or "", "")
    return where + ended + (f" ({trained.note})" if trained.note else "")


def _data(outcome: Outcome) -> list[str]:
    plan, parts = outcome.plan, []
    if plan.validation.kind == "split" and plan.validation.fraction > 0.5:
        parts.append(f"SPLIT {plan.validation.fraction:g} is the share that validates; the smaller rest trained")
    if outcome.rows.shared:
        parts.append(f"{outcome.rows.shared} validation rows have the features of a training row")
    unseen = sorted(set(outcome.rows.held_out) - set(outcome.labels.names))
    if unseen:
        parts.append(f"validation labels unseen in training: {', '.join(unseen[:5])}")
    parts += [f"labels that look alike: {', '.join(repr(n) for n in names)}" for names in outcome.labels.lookalikes[:3]]
    return parts
