"""The request and the result of a training, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np

from sqlext.networks.head import Head


@dataclass(frozen=True)
class HeadSpec:
    """The layers of a head. Without ``hidden`` it is one linear layer, otherwise a perceptron with ReLU.

    ``classes`` None is a regression with one output. Dropout precedes every linear layer except the first of a perceptron.
    """

    width: int
    classes: int | None
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the weights W1, b1, W2, b2, ..; W is (outputs, inputs)."""
        widths = [self.width, *self.hidden, self.classes or 1]
        return [shape for i, o in pairwise(widths) for shape in ((o, i), (o,))]

    @classmethod
    def of(cls, head: Head, *, regression: bool) -> HeadSpec:
        """The layers of a head that is trained already."""
        hidden = tuple(int(weight.shape[0]) for weight in head.weights[:-2:2])
        return cls(head.width, None if regression else head.outputs, hidden)


@dataclass(frozen=True)
class TrainSettings:
    """The resolved options of TRAIN.

    ``max_runtime`` is in seconds; training ends after the epoch in which it is exceeded. ``class_weights`` are in the order
    of class indexes and affect only the training criterion. ``dampening`` None means BigDL's default, which is ``momentum``.
    ``weight_decay`` is an L2 regulariser on every linear layer. ``early_stop`` publishes the epoch with the lowest val_loss
    (without validation rows: loss), and ends training after ``early_stop_patience`` epochs without a lower one.
    """

    # The fields are those of TrainSettings in BigDLHead.scala: the JVM reads the JSON by their names.
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

    ``iteration`` counts from the start of training; ``metric_value`` is accuracy or RMSE on the validation rows;
    ``learning_rate`` is that of the epoch's last iteration, or None for an optimizer without a learning rate.
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
    """A trained head. ``weights`` are those of ``best_epoch``: with early_stop the best epoch, otherwise the last one.

    Their shapes are :attr:`HeadSpec.shapes`.
    """

    weights: list[np.ndarray[Any, np.dtype[np.float32]]]
    history: list[Epoch]
    best_epoch: int
    batch_size: int
    executors: int
    distributed: bool
    reproducible: bool
    note: str | None
    stopped: str | None  # early_stop, min_loss, max_runtime, cancelled; None: all epochs ran
