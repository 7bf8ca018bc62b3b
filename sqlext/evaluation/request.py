"""The request that EVALUATE MODEL passes to its runner."""

from __future__ import annotations

from dataclasses import dataclass

from sqlext.grammar.notes import Name
from sqlext.grammar.reader import Source, WrittenModel

PER_CLASS = "PER CLASS"
CONFUSION_MATRIX = "CONFUSION MATRIX"


@dataclass(frozen=True)
class EvaluateRequest:
    """``source`` is None for the rows that TRAIN held out; ``form`` is PER_CLASS, CONFUSION_MATRIX or None (metrics)."""

    models: tuple[WrittenModel, ...]
    source: Source | None = None
    label: Name | None = None
    form: str | None = None
