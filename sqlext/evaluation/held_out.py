"""The validation and test rows, scored by the published head and stored with the version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]

from sqlext.catalog.layout import HELD_OUT
from sqlext.evaluation.metrics import has_scores, row_blocks
from sqlext.evaluation.names import TRAIN, VALIDATION
from sqlext.networks.head import Head, softmax

_NO_SCORES: npt.NDArray[np.float64] = np.zeros((0, 0))


@dataclass(frozen=True)
class HeldOut:
    """One entry per held-out row; ``split`` is validation or test.

    Classification: ``scores`` is (rows, classes), probabilities in the order of the model's labels; it is empty if they
    would take too much memory. Regression: ``target`` and ``predicted_value``, in the units of the target. Fields that do
    not apply are None or NaN.

    ``too_large`` counts rows without a prediction, which are not among the entries, by split and label ('' in a regression).
    """

    row_hash: npt.NDArray[np.int64]
    split: list[str]
    label: list[Any]
    predicted_label: list[Any]
    score: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    predicted_value: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    too_large: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        return len(self.split)

    @property
    def accuracy(self) -> float | None:
        """The share of right labels; None for a regressor or without rows."""
        if not self.rows or self.label[0] is None:
            return None
        return float(np.mean(np.array(self.label, dtype=object) == np.array(self.predicted_label, dtype=object)))

    def of_split(self, split: str) -> HeldOut:
        """Returns only the rows of one split."""
        keep = [i for i, s in enumerate(self.split) if s == split]
        return HeldOut(
            self.row_hash[keep],
            [self.split[i] for i in keep],
            [self.label[i] for i in keep],
            [self.predicted_label[i] for i in keep],
            self.score[keep],
            self.scores[keep] if len(self.scores) else self.scores,
            self.target[keep],
            self.predicted_value[keep],
            Counter({key: rows for key, rows in self.too_large.items() if key[0] == split}),
        )

    def write(self, folder: Path) -> None:
        """Writes Parquet with the columns that sqlext_held_out() shows and the scores that EVALUATE needs."""
        columns: dict[str, Any] = {
            "split": self.split,
            "row_hash": self.row_hash,
            "label": self.label,
            "predicted_label": self.predicted_label,
            "score": self.score,
            "scores": _lists(self.scores) if len(self.scores) else [None] * self.rows,
            "target": self.target,
            "predicted_value": self.predicted_value,
        }
        schema = _schema()
        arrays = [_array(columns[f.name], f.type) for f in schema]
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / HELD_OUT)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    """NaN becomes NULL."""
    return values if isinstance(values, pa.Array) else pa.array(values, kind, from_pandas=True)


def _lists(matrix: npt.NDArray[np.float64]) -> pa.Array:
    """Each row as a list. Lists of Python's numbers would take four times the memory."""
    ends = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(matrix.ravel()))


def _schema() -> pa.Schema:
    return pa.schema(
        [
            ("split", pa.string()),
            ("row_hash", pa.int64()),
            ("label", pa.string()),
            ("predicted_label", pa.string()),
            ("score", pa.float64()),
            ("scores", pa.list_(pa.float64())),
            ("target", pa.float64()),
            ("predicted_value", pa.float64()),
        ]
    )


def score(usable: DataFrame, head: Head, labels: Sequence[str], *, rows: int, regression: bool = False) -> HeldOut:
    """Scores the validation and test rows on the executors, in f32.

    Rows that have no prediction, because their numbers exceed FLOAT on the way, are left out and counted.

    :param usable: rows with the columns side, row_hash, label_text, target and features.
    :param head: that of the new version, or of another model that is compared with it.
    :param rows: the number of held-out rows, which with many classes decides whether all their scores are collected.
    """
    with_scores = not regression and has_scores(rows, len(labels))
    held_out = usable.where(F.col("side") != TRAIN)
    frame = held_out.select(
        F.col("side").alias("split"),
        "row_hash",
        "label_text",
        "target",
        _forward(head, best_only=not regression and not with_scores)(F.col("features")).alias("output"),
    ).toPandas()
    lost = frame[frame["output"].isna()]
    too_large = Counter(zip(lost["split"], [""] * len(lost) if regression else lost["label_text"], strict=True))
    # A fixed order, whatever the partitions were, so that equal runs write equal files.
    order, ascending = ["split", "row_hash", "label_text"], [False, True, True]
    frame = frame.drop(index=lost.index).sort_values(order, ascending=ascending, ignore_index=True)
    predicted = _predicted_values(frame) if regression else _predicted_labels(frame, labels, with_scores)
    split, row_hash = frame["split"].tolist(), frame["row_hash"].to_numpy(dtype=np.int64)
    return HeldOut(row_hash=row_hash, split=split, too_large=too_large, **predicted)


def _predicted_values(frame: pd.DataFrame) -> dict[str, Any]:
    """The fields of a regression."""
    nothing = [None] * len(frame)
    return {
        "label": nothing,
        "predicted_label": nothing,
        "score": np.full(len(frame), np.nan),
        "scores": _NO_SCORES,
        "target": frame["target"].to_numpy(dtype=np.float64),
        "predicted_value": np.array([float(output[0]) for output in frame["output"]], dtype=np.float64),
    }


def _predicted_labels(frame: pd.DataFrame, labels: Sequence[str], with_scores: bool) -> dict[str, Any]:
    """The fields of a classification."""
    if with_scores:
        scores = np.empty((len(frame), len(labels)))
        # In blocks: softmax needs several arrays of the size of its input.
        for rows in row_blocks(len(frame), len(labels)):
            scores[rows] = softmax(np.stack(frame["output"].iloc[rows].tolist()))
        best = scores.argmax(axis=1)
        top = scores[np.arange(len(frame)), best]
    else:
        scores = _NO_SCORES
        pairs = np.array(frame["output"].tolist(), dtype=np.float64).reshape(len(frame), 2)
        best, top = pairs[:, 0].astype(int), pairs[:, 1]
    return {
        "label": frame["label_text"].tolist(),
        "predicted_label": [labels[i] for i in best],
        "score": top,
        "scores": scores,
        "target": np.full(len(frame), np.nan),
        "predicted_value": np.full(len(frame), np.nan),
    }


def _forward(head: Head, *, best_only: bool) -> Callable[..., Any]:
    """Returns a UDF from unscaled features, an array of FLOAT or DOUBLE, to the outputs of the head in its own type.

    It returns NULL for a row without a prediction.

    :param best_only: returns only the index of the predicted class and its probability.
    """

    def block(features: pd.Series) -> list[Any]:
        found, good = head.finite_logits(np.stack(list(features)))
        if best_only:
            with np.errstate(invalid="ignore", over="ignore"):
                scores = softmax(found)
            found = np.stack([scores.argmax(axis=1), scores.max(axis=1)], axis=1)
        return [row if fine else None for row, fine in zip(found, good, strict=True)]

    def outputs(features: pd.Series) -> pd.Series:
        # In blocks, because 10,000 rows of 10,000 classes would not fit into a worker.
        parts = [block(features.iloc[part]) for part in row_blocks(len(features), head.outputs)]
        return pd.Series([row for rows in parts for row in rows], dtype=object)

    outputs.__annotations__ = {"features": pd.Series, "return": pd.Series}
    outputs.__name__ = "score_held_out"
    kind = "double" if best_only or head.returns_double else "float"
    return pandas_udf(outputs, f"array<{kind}>")  # type: ignore[call-overload, no-any-return]


__all__ = ["VALIDATION", "HeldOut", "score"]
