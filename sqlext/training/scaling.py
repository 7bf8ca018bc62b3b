"""Scales features and targets by the training rows, so that BigDL sees scaled numbers and users see their own units.

BigDL computes in float32. Means are subtracted and added in float64, so that large numbers that differ little (times in
milliseconds, ids) keep the digits in which they differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from sqlext.bigdl.records import Epoch
from sqlext.evaluation.names import TRAIN
from sqlext.networks.head import Floats, Head, Numbers, fits_float, narrowed

# Weights in the target's units must fit into float32, between 1e-38 and 3e38.
_LARGEST, _SMALLEST = 1e30, 1e-30


@dataclass(frozen=True)
class Scaling:
    """How features and target are scaled; None means not scaled. ``mean`` and ``std`` have shape (width,)."""

    mean: Numbers | None = None
    std: Numbers | None = None
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


def _moments(summary: Row) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation (1 for a constant feature) of each feature, both of shape (width,).

    They are not finite if the feature's values are too large for DOUBLE to square them.
    """
    mean, std = (np.asarray(summary[key].toArray(), dtype=np.float64) for key in ("mean", "std"))
    return narrowed(mean, np.where(std == 0, 1.0, std))


def scale_features(rows: DataFrame, mean: Numbers, std: Numbers) -> DataFrame:
    centre, width = (F.array(*[F.lit(float(x)) for x in values]) for values in (mean, std))
    scaled = F.transform("features", lambda x, i: ((x - centre[i]) / width[i]).cast("float"))
    return rows.withColumn("features", scaled)


@dataclass(frozen=True)
class TargetScale:
    """Mean and standard deviation (1 for a ``constant`` target) of a regression's target over the training rows."""

    mean: float
    std: float
    constant: bool = False

    @classmethod
    def of(cls, moments: Row) -> TargetScale:
        """From ``m`` and ``s``, the mean and the standard deviation."""
        return cls(float(moments.m), float(moments.s) or 1.0, constant=moments.s == 0)

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

    @property
    def problem(self) -> str | None:
        """Why BigDL cannot learn the target; None if it can."""
        if not (math.isfinite(self.std) and math.isfinite(self.mean)) or self.std > _LARGEST:
            return f"its values spread over more than {_LARGEST:g}, about the range of FLOAT; divide them by a constant"
        if self.std < _SMALLEST:
            return f"its values spread over less than {_SMALLEST:g}; multiply them by a constant"
        return None

    def fold(self, weights: Sequence[Floats]) -> list[Numbers]:
        """Weights whose last layer predicts in the target's units instead of scaled ones.

        The last bias is float64 if float32 would lose digits of the target.
        """
        *others, weight, bias = weights
        # In float64, so that only the result is rounded to float32.
        shifted = bias.astype(np.float64) * self.std + self.mean
        if fits_float(self.mean, self.std):
            shifted = shifted.astype(np.float32)
        return [*others, (weight.astype(np.float64) * self.std).astype(np.float32), shifted]

    def unfold(self, weights: Sequence[Numbers]) -> list[Floats]:
        """The reverse of :meth:`fold`."""
        *others, weight, bias = weights
        shifted = (bias.astype(np.float64) - self.mean) / self.std
        scaled = (weight.astype(np.float64) / self.std, shifted)
        return [np.asarray(w, dtype=np.float32) for w in (*others, *scaled)]


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
    # Rounded to float32 at the end: the last bias may be float64.
    weights = [weight * stds[1], shifted, *rest]
    return [np.asarray(w, dtype=np.float32) for w in weights] if target is None else target.unfold(weights)
