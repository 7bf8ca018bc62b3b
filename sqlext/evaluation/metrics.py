"""Metrics computed by scikit-learn; docs/statements/evaluate_model.md defines them.

scikit-learn takes two seconds to import, so the functions that need it import it: a training that reports only the
accuracy does without.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CLIP = 1e-15  # smallest probability in log_loss
# The scores of all rows for all classes lie in the driver's memory, and the stored file of a version has them, too: at most
# this many (160 MB), or up to _FEW_CLASSES for each row, which is no more than its other values take.
MAX_SCORES = 20_000_000
_FEW_CLASSES = 100
_BLOCK = 1 << 20  # scores that are processed at once


def has_scores(rows: int, classes: int) -> bool:
    """Whether the scores of all classes are collected: without them, log_loss, roc_auc and top_5_accuracy are undefined."""
    return classes <= _FEW_CLASSES or rows * classes <= MAX_SCORES


def may_lack_scores(classes: int) -> bool:
    """Whether :func:`has_scores` depends on the number of rows."""
    return classes > _FEW_CLASSES


def row_blocks(rows: int, classes: int) -> Iterator[slice]:
    """Groups of rows whose temporary arrays are small."""
    size = max(1, _BLOCK // max(1, classes))
    return (slice(start, start + size) for start in range(0, rows, size))


@dataclass(frozen=True)
class Classification:
    """Metrics over scored rows; None where a metric is undefined. Macro averages cover the classes that occur."""

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
    expected: Sequence[str], predicted: Sequence[str], scores: npt.NDArray[np.float64] | None, labels: Sequence[str]
) -> Classification:
    """Returns the metrics of a classifier.

    A label that the model never saw counts as a wrong answer; log_loss and roc_auc leave such rows out.

    :param scores: (rows, len(labels)), probabilities in the order of ``labels``; None if they were not collected.
    """
    from sklearn import metrics

    order = {label: i for i, label in enumerate(labels)}
    known = np.array([label in order for label in expected], dtype=bool)
    truth = np.array([order.get(label, -1) for label in expected])[known]
    if scores is not None and not known.all():
        scores = scores[known]
    averages = metrics.precision_recall_fscore_support(expected, predicted, average="macro", zero_division=0)
    return Classification(
        rows=len(expected),
        unknown_labels=int((~known).sum()),
        accuracy=float(metrics.accuracy_score(expected, predicted)),
        precision=float(averages[0]),
        recall=float(averages[1]),
        f1_score=float(averages[2]),
        log_loss=None if scores is None else _log_loss(truth, scores),
        roc_auc=None if scores is None else _roc_auc(truth, scores, len(labels)),
        top_5_accuracy=None if scores is None else _top_5(truth, scores, len(labels), len(expected)),
    )


def _log_loss(truth: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> float | None:
    """Mean of -ln(probability of the label), clipped at 1e-15 (scikit-learn's own clip depends on the dtype)."""
    if not len(truth):
        return None
    return float(-np.log(np.clip(scores[np.arange(len(truth)), truth], CLIP, 1 - CLIP)).mean())


def _roc_auc(truth: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], classes: int) -> float | None:
    """Binary, or one-vs-rest macro over the classes that occur; None when fewer than two occur."""
    from sklearn import metrics

    present = sorted(set(truth.tolist()))
    if len(present) < 2:
        return None
    if classes == 2:
        return float(metrics.roc_auc_score(truth, scores[:, 1]))
    return float(np.mean([metrics.roc_auc_score(truth == c, scores[:, c]) for c in present]))


def _top_5(truth: npt.NDArray[np.int64], scores: npt.NDArray[np.float64], classes: int, rows: int) -> float | None:
    """Share of all ``rows``; ``truth`` and ``scores`` cover only those whose label the model knows."""
    from sklearn import metrics

    if classes <= 5 or not rows:
        return None
    if not len(truth):
        return 0.0
    # In blocks of rows, since scikit-learn sorts a copy of the scores.
    right = sum(
        float(metrics.top_k_accuracy_score(truth[part], scores[part], k=5, labels=range(classes), normalize=False))
        for part in row_blocks(len(truth), classes)
    )
    return right / rows


@dataclass(frozen=True)
class Regression:
    """Metrics over rows with a target and a predicted value, in the units of the target; None where a metric is undefined."""

    rows: int
    rmse: float
    mae: float
    r2: float | None


def regression(target: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> Regression:
    """Returns the metrics of a regressor; ``r2`` compares with the mean of these rows and is None for a single row."""
    from sklearn import metrics

    return Regression(
        rows=len(target),
        rmse=rmse(target, predicted),
        mae=float(metrics.mean_absolute_error(target, predicted)),
        r2=float(metrics.r2_score(target, predicted)) if len(target) > 1 else None,
    )


def rmse(target: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> float:
    """Root of the mean squared error."""
    from sklearn import metrics

    return math.sqrt(metrics.mean_squared_error(target, predicted))


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class against all others; ``support`` is the number of rows with this label."""

    label: str
    precision: float
    recall: float
    f1_score: float
    support: int


def per_class(expected: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> list[ClassMetrics]:
    """Returns the metrics of every label of :func:`in_order`, in its order; 0 where a metric is undefined."""
    from sklearn import metrics

    names = in_order(labels, expected)
    found = metrics.precision_recall_fscore_support(expected, predicted, labels=names, average=None, zero_division=0)
    return [
        ClassMetrics(name, float(precision), float(recall), float(f1), int(support))
        for name, precision, recall, f1, support in zip(names, *found, strict=True)
    ]


MAX_FULL_MATRIX = 100  # with more classes, cells with zero rows are not listed


def confusion(expected: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> list[tuple[str, str, int]]:
    """Returns (expected label, predicted label, rows), also for labels that occur but that the model never saw."""
    counts = Counter(zip(expected, predicted, strict=True))
    rows, columns = in_order(labels, expected), list(labels)
    if len(labels) <= MAX_FULL_MATRIX:
        return [(e, p, counts[e, p]) for e in rows for p in columns]
    # 10,000 classes have 100 million cells: only those with rows are visited.
    places = [{name: place for place, name in enumerate(names)} for names in (rows, columns)]
    cells = sorted(counts.items(), key=lambda cell: (places[0][cell[0][0]], places[1][cell[0][1]]))
    return [(e, p, count) for (e, p), count in cells]


def in_order(labels: Sequence[str], found: Sequence[str]) -> list[str]:
    """Returns the model's labels in their own order (2 before 10), then the other labels that occur, sorted as text."""
    return [*labels, *sorted(set(found) - set(labels))]


def most_frequent(labels: Iterable[str]) -> str:
    """Returns the most frequent label of labels or of a Counter of them; of equally frequent ones, the first by name."""
    return min(Counter(labels).items(), key=lambda item: (-item[1], item[0]))[0]


def wilson_interval(accuracy: float, rows: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """95 % confidence interval of a proportion (Wilson, 1927)."""
    if rows == 0:
        return 0.0, 1.0
    centre = accuracy + z * z / (2 * rows)
    margin = z * math.sqrt(accuracy * (1 - accuracy) / rows + z * z / (4 * rows * rows))
    scale = 1 + z * z / rows
    return (centre - margin) / scale, (centre + margin) / scale
