"""The rows that validate, scored by the published head and stored with the version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import functions as F

from sqlext.networks.head import Head
from sqlext.statements.base import Context
from sqlext.udfs import _worker
from sqlext.udfs._models import PREDICTION, scalar_udf

if TYPE_CHECKING:
    from sqlext.training.plan import TrainPlan
    from sqlext.training.rows import Rows

FILE = "held_out.parquet"


@dataclass(frozen=True)
class HeldOut:
    """One entry per held-out row; ``scores`` is (rows, classes), probabilities in the order of the model's labels."""

    row_hash: npt.NDArray[np.int64]
    split: list[str]
    label: list[str]
    predicted_label: list[str]
    score: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]

    @property
    def rows(self) -> int:
        return len(self.label)

    @property
    def accuracy(self) -> float | None:
        if not self.rows:
            return None
        return float(np.mean(np.array(self.label, dtype=object) == np.array(self.predicted_label, dtype=object)))

    def write(self, folder: Path) -> None:
        """As Parquet, with the columns that sqlext_held_out() shows and the scores that EVALUATE needs."""
        columns: dict[str, Any] = {
            "split": self.split,
            "row_hash": self.row_hash,
            "label": self.label,
            "predicted_label": self.predicted_label,
            "score": self.score,
            "scores": list(self.scores),
        }
        pd.DataFrame(columns).to_parquet(folder / FILE, index=False)

    @classmethod
    def read(cls, data: bytes) -> HeldOut:
        import io

        return cls.of(pd.read_parquet(io.BytesIO(data)))

    @classmethod
    def of(cls, frame: pd.DataFrame) -> HeldOut:
        return cls(
            frame["row_hash"].to_numpy(dtype=np.int64),
            frame["split"].tolist(),
            frame["label"].tolist(),
            frame["predicted_label"].tolist(),
            frame["score"].to_numpy(dtype=np.float64),
            np.stack(frame["scores"].tolist()) if len(frame) else np.zeros((0, 0)),
        )


def score(context: Context, plan: TrainPlan, rows: Rows, head: Head, labels: Sequence[str]) -> HeldOut:
    """Scores the held-out rows on the executors, in f32."""
    spec = _worker.ScoringSpec(key="held-out", head=head, labels=tuple(labels), width=head.width)
    predict = scalar_udf(partial(_worker.predict_arrays, spec=spec), PREDICTION, "score_held_out")
    scored = rows.usable.where("validates").withColumn("scored", predict(F.col("features")))
    frame = scored.select(
        F.lit("validation").alias("split"),
        "row_hash",
        F.col("label_text").alias("label"),
        F.col("scored.label").alias("predicted_label"),
        F.col("scored.score").alias("score"),
        F.col("scored.scores").alias("scores"),
    ).toPandas()
    # One order whatever the partitions were, so that the same run writes the same file.
    return HeldOut.of(frame.sort_values(["row_hash", "label"], ignore_index=True))
