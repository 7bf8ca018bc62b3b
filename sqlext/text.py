"""Writes names, values, lists and sizes as text: as SQL that both Spark's parser and ours read, or for users."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# Words that are values or begin an expression in Spark: alone, they do not read the column of that name.
_NOT_NAMES = {"all", "select", "true", "false", "null", "case", "not", "exists", "interval", "cast", "distinct"}


def identifier(text: str) -> str:
    """Quotes a name with back-ticks."""
    return "`" + text.replace("`", "``") + "`"


def quote_if_needed(name: str) -> str:
    """A name as it must be written in SQL: in back-ticks unless it is a plain word (Spark: QuotingUtils.quoteIfNeeded)."""
    return name if _WORD.fullmatch(name) and name.lower() not in _NOT_NAMES else identifier(name)


def string_literal(text: str) -> str:
    """Quotes a string with Spark's escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def literal(value: object) -> str:
    """A string, number or boolean as SQL."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else string_literal(str(value))


def parsed_json(text: str | bytes) -> Any:
    """The value of a JSON text that comes from outside.

    :raises ValueError: if it is not JSON, or nested too deeply, for which Python raises RecursionError.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def first_few(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """'a, b and 3 more'."""
    rest = len(names) - most
    return separator.join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def byte_size(count: int) -> str:
    """A number of bytes for people: '84 KB'."""
    if count < 1024:
        return f"{count} bytes"
    value, units = count / 1024, ["KB", "MB", "GB"]
    # The rounded value decides, so that no size is printed as '1024 KB' or '10.0 KB'.
    while round(value) >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.1f} {units[0]}" if round(value, 1) < 10 else f"{value:.0f} {units[0]}"
