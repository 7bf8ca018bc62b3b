"""Decides which texts are our statements, as the shim does (Scala: Statement.of), for tools that run without a JVM."""

from __future__ import annotations

from dataclasses import dataclass

from sqlext.errors import SqlExtError
from sqlext.grammar.reader import TokenReader
from sqlext.statements import STATEMENTS

_EXPLAIN_MODES = ("EXTENDED", "FORMATTED", "CODEGEN", "COST")


@dataclass(frozen=True)
class Routed:
    """One of our statements.

    ``sql``: its text, with EXPLAIN, comments and parentheses around it blanked so that positions stay the same.
    ``explain``: the mode of EXPLAIN. ``is_bare``: nothing follows its head, so it may also be a Spark statement.
    """

    sql: str
    explain: str | None
    is_bare: bool


def route(sql: str) -> Routed | None:
    """Returns the statement in ``sql`` if it is ours, or None if it belongs to Spark."""
    try:
        reader = TokenReader(sql)
    except SqlExtError:  # a string or comment that is not closed: Spark reports it
        return None
    explain = None
    if reader.take("EXPLAIN"):
        explain = next((mode for mode in _EXPLAIN_MODES if reader.take(mode)), "SIMPLE")
    opened = 0
    while reader.take("("):
        opened += 1
    start = reader.offset
    heads = [head for statement in STATEMENTS for head in statement.HEADS if reader.at(*head)]
    if not heads:
        return None
    # The shortest, as in the shim, which stops reading as soon as the words are a head.
    reader.take(*min(heads, key=len))
    closing, is_bare = reader.closing(opened)
    if closing is None:
        return None
    return Routed(_blanked(sql, start, closing), explain, is_bare)


def _blanked(sql: str, start: int, closing: list[int]) -> str:
    blank = {*range(start), *closing}
    return "".join(" " if at in blank and c != "\n" else c for at, c in enumerate(sql))
