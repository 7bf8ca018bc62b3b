"""Splits a script into statements at semicolons outside strings, names and comments."""

from __future__ import annotations

from dataclasses import dataclass

from sqlext.grammar.pasted import is_space
from sqlext.grammar.pieces import pieces


@dataclass(frozen=True)
class Statement:
    """One statement, without its semicolon; ``line`` (from 1) is where it starts in the script."""

    text: str
    line: int


def split(script: str) -> list[Statement]:
    """The statements of ``script`` in order. The last one needs no semicolon; text with only comments is not a statement."""
    return _scan(script)[0]


def complete(text: str) -> bool:
    """Whether the text can be run: it ends with a semicolon outside strings and comments, or contains no statement."""
    statements, rest = _scan(text)
    return rest is None or (rest == "" and not statements)


def _scan(script: str) -> tuple[list[Statement], str | None]:
    """The statements, and the unfinished text after the last semicolon: None if it is finished, '' if there is no text."""
    found: list[Statement] = []
    start, has_text, open_comment = 0, False, False  # where the statement starts, and whether it has more than comments
    for piece in pieces(script):
        open_comment = piece.open
        if piece.kind == "end":
            if has_text:
                found.append(_statement(script, start, piece.start))
            start, has_text = piece.end, False
        elif piece.kind != "comment":
            has_text = has_text or not is_space(script[piece.start])
    if has_text or open_comment:
        found += [_statement(script, start, len(script))] if has_text else []
        return found, script[start:]
    return found, None if found else ""


def _statement(script: str, start: int, end: int) -> Statement:
    text = script[start:end]
    skipped = len(text) - len(text.lstrip())
    return Statement(text.strip(), script.count("\n", 0, start + skipped) + 1)
