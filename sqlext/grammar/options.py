"""``OPTIONS (..)``: each statement declares its options once; they become typed values, and unknown keys get a hint."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlext.errors import SqlExtError, nearest
from sqlext.grammar.notes import RawOption


@dataclass(frozen=True)
class Option:
    """One option. ``read`` converts the raw value to a typed one, or raises ValueError with the accepted values."""

    name: str
    read: Callable[[Any], Any]
    default: Any
    doc: str


MAX_INT = 2**31 - 1  # the type of BigDL's options and of result columns


def integer(low: int, high: int = MAX_INT) -> Callable[[Any], int]:
    accepted = f"an integer from {low} to {high}"

    def read(value: Any) -> int:
        # A bool is an int in Python, but TRUE is not 1 in an option.
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError(accepted)
        try:
            number = int(value)
        except ValueError:
            raise ValueError(accepted) from None
        if not low <= number <= high:
            raise ValueError(accepted)
        return number

    return read


def number(low: float, high: float | None = None, *, above: bool = False) -> Callable[[Any], float]:
    """A reader of finite floats in [low, high]; ``above`` excludes ``low`` itself."""
    accepted = f"a number {'above' if above else 'from'} {low:g}" + (f" to {high:g}" if high is not None else "")

    def read(value: Any) -> float:
        try:
            # NaN fails every comparison below, and with it the text 'nan'.
            result = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(accepted) from None
        if math.isinf(result):
            raise ValueError(accepted.replace("a number", "a finite number"))
        if not (result > low if above else result >= low) or (high is not None and result > high):
            raise ValueError(accepted)
        return result

    return read


def boolean(value: Any) -> bool:
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise ValueError("true or false")


def choice(*values: str, planned: Collection[str] = ()) -> Callable[[Any], str]:
    """A reader of one of ``values``; it also reads ``planned`` ones, but its error does not propose them."""

    def read(value: Any) -> str:
        if str(value).lower() not in (*values, *planned):
            raise ValueError(
                " or ".join([", ".join(f"'{v}'" for v in values[:-1]), f"'{values[-1]}'"]).removeprefix(" or ")
            )
        return str(value).lower()

    return read


def text(value: Any) -> str:
    return str(value)


def as_written(value: Any) -> Any:
    """The reader for options whose values are checked where they are used."""
    return value


def resolve(
    raw_options: Iterable[RawOption], declared: Iterable[Option], *, foreign: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Typed values of all declared options, including defaults.

    :param foreign: names of options in other systems, with what to write here instead.
    :raises SqlExtError: UNKNOWN_OPTION or INVALID_OPTION_VALUE, at the option's position.
    """
    known = {option.name: option for option in declared}
    values = {option.name: option.default for option in known.values()}
    for raw in raw_options:
        option = known.get(raw.key)
        if option is None:
            if foreign and raw.key in foreign:
                hint = f"Write {foreign[raw.key]}."
            else:
                hint = nearest(raw.key, known, limit=30) or "This statement has no options."
            raise SqlExtError("UNKNOWN_OPTION", option=raw.key, hint=hint, offset=raw.offset)
        try:
            values[raw.key] = option.read(raw.value)
        except ValueError as accepted:
            raise SqlExtError(
                "INVALID_OPTION_VALUE",
                option=raw.key,
                value=_as_sql(raw.value),
                accepted=accepted,
                offset=raw.value_offset,
            ) from None
    return values


def _as_sql(value: Any) -> Any:
    """A value as SQL writes it."""
    return str(value).lower() if isinstance(value, bool) else value
