"""Reads tests/fixtures/*.sql."""

from __future__ import annotations

import re
from pathlib import Path

from sqlext.cli.statements import split

FOLDER = Path(__file__).parents[1] / "fixtures"


def accepted() -> list[tuple[str, str]]:
    """(statement, how it is printed or another way to write it): the second is the first where the file gives none."""
    found = []
    for statement in split((FOLDER / "accepted.sql").read_text()):
        text = _without_heading(statement.text)
        written, same = [*re.split(r"\s==>\s", text), text][:2]
        found.append((written.strip(), same.strip()))
    return found


def _without_heading(text: str) -> str:
    """A section's comment is the file's, comments inside are the statement's."""
    while text.startswith("--"):
        text = text.partition("\n")[2].lstrip("\n")
    return text
