"""An evaluation as it was asked for: what EVALUATE MODEL hands to its runner."""

from __future__ import annotations

from dataclasses import dataclass

from sqlext.grammar.notes import Name
from sqlext.grammar.reader import Source, WrittenModel

PER_CLASS = "PER CLASS"
CONFUSION_MATRIX = "CONFUSION MATRIX"


@dataclass(frozen=True)
class EvaluateRequest:
    """``source`` None: the rows that TRAIN held out. ``form`` is :data:`PER_CLASS`, :data:`CONFUSION_MATRIX` or None."""

    models: tuple[WrittenModel, ...]
    source: Source | None = None
    label: Name | None = None
    form: str | None = None
