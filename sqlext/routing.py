"""Which texts are ours: the shim's decision (Scala: Statement.of), made in Python for tools that have no JVM."""

from __future__ import annotations

from dataclasses import dataclass

from sqlext.errors import SqlExtError
from sqlext.grammar.reader import TokenReader
from sqlext.statements import STATEMENTS

_EXPLAIN_MODES = ("EXTENDED", "FORMATTED", "CODEGEN", "COST")


@dataclass(frozen=True)
class Routed:
    """A statement of ours: its text with what stands before it (EXPLAIN, comments, parentheses) blanked, so that
    positions stay; the mode of EXPLAIN; whether nothing follows its head (then Spark may know it, too)."""

    sql: str
    explain: str | None
    is_bare: bool


def route(sql: str) -> Routed | None:
    """None: Spark's."""
    try:
        reader = TokenReader(sql)
    except SqlExtError:  # an open string or comment: Spark says so
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
    reader.take(*min(heads, key=len))
    closing, is_bare = reader.closing(opened)
    if closing is None:
        return None
    return Routed(_blanked(sql, start, closing), explain, is_bare)


def _blanked(sql: str, start: int, closing: list[int]) -> str:
    blank = {*range(start), *closing}
    return "".join(" " if at in blank and c != "\n" else c for at, c in enumerate(sql))
