"""Scales features and targets by the training rows, so that BigDL sees scaled numbers and users see their own units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from sqlext.bigdl.records import Epoch
from sqlext.evaluation.names import TRAIN
from sqlext.networks.head import Head

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scaling:
    """How features and target are scaled; None means not scaled. ``mean`` and ``std`` have shape (width,)."""

    mean: Floats | None = None
    std: Floats | None = None
    target: TargetScale | None = None

    @classmethod
    def of(cls, rows: DataFrame, *, features: bool, target: bool) -> Scaling:
        """The scaling by the training rows among ``rows``, in one pass; no pass if neither is to be scaled."""
        wanted = [
            *([_summary().alias("features")] if features else []),
            *(
                [F.struct(F.mean("target").alias("m"), F.stddev_pop("target").alias("s")).alias("target")]
                if target
                else []
            ),
        ]
        if not wanted:
            return cls()
        found = rows.where(F.col("side") == TRAIN).select(*wanted).first()
        assert found is not None
        mean, std = _moments(found.features) if features else (None, None)
        return cls(mean, std, TargetScale.of(found.target) if target else None)

    def scale(self, rows: DataFrame) -> DataFrame:
        """``rows`` with scaled features and target."""
        if self.mean is not None and self.std is not None:
            rows = scale_features(rows, self.mean, self.std)
        return rows if self.target is None else self.target.scale(rows)


def _summary() -> Column:
    from pyspark.ml.functions import array_to_vector
    from pyspark.ml.stat import Summarizer

    return Summarizer.metrics("mean", "std").summary(array_to_vector(F.col("features")))


def _moments(summary: Row) -> tuple[Floats, Floats]:
    """Mean and standard deviation (1 for a constant feature) of each feature, both of shape (width,)."""
    mean, std = (np.asarray(summary[key].toArray(), dtype=np.float32) for key in ("mean", "std"))
    return mean, np.where(std > 0, std, np.float32(1))


def scale_features(rows: DataFrame, mean: Floats, std: Floats) -> DataFrame:
    centre, width = (F.array(*[F.lit(float(x)) for x in values]) for values in (mean, std))
    scaled = F.transform("features", lambda x, i: ((x - centre[i]) / width[i]).cast("float"))
    return rows.withColumn("features", scaled)


@dataclass(frozen=True)
class TargetScale:
    """Mean and standard deviation (1 for a constant target) of a regression's target over the training rows."""

    mean: float
    std: float

    @classmethod
    def of(cls, moments: Row) -> TargetScale:
        """From ``m`` and ``s``, the mean and the standard deviation."""
        return cls(float(moments.m), float(moments.s) or 1.0)

    def scale(self, rows: DataFrame) -> DataFrame:
        return rows.withColumn("target", (F.col("target") - self.mean) / self.std)

    def in_units(self, epoch: Epoch) -> Epoch:
        """Converts an epoch on the scaled target: losses to the target's squared units, rmse to its units."""
        square = self.std**2
        return replace(
            epoch,
            loss=epoch.loss * square,
            val_loss=None if epoch.val_loss is None else epoch.val_loss * square,
            metric_value=None if epoch.metric_value is None else epoch.metric_value * self.std,
        )

    def fold(self, weights: Sequence[Floats]) -> list[Floats]:
        """Weights whose last layer predicts in the target's units instead of scaled ones."""
        *others, weight, bias = weights
        # In float64, so that only the result is rounded to float32.
        shifted = bias.astype(np.float64) * self.std + self.mean
        return [*others, (weight.astype(np.float64) * self.std).astype(np.float32), shifted.astype(np.float32)]

    def unfold(self, weights: Sequence[Floats]) -> list[Floats]:
        """The reverse of :meth:`fold`."""
        *others, weight, bias = weights
        shifted = (bias.astype(np.float64) - self.mean) / self.std
        return [*others, (weight.astype(np.float64) / self.std).astype(np.float32), shifted.astype(np.float32)]


def start_weights(head: Head, scaling: Scaling) -> list[Floats]:
    """The weights that predict for rows scaled by ``scaling`` what ``head`` predicts for the unscaled rows."""
    mean, std, target = scaling.mean, scaling.std, scaling.target
    means = [np.float64(0) if v is None else v.astype(np.float64) for v in (head.mean, mean)]
    stds = [np.float64(1) if v is None else v.astype(np.float64) for v in (head.std, std)]
    first, bias, *rest = head.weights
    # Solves W ((x - m0) / s0) + b = W' ((x - m1) / s1) + b' for W' and b', with the
    # scaling of the head (0) and of this run (1).
    weight = first.astype(np.float64) / stds[0]
    shifted = bias.astype(np.float64) + weight @ np.broadcast_to(means[1] - means[0], (head.width,))
    weights = [(weight * stds[1]).astype(np.float32), shifted.astype(np.float32), *rest]
    return weights if target is None else target.unfold(weights)
