"""What a training is asked for and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np


@dataclass(frozen=True)
class HeadSpec:
    """``hidden`` empty: one linear layer; else a perceptron with ReLU. ``classes`` None: regression on one value.

    Dropout comes before every linear layer but the first of a perceptron.
    """

    width: int
    classes: int | None
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of W1, b1, W2, b2, ..: W is (outputs, inputs)."""
        widths = [self.width, *self.hidden, self.classes or 1]
        return [shape for i, o in pairwise(widths) for shape in ((o, i), (o,))]


@dataclass(frozen=True)
class TrainSettings:
    """The resolved options of TRAIN.

    ``max_runtime`` is in seconds and ends training after the epoch in which it ran out. ``class_weights`` are by class
    index and count in the training criterion only. ``dampening`` None is BigDL's rule, the same as ``momentum``.
    ``weight_decay`` is an L2 regulariser on every linear layer. ``early_stop`` publishes the epoch of the lowest
    val_loss (without validation rows: loss), and ends after ``early_stop_patience`` epochs that were not lower.
    """

    epochs: int
    batch_size: int | None = None
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    momentum: float | None = None
    dampening: float | None = None
    weight_decay: float = 0.0
    clip_norm: float | None = None
    learning_rate_decay: float = 0.0
    early_stop: bool = False
    early_stop_patience: int = 3
    min_loss: float | None = None
    max_runtime: float | None = None
    seed: int = 42
    class_weights: list[float] | None = None


@dataclass(frozen=True)
class Epoch:
    """One row of a model's history.

    ``iteration`` counts from the start; ``metric_value`` is accuracy or rmse on the validation rows; ``learning_rate``
    is that of the epoch's last iteration, None for an optimizer that has none.
    """

    epoch: int
    iteration: int
    loss: float
    val_loss: float | None
    metric_value: float | None
    learning_rate: float | None
    rows_per_second: float
    recorded_at: datetime


@dataclass(frozen=True)
class TrainedHead:
    """``weights`` (shapes: :attr:`HeadSpec.shapes`) are those of ``best_epoch``: the last, with early_stop the best."""

    weights: list[np.ndarray[Any, np.dtype[np.float32]]]
    history: list[Epoch]
    best_epoch: int
    batch_size: int
    executors: int
    distributed: bool
    reproducible: bool
    note: str | None
    stopped: str | None  # early_stop, min_loss, max_runtime, cancelled; None: all epochs ran
