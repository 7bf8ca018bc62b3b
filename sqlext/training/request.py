"""A training as it was asked for: what TRAIN MODEL and CREATE MODEL .. AS hand to the runners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlext.grammar.notes import Name, RawOption
from sqlext.grammar.reader import Source, WrittenModel


@dataclass(frozen=True)
class Validation:
    """VALIDATE: ``kind`` is split, by, source or none.

    ``fraction`` and ``test_fraction`` are the shares of rows that validate and test; ``text`` is what the user wrote
    behind VALIDATE.
    """

    kind: str = "split"
    fraction: float = 0.2
    test_fraction: float = 0.0
    stratified: bool = False
    group: Name | None = None
    column: Name | None = None
    seed: int | None = None
    source: Source | None = None
    text: str = "SPLIT 0.2"
    offset: int | None = None


@dataclass(frozen=True)
class TuneItem:
    """One option that TUNE varies: over ``values`` (IN), or from ``low`` to ``high`` (BETWEEN), ``log``: in its logarithm."""

    option: str
    values: tuple[Any, ...] | None = None
    low: Any = None
    high: Any = None
    log: bool = False
    offset: int = 0
    value_offset: int = 0


@dataclass(frozen=True)
class Tune:
    """TUNE: ``method`` is grid, random or None (not said); ``direction`` is maximize, minimize or None."""

    items: tuple[TuneItem, ...]
    trials: int | None = None
    method: str | None = None
    direction: str | None = None
    metric: str | None = None
    offset: int = 0


@dataclass(frozen=True)
class TrainRequest:
    """``statement`` is TRAIN MODEL or CREATE MODEL. ``source`` None: the model is to be trained again.

    ``given`` are the words of the clauses that were written, with their offsets, up to ``clauses_end``. ``options`` are
    all options with typed values, defaults included; ``raw_options`` those that were written.
    """

    statement: str
    name: Name
    replace: bool
    if_not_exists: bool
    source: Source | None
    features: tuple[Name, ...]
    label: Name | None
    target: Name | None
    architecture: str
    backbone: WrittenModel | None
    validation: Validation
    tune: Tune | None
    comment: str | None
    properties: dict[str, str]
    raw_options: tuple[RawOption, ...]
    options: dict[str, Any]
    given: dict[str, int]
    clauses_end: int

    @property
    def regression(self) -> bool:
        return self.target is not None

    def option_offset(self, key: str) -> int | None:
        """Where an option's value stands; None when it was not written."""
        return next((option.value_offset for option in self.raw_options if option.key == key), None)
