"""Synthetic features for training tests: Gaussian blobs, and the losses that NumPy computes for given weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

SCHEMA = "features ARRAY<FLOAT>, target DOUBLE, validates BOOLEAN"


@dataclass(frozen=True)
class Blobs:
    """The rows of a training: features (N, width), class indexes or values (N), and whether each row validates (N)."""

    features: np.ndarray[Any, np.dtype[np.float32]]
    target: np.ndarray[Any, np.dtype[np.float64]]
    validates: np.ndarray[Any, np.dtype[np.bool_]]

    def frame(self, spark: SparkSession, partitions: int = 2) -> DataFrame:
        rows = zip(self.features.tolist(), self.target.tolist(), self.validates.tolist(), strict=True)
        return spark.createDataFrame(list(rows), SCHEMA).repartition(partitions).cache()

    def losses(self, weights: list[Any]) -> tuple[float, float]:
        """The mean NLL of the training rows and of the validation rows."""
        nll = -log_probabilities(weights, self.features)[np.arange(len(self.target)), self.target.astype(int)]
        return float(nll[~self.validates].mean()), float(nll[self.validates].mean())

    def accuracy(self, weights: list[Any]) -> float:
        """The accuracy on the validation rows."""
        right = log_probabilities(weights, self.features).argmax(1) == self.target
        return float(right[self.validates].mean())


def blobs(
    *, rows: int = 244, width: int = 64, classes: int = 2, seed: int = 7, apart: float = 0.3, every: int = 5
) -> Blobs:
    random = np.random.default_rng(seed)
    target = random.integers(0, classes, rows)
    centres = random.normal(size=(classes, width)) * apart
    features = (centres[target] + random.normal(size=(rows, width))).astype(np.float32)
    return Blobs(features, target.astype(np.float64), np.arange(rows) % every == 0)


def outputs(weights: list[Any], features: Any) -> Any:
    """The output of the head's last linear layer."""
    *hidden, (last, bias) = zip(weights[::2], weights[1::2], strict=True)
    for weight, offset in hidden:
        features = np.maximum(features @ weight.T + offset, 0)
    return features @ last.T + bias


def log_probabilities(weights: list[Any], features: Any) -> Any:
    scores = outputs(weights, np.asarray(features, dtype=np.float64))
    return (
        scores
        - np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1, keepdims=True))
        - scores.max(1, keepdims=True)
    )
