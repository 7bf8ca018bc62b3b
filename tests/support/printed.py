"""Compares a result with the table that a page prints, which has the form of `sqlext sql` without the frame.

A grid has the column names in its first line. A record has one line per column, which starts with the name. ``..`` means any
text in a cell, omitted columns (last in a grid, anywhere in a record) or omitted rows (last). A number matches if it rounds to
the printed digits. A result that is a single text of several lines is printed unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sqlext.cli.cells import text

ANY = ".."
_NUMBER = re.compile(r"-?\d+(?:\.(?P<decimals>\d+))?")


def differences(printed: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Descriptions of all differences; [] if the page is right."""
    actual = [[_plain(text(value)) for value in row] for row in rows]
    if len(columns) == 1 and len(actual) == 1 and "\n" in actual[0][0]:
        return _compare("text", printed.strip(), actual[0][0].strip())
    lines = [[cell.strip() for cell in line.split("│")] for line in printed.strip("\n").splitlines()]
    if _selects(lines[0], columns):
        return _grid(lines, columns, actual)
    return _record(lines, columns, actual)


def _plain(cell: str) -> str:
    """Replaces the names of the test's databases by those on the page, and strips blanks, which are not printed."""
    return re.sub(r"\bdocs_(shop|models)\b", r"\1", cell).strip()


def _selects(names: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether the names are all columns, or the first columns followed by ``..``."""
    if names and names[-1] == ANY:
        return list(names[:-1]) == list(columns[: len(names) - 1])
    return list(names) == list(columns)


def _grid(lines: list[list[str]], columns: Sequence[str], actual: list[list[str]]) -> list[str]:
    expected, more = lines[1:], lines[-1] == [ANY]
    if more:
        expected = expected[:-1]
    if len(expected) != len(actual) and not (more and len(expected) < len(actual)):
        return [f"the page has {len(expected)} rows, the result {len(actual)}: {actual[:10]}"]
    return [
        problem
        for number, (wanted, row) in enumerate(zip(expected, actual, strict=False), 1)
        for name, cell, value in zip(columns, wanted, row, strict=False)
        for problem in _compare(f"row {number}, {name}", cell, value)
    ]


def _record(lines: list[list[str]], columns: Sequence[str], actual: list[list[str]]) -> list[str]:
    if len(actual) != 1:
        return [f"the page has one row as a record, the result has {len(actual)} rows"]
    printed = {line[0]: "│".join(line[1:]).strip() for line in lines if line != [ANY]}
    names = [name for name in columns if name in printed]
    if list(printed) != names or (len(names) < len(columns) and [ANY] not in lines):
        return [f"the page has the columns {list(printed)}, the result {list(columns)}"]
    return [
        problem
        for name, value in zip(columns, actual[0], strict=True)
        if name in printed
        for problem in _compare(name, printed[name], value)
    ]


def _compare(what: str, printed: str, value: str) -> list[str]:
    if printed == value:
        return []
    number = _NUMBER.fullmatch(printed)
    if number and number["decimals"] and re.fullmatch(r"-?[\d.]+(?:[eE]-?\d+)?", value):
        if abs(float(printed) - float(value)) <= 0.5001 * 10 ** -len(number["decimals"]):
            return []
    elif re.fullmatch(".*".join(map(re.escape, printed.split(ANY))), value, re.DOTALL):
        return []
    return [f"{what}: the page has '{printed}', the result '{value}'"]
