"""Metrics compared with scikit-learn's, and what scikit-learn does not define."""

from __future__ import annotations

import time
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from sqlext.catalog.layout import HELD_OUT
from sqlext.evaluation.held_out import HeldOut
from sqlext.evaluation.metrics import (
    classification,
    confusion,
    has_scores,
    most_frequent,
    per_class,
    wilson_interval,
)
from sqlext.evaluation.names import OF_SCORES
from sqlext.evaluation.quality import baseline, quality


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


def test_ten_thousand_classes_take_no_matrix() -> None:
    """Scores that were not collected leave three metrics undefined, and no function visits 100 million cells."""
    labels = [str(i) for i in range(10_000)]
    rng = np.random.default_rng(4)
    expected, predicted = ([labels[i] for i in rng.integers(0, 10_000, 10_000)] for _ in range(2))
    rows = HeldOut(np.arange(10_000), ["validation"] * 10_000, expected, predicted, np.zeros(10_000), np.zeros((0, 0)))
    trained = Counter(labels)
    tracemalloc.start()
    began = time.process_time()
    right = sum(e == p for e, p in zip(expected, predicted, strict=True)) / 10_000
    assert quality("accuracy", rows, labels) == right
    assert [quality(metric, rows, labels) for metric in OF_SCORES] == [None] * 3
    assert baseline("accuracy", rows, trained, labels, None) == expected.count("0") / 10_000
    assert baseline("log_loss", rows, trained, labels, None) is None
    cells = confusion(expected, predicted, labels)
    pairs = Counter(zip(expected, predicted, strict=True))
    assert cells == [(e, p, n) for (e, p), n in sorted(pairs.items(), key=lambda c: (int(c[0][0]), int(c[0][1])))]
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()
    assert time.process_time() - began < 10


def test_scores_are_collected_up_to_a_limit() -> None:
    assert has_scores(10_000_000, 100) and has_scores(2000, 10_000)
    assert not has_scores(2001, 10_000) and not has_scores(200_000, 101)


def test_blocks_of_rows_give_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sqlext.evaluation.metrics._BLOCK", 40)
    truth, scores, labels = drawn(50, 8)
    found = classification(truth, truth, scores, labels)
    assert found.top_5_accuracy == pytest.approx(sk.top_k_accuracy_score(truth, scores, k=5, labels=labels))
    HeldOut(np.arange(50), ["test"] * 50, truth, truth, scores.max(axis=1), scores, *[np.full(50, np.nan)] * 2).write(
        tmp_path
    )
    stored = pd.read_parquet(tmp_path / HELD_OUT)
    assert np.array_equal(np.stack(stored["scores"]), scores)
    assert stored["label"].tolist() == truth and stored["target"].isna().all()
