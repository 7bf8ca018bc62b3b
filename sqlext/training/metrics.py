"""Metrics of a classifier, by scikit-learn, with the definitions that docs/statements/evaluate_model.md gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn import metrics

CLIP = 1e-15  # of log_loss


@dataclass(frozen=True)
class Classification:
    """Metrics over scored rows; None where one is not defined. Macro averages are over the classes that occur."""

    rows: int
    unknown_labels: int
    accuracy: float
    precision: float
    recall: float
    f1_score: float
    log_loss: float | None
    roc_auc: float | None
    top_5_accuracy: float | None


def classification(
    expected: Sequence[str], predicted: Sequence[str], scores: npt.NDArray[np.float64], labels: Sequence[str]
) -> Classification:
    """``scores`` is (rows, len(labels)), probabilities in the order of ``labels``.

    A label that the model never saw is a wrong answer; log_loss, roc_auc and top_5_accuracy leave it out.
    """
    order = {label: i for i, label in enumerate(labels)}
    known = np.array([label in order for label in expected], dtype=bool)
    truth = np.array([order.get(label, -1) for label in expected])[known]
    averages = metrics.precision_recall_fscore_support(expected, predicted, average="macro", zero_division=0)
    return Classification(
        rows=len(expected),
        unknown_labels=int((~known).sum()),
        accuracy=float(metrics.accuracy_score(expected, predicted)),
        precision=float(averages[0]),
        recall=float(averages[1]),
        f1_score=float(averages[2]),
        log_loss=_log_loss(truth, scores[known]),
        roc_auc=_roc_auc(truth, scores[known], len(labels)),
        top_5_accuracy=_top_5(truth, scores[known], len(labels)),
    )


def _log_loss(truth: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> float | None:
    """Mean of -ln(probability of the label), clipped at 1e-15 (scikit-learn's own clip depends on the dtype)."""
    if not len(truth):
        return None
    return float(-np.log(np.clip(scores[np.arange(len(truth)), truth], CLIP, 1 - CLIP)).mean())


def _roc_auc(truth: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], classes: int) -> float | None:
    """Binary, or one-vs-rest macro over the classes that occur; None when fewer than two occur."""
    present = sorted(set(truth.tolist()))
    if len(present) < 2:
        return None
    if classes == 2:
        return float(metrics.roc_auc_score(truth, scores[:, 1]))
    return float(np.mean([metrics.roc_auc_score(truth == c, scores[:, c]) for c in present]))


def _top_5(truth: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], classes: int) -> float | None:
    if classes <= 5 or not len(truth):
        return None
    return float(metrics.top_k_accuracy_score(truth, scores, k=5, labels=range(classes)))


def most_frequent(labels: Sequence[str]) -> str:
    """The label that 'always answer the most frequent one' gives; ties go to the first in the order of the labels."""
    return min(Counter(labels).items(), key=lambda item: (-item[1], item[0]))[0]


def wilson_interval(accuracy: float, rows: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """95 % confidence interval of a proportion (Wilson, 1927)."""
    if rows == 0:
        return 0.0, 1.0
    centre = accuracy + z * z / (2 * rows)
    margin = z * math.sqrt(accuracy * (1 - accuracy) / rows + z * z / (4 * rows * rows))
    scale = 1 + z * z / rows
    return (centre - margin) / scale, (centre + margin) / scale
