"""metric_value and baseline_value: how good a head is on held-out rows, and how good a constant answer would be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sqlext.evaluation.held_out import HeldOut
from sqlext.evaluation.metrics import classification, most_frequent, regression
from sqlext.evaluation.names import LOWER_IS_BETTER, OF_SCORES, REGRESSION_METRICS


def quality(metric: str, rows: HeldOut, labels: Sequence[str]) -> float | None:
    """Returns a metric over ``rows``, as EVALUATE defines it; None if it is undefined or there are no rows.

    :param labels: those of the model that scored the rows.
    """
    if not rows.rows:
        return None
    if metric in REGRESSION_METRICS:
        return getattr(regression(rows.target, rows.predicted_value), metric)  # type: ignore[no-any-return]
    if metric == "accuracy":
        return rows.accuracy
    if metric in OF_SCORES and not len(rows.scores):
        return None
    scores = rows.scores if len(rows.scores) else None
    value = getattr(classification(rows.label, rows.predicted_label, scores, labels), metric)
    return None if value is None else float(value)


def baseline(
    metric: str, rows: HeldOut, trained: Counter[str], labels: Sequence[str], mean: float | None
) -> float | None:
    """Returns the metric of a constant answer.

    :param trained: training labels: the answer is the most frequent one, and the scores are the share of each label.
    :param mean: of the training targets; the answer of a regressor.
    """
    if not rows.rows:
        return None
    if mean is not None:
        return quality(metric, replace(rows, predicted_value=np.full(rows.rows, mean)), labels)
    frequent = most_frequent(trained)
    total = sum(trained.values())
    each = np.array([trained[label] / total for label in labels])
    # A view, which takes no memory; if the scores were not collected, the metric is undefined here, too.
    shares = np.broadcast_to(each, (rows.rows, len(each))) if len(rows.scores) else rows.scores
    return quality(metric, replace(rows, predicted_label=[frequent] * rows.rows, scores=shares), labels)


def is_better(metric: str, new: float, old: float) -> bool:
    return new < old if metric in LOWER_IS_BETTER else new > old
