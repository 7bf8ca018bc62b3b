"""Expands TUNE to a list of trials: each is the request with its own options, checked before any job.

GRID takes every combination of IN (..); RANDOM draws from IN and BETWEEN with the option seed, so that the same statement
has the same trials.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlext.bigdl.optimizers import OF_SOME_OPTIMIZERS, OPTIMIZERS
from sqlext.errors import SqlExtError, nearest
from sqlext.evaluation.names import CLASSIFICATION_METRICS, LOWER_IS_BETTER, REGRESSION_METRICS
from sqlext.grammar.notes import RawOption
from sqlext.grammar.options import Option, resolve
from sqlext.training.options import FOREIGN_OPTIONS, OPTIONS, check_together
from sqlext.training.request import TrainRequest, Tune, TuneItem

MOST = 1000  # maximum number of trials of one statement
DEFAULT_TRIALS = 10
VAL_LOSS = "val_loss"
TUNABLE = tuple(option.name for option in OPTIONS if option.tunable)


@dataclass(frozen=True)
class Goal:
    """Which trial is best: by ``metric`` on the validation rows."""

    metric: str
    lower: bool

    def better(self, value: float | None, than: float | None) -> bool:
        if value is None or math.isnan(value):
            return False
        return than is None or (value < than if self.lower else value > than)


@dataclass(frozen=True)
class Trial:
    """``request`` is the training with the options of this trial; ``tried`` are those that TUNE chose."""

    request: TrainRequest
    tried: dict[str, Any]

    def __str__(self) -> str:
        return ", ".join(f"{key} = {_shown(value)}" for key, value in self.tried.items())


def goal_of(request: TrainRequest) -> Goal:
    """The goal that MAXIMIZE, MINIMIZE or the option metric sets; by default accuracy, or rmse for a regression.

    :raises SqlExtError: INVALID_TUNE for an unknown metric or the wrong direction.
    """
    tune = _tune(request)
    known = (*(REGRESSION_METRICS if request.regression else CLASSIFICATION_METRICS), VAL_LOSS)
    metric = tune.metric or request.options["metric"] or known[0]
    if metric not in known:
        raise _invalid(f"cannot rank by {metric}. {nearest(metric, known, limit=10)}", tune.offset)
    lower = metric in LOWER_IS_BETTER or metric == VAL_LOSS
    if tune.direction is not None and (tune.direction == "minimize") != lower:
        right, better = ("MINIMIZE", "lower") if lower else ("MAXIMIZE", "higher")
        raise _invalid(
            f"ranks trials by {metric}, of which {better} values are better: write {right} {metric}", tune.offset
        )
    return Goal(metric, lower)


def trials_of(request: TrainRequest) -> list[Trial]:
    """The trials in the order in which they run.

    :raises SqlExtError: INVALID_TUNE, UNKNOWN_OPTION, INVALID_OPTION_VALUE and other errors of options, at the item's
        position.
    """
    tune = _tune(request)
    if request.validation.kind == "none":
        raise _invalid("needs validation rows to compare trials; VALIDATE NONE leaves none", tune.offset)
    goal_of(request)
    choices = [_checked(item) for item in tune.items]
    random_search = tune.method == "random" or (tune.method is None and any(i.values is None for i in tune.items))
    draw = _drawn(tune, choices, request.options["seed"]) if random_search else _grid(tune, choices, request)
    found: dict[str, Trial] = {}
    wanted = (tune.trials or DEFAULT_TRIALS) if random_search else MOST
    for values in draw:
        trial = _trial(request, tune, values)
        found.setdefault(str(trial), trial)
        if len(found) == wanted:
            break
    return list(found.values())


def _tune(request: TrainRequest) -> Tune:
    assert request.tune is not None
    return request.tune


def _invalid(problem: str, offset: int) -> SqlExtError:
    return SqlExtError("INVALID_TUNE", problem=problem.rstrip("."), offset=offset)


# --- values -------------------------------------------------------------------------------------------------------


def _checked(item: TuneItem) -> TuneItem:
    """The item with typed values."""
    option = next((o for o in OPTIONS if o.name == item.option), None)
    if option is None:
        hint = _written_here(item.option) or nearest(item.option, TUNABLE)
        raise SqlExtError("UNKNOWN_OPTION", option=item.option, hint=hint, offset=item.offset)
    if item.option not in TUNABLE:
        raise _invalid(f"cannot vary {item.option}; it can vary {', '.join(TUNABLE)}", item.offset)
    if item.values is not None:
        return TuneItem(item.option, tuple(_read(option, v, item) for v in item.values), offset=item.offset)
    return _range(option, item)


def _written_here(option: str) -> str:
    """A hint with our name of another system's option; '' if the option is not known."""
    key = FOREIGN_OPTIONS.get(option, "").partition(" = ")[0]
    return f"Write {key}." if key else ""


def _range(option: Option, item: TuneItem) -> TuneItem:
    low, high = (_read(option, value, item) for value in (item.low, item.high))
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in (low, high)):
        raise _invalid(f"varies {item.option} with IN (..): BETWEEN is for numbers", item.value_offset)
    if low >= high:
        raise _invalid(f"has an empty range: {item.option} BETWEEN {low} AND {high}", item.value_offset)
    if item.log and low <= 0:
        raise _invalid(f"needs LOG ranges above 0: that of {item.option} begins at {low}", item.value_offset)
    return TuneItem(item.option, None, low, high, item.log, item.offset, item.value_offset)


def _read(option: Option, value: Any, item: TuneItem) -> Any:
    try:
        return option.read(value)
    except ValueError as accepted:
        raise SqlExtError(
            "INVALID_OPTION_VALUE", option=option.name, value=value, accepted=accepted, offset=item.value_offset
        ) from None


# --- combinations -------------------------------------------------------------------------------------------------


def _grid(tune: Tune, items: list[TuneItem], request: TrainRequest) -> Iterator[tuple[Any, ...]]:
    ranges = [item for item in items if item.values is None]
    if ranges:
        problem = f"BY GRID needs IN (..), but {ranges[0].option} has BETWEEN: write BY RANDOM"
        raise _invalid(problem, ranges[0].offset)
    size = math.prod(len(item.values or ()) for item in items)
    if size > MOST and (tune.trials or size) > MOST:
        raise _invalid(f"has {size:,} combinations, but runs at most {MOST:,} trials: write TRIALS n", tune.offset)
    combinations = itertools.product(*(item.values or () for item in items))
    if tune.trials is None or tune.trials >= size:
        return iter(combinations)
    chosen = set(random.Random(request.options["seed"]).sample(range(size), tune.trials))  # noqa: S311
    return (values for i, values in enumerate(combinations) if i in chosen)


def _drawn(tune: Tune, items: list[TuneItem], seed: int) -> Iterator[tuple[Any, ...]]:
    """Random values, which may repeat; enough of them that a small number of combinations all occur."""
    if (tune.trials or 0) > MOST:
        raise _invalid(f"runs at most {MOST:,} trials", tune.offset)
    generator = random.Random(seed)  # noqa: S311
    return (tuple(_draw(generator, item) for item in items) for _ in range(20 * (tune.trials or DEFAULT_TRIALS)))


def _draw(generator: random.Random, item: TuneItem) -> Any:
    if item.values is not None:
        return generator.choice(item.values)
    low, high, whole = item.low, item.high, isinstance(item.low, int) and isinstance(item.high, int)
    if item.log:
        value = math.exp(generator.uniform(math.log(low), math.log(high)))
        return min(max(round(value), low), high) if whole else min(max(float(f"{value:.6g}"), low), high)
    return generator.randint(low, high) if whole else float(f"{generator.uniform(low, high):.6g}")


def _trial(request: TrainRequest, tune: Tune, values: tuple[Any, ...]) -> Trial:
    """The request with these options, without tuned options that the trial's optimizer does not have."""
    tried = {item.option: value for item, value in zip(tune.items, values, strict=True)}
    optimizer = tried.get("optimizer", request.options["optimizer"])
    if "optimizer" in tried:
        unknown = OF_SOME_OPTIMIZERS - OPTIMIZERS[optimizer]
        tried = {key: value for key, value in tried.items() if key not in unknown}
    untuned = [o for o in request.raw_options if o.key not in tried]
    items = {item.option: item for item in tune.items}
    chosen = [RawOption(key, _raw(value), items[key].offset, items[key].value_offset) for key, value in tried.items()]
    options = resolve([*untuned, *chosen], OPTIONS)
    trial = replace(request, raw_options=(*untuned, *chosen), options=options, tune=None)
    _check(trial, tune)
    return Trial(trial, tried)


def _check(trial: TrainRequest, tune: Tune) -> None:
    """Rejects options that contradict each other, but lets OPTIONS name those of another optimizer than the trial's."""
    tuned = {item.option for item in tune.items}
    check_together(trial, tuned=tuned if "optimizer" in tuned else ())


def _raw(value: Any) -> Any:
    """The value in the form that the option's reader accepts."""
    if isinstance(value, dict):
        return json.dumps(value)
    return value


def _shown(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
