"""Reads tests/fixtures/*.sql."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sqlext.cli.statements import split

_EXPECTED = re.compile(r"--> ([A-Z_.]+) (?:(\d+):(\d+) )?(.+)")
FOLDER = Path(__file__).parents[1] / "fixtures"


def accepted() -> list[tuple[str, str]]:
    """Pairs of a statement and its other form, after ``==>``: as printed, or another spelling. By default both are the same."""
    found = []
    for statement in split((FOLDER / "accepted.sql").read_text()):
        text = _without_heading(statement.text)
        written, same = [*re.split(r"\s==>\s", text), text][:2]
        found.append((written.strip(), same.strip()))
    return found


@dataclass(frozen=True)
class Bad:
    """A statement and the error that it must raise. With ``needs_session``, only a catalog can detect the error."""

    sql: str
    error_class: str
    line: int | None
    pos: int | None
    message: str
    needs_session: bool


def errors() -> list[Bad]:
    """The statements of errors.sql, each followed by ``--> CLASS line:column message``, or no position if none is known."""
    found, text, needs_session = [], "", False
    for line in (FOLDER / "errors.sql").read_text().splitlines():
        if line.startswith("--> "):
            error_class, line_number, pos, message = _EXPECTED.fullmatch(line).groups()  # type: ignore[union-attr]
            at = (int(line_number), int(pos)) if line_number else (None, None)
            found.append(Bad(text.removesuffix(";\n"), error_class, *at, message, needs_session))
            text = ""
        elif text or (line and not line.startswith("-- ")):
            text += line + "\n"
        needs_session = needs_session or line == "-- session"
    return found


def _without_heading(text: str) -> str:
    """Removes the comment lines before a statement, which belong to the file. Comments inside belong to the statement."""
    while text.startswith("--"):
        text = text.partition("\n")[2].lstrip("\n")
    return text
