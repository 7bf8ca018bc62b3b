"""metric_value and baseline_value: how good a head is on held-out rows, and how good no model at all would be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sqlext.evaluation.held_out import HeldOut
from sqlext.evaluation.metrics import classification, most_frequent, regression
from sqlext.evaluation.names import LOWER_IS_BETTER, REGRESSION_METRICS


def quality(metric: str, rows: HeldOut, labels: Sequence[str]) -> float | None:
    """A metric over ``rows``, with EVALUATE's definitions; None without rows, or where it is not defined.

    ``labels`` are those of the model that scored the rows.
    """
    if not rows.rows:
        return None
    if metric in REGRESSION_METRICS:
        return getattr(regression(rows.target, rows.predicted_value), metric)  # type: ignore[no-any-return]
    if metric == "accuracy":
        return rows.accuracy
    value = getattr(classification(rows.label, rows.predicted_label, rows.scores, labels), metric)
    return None if value is None else float(value)


def baseline(
    metric: str, rows: HeldOut, trained: Counter[str], labels: Sequence[str], mean: float | None
) -> float | None:
    """The same metric of always answering the most frequent training label, each class by its share, or the ``mean``."""
    if not rows.rows:
        return None
    if mean is not None:
        return quality(metric, replace(rows, predicted_value=np.full(rows.rows, mean)), labels)
    frequent = most_frequent(trained)
    total = sum(trained.values())
    shares = np.tile([trained[label] / total for label in labels], (rows.rows, 1))
    return quality(metric, replace(rows, predicted_label=[frequent] * rows.rows, scores=shares), labels)


def is_better(metric: str, new: float, old: float) -> bool:
    return new < old if metric in LOWER_IS_BETTER else new > old
