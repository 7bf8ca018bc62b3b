"""The validation and test rows, scored by the published head and stored with the version."""

from __future__ import annotations

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
from sqlext.evaluation.names import TRAIN, VALIDATION
from sqlext.networks.head import Head, softmax


@dataclass(frozen=True)
class HeldOut:
    """One entry per held-out row; ``split`` is validation or test.

    Classification: ``scores`` is (rows, classes), probabilities in the order of the model's labels. Regression:
    ``target`` and ``predicted_value``, in the units of the target. Fields that do not apply are None or NaN.
    """

    row_hash: npt.NDArray[np.int64]
    split: list[str]
    label: list[Any]
    predicted_label: list[Any]
    score: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    predicted_value: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

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
        )

    def write(self, folder: Path) -> None:
        """Writes Parquet with the columns that sqlext_held_out() shows and the scores that EVALUATE needs."""
        columns: dict[str, Any] = {
            "split": self.split,
            "row_hash": self.row_hash,
            "label": self.label,
            "predicted_label": self.predicted_label,
            "score": self.score,
            "scores": self.scores.tolist() if len(self.scores) else [None] * self.rows,
            "target": self.target,
            "predicted_value": self.predicted_value,
        }
        schema = _schema()
        arrays = [pa.array(columns[f.name], f.type, from_pandas=True) for f in schema]  # NaN becomes NULL
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / HELD_OUT)


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


def score(usable: DataFrame, head: Head, labels: Sequence[str], *, regression: bool = False) -> HeldOut:
    """Scores the validation and test rows on the executors, in f32.

    :param usable: rows with the columns side, row_hash, label_text, target and features.
    :param head: that of the new version, or of another model that is compared with it.
    """
    held_out = usable.where(F.col("side") != TRAIN)
    frame = held_out.select(
        F.col("side").alias("split"),
        "row_hash",
        "label_text",
        "target",
        _forward(head)(F.col("features")).alias("output"),
    ).toPandas()
    # A fixed order, whatever the partitions were, so that equal runs write equal files.
    frame = frame.sort_values(["split", "row_hash", "label_text"], ascending=[False, True, True], ignore_index=True)
    # The reshape is for frames without rows, which would have one axis.
    outputs = np.array(frame["output"].tolist(), dtype=np.float64).reshape(len(frame), head.outputs)
    empty = np.full(len(frame), np.nan)
    row_hash, split = frame["row_hash"].to_numpy(dtype=np.int64), frame["split"].tolist()
    if regression:
        target, nothing = frame["target"].to_numpy(dtype=np.float64), [None] * len(frame)
        return HeldOut(row_hash, split, nothing, nothing, empty, np.zeros((0, 0)), target, outputs[:, 0])
    scores = softmax(outputs)
    best = scores.argmax(axis=1) if len(frame) else np.zeros(0, dtype=int)
    predicted = [labels[i] for i in best]
    top = scores[np.arange(len(frame)), best]
    return HeldOut(row_hash, split, frame["label_text"].tolist(), predicted, top, scores, empty, empty)


def _forward(head: Head) -> Callable[..., Any]:
    """Returns a UDF from unscaled features, an array of FLOAT or DOUBLE, to the outputs of the head in its own type."""

    def outputs(features: pd.Series) -> pd.Series:
        return pd.Series(list(head.logits(np.stack(list(features)))))

    outputs.__annotations__ = {"features": pd.Series, "return": pd.Series}
    outputs.__name__ = "score_held_out"
    return pandas_udf(outputs, f"array<{'double' if head.returns_double else 'float'}>")  # type: ignore[call-overload, no-any-return]


__all__ = ["VALIDATION", "HeldOut", "score"]
