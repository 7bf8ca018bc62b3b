"""Metrics compared with scikit-learn's, and what scikit-learn does not define."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from sqlext.evaluation.metrics import classification, confusion, most_frequent, per_class, wilson_interval


def drawn(rows: int, classes: int) -> tuple[list[str], np.ndarray, list[str]]:
    rng = np.random.default_rng(3)
    scores = rng.dirichlet(np.ones(classes), rows)
    return [f"c{i}" for i in rng.integers(0, classes, rows)], scores, [f"c{i}" for i in range(classes)]


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_against_scikit_learn(classes: int) -> None:
    truth, scores, labels = drawn(200, classes)
    predicted = [labels[i] for i in scores.argmax(axis=1)]
    found = classification(truth, predicted, scores, labels)
    assert found.accuracy == sk.accuracy_score(truth, predicted)
    assert found.f1_score == sk.f1_score(truth, predicted, average="macro")
    assert found.log_loss == pytest.approx(sk.log_loss(truth, scores, labels=labels), abs=1e-12)
    expected = (
        sk.roc_auc_score(truth, scores[:, 1])
        if classes == 2
        else sk.roc_auc_score(truth, scores, multi_class="ovr", labels=labels)
    )
    assert found.roc_auc == pytest.approx(expected)
    if classes > 5:
        assert found.top_5_accuracy == sk.top_k_accuracy_score(truth, scores, k=5, labels=labels)
    else:
        assert found.top_5_accuracy is None


def test_unknown_labels_are_wrong_and_left_out_of_log_loss() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    found = classification(["a", "b", "never seen"], ["a", "b", "a"], scores, ["a", "b"])
    assert (found.rows, found.unknown_labels) == (3, 1)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.8]).mean())
    truth, scores, labels = drawn(20, 8)
    known = classification(truth, truth, scores, labels).top_5_accuracy
    more = classification([*truth, *["new"] * 5], [*truth, *["c0"] * 5], np.vstack([scores, scores[:5]]), labels)
    assert known is not None and more.top_5_accuracy == pytest.approx(known * 20 / 25)
    assert classification(["new"], ["c0"], scores[:1], labels).top_5_accuracy == 0


def test_impossible_scores_are_clipped() -> None:
    found = classification(["a"], ["b"], np.array([[0.0, 1.0]]), ["a", "b"])
    assert found.log_loss == pytest.approx(-np.log(1e-15))
    assert found.roc_auc is None


@pytest.mark.parametrize("labels", [["b", "d"], ["d", "b"], ["2", "10"]])
def test_labels_that_the_model_never_saw_come_last(labels: list[str]) -> None:
    """Whatever the order of the model's labels: one that would sort before them, one between and one after."""
    expected, predicted = ["e", "a", labels[1], "c", labels[0], "a"], [labels[0]] * 6
    order = [*labels, "a", "c", "e"]
    found = per_class(expected, predicted, labels)
    assert [(m.label, m.support) for m in found] == [(label, expected.count(label)) for label in order]
    cells = confusion(expected, predicted, labels)
    assert cells == [(e, p, expected.count(e) * (p == labels[0])) for e in order for p in labels]


def test_wilson_interval_of_the_worked_example() -> None:
    low, high = wilson_interval(147 / 153, 153)  # 0.961 on 153 rows
    assert (round(low, 3), round(high, 3)) == (0.917, 0.982)


def test_most_frequent_label_breaks_ties_by_name() -> None:
    assert most_frequent(["b", "a", "a", "b", "c"]) == "a"
