"""The request of a training, which TRAIN MODEL and CREATE MODEL .. AS pass to the runners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlext.grammar.notes import Name, RawOption
from sqlext.grammar.reader import Source, WrittenModel


@dataclass(frozen=True)
class Validation:
    """VALIDATE: ``kind`` is split, by, source or none.

    ``fraction`` and ``test_fraction`` are the shares of validation and test rows; ``text`` is what the user wrote after
    VALIDATE.
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
    """An option that TUNE varies: over ``values`` (IN), or from ``low`` to ``high`` (BETWEEN); ``log``: on a log scale."""

    option: str
    values: tuple[Any, ...] | None = None
    low: Any = None
    high: Any = None
    log: bool = False
    offset: int = 0
    value_offset: int = 0


@dataclass(frozen=True)
class Tune:
    """TUNE: ``method`` is grid or random, ``direction`` maximize or minimize; None if the statement does not say."""

    items: tuple[TuneItem, ...]
    trials: int | None = None
    method: str | None = None
    direction: str | None = None
    metric: str | None = None
    offset: int = 0


@dataclass(frozen=True)
class TrainRequest:
    """``statement`` is TRAIN MODEL or CREATE MODEL. If ``source`` is None, the model is to be trained again.

    ``given`` maps the words of the written clauses to offsets; the last clause ends at ``clauses_end``. ``options`` has
    typed values of all options, including defaults; ``raw_options`` has the written ones.
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
        """The offset of an option's value; None if the option was not written."""
        return next((option.value_offset for option in self.raw_options if option.key == key), None)
