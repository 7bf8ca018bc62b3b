"""Reduces any exception of a statement to what a SQL user needs: error class, one sentence, position in the statement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_CLASS = re.compile(r"^\[([A-Z][A-Z0-9_.]*)\]\s*")
_POSITION = re.compile(r"[;.]?\s*\(?line (\d+), pos (\d+)\)?|; line (\d+) pos (\d+)")
# What Spark appends to a message: the statement with a caret, a plan, a stack trace.
_APPENDIX = re.compile(
    r"\n+== SQL|\n\s*'?\w+.*\n?[+:]-|\n\s+at |\n+JVM stacktrace|\n+Caused by|\n+Driver stacktrace|;\n"
)
_TASK_FAILURE = re.compile(r"Lost task [^:]*: (?:[\w.$]+\.)?([\w$]+(?:Exception|Error)): (.*)")
_TRACEBACK_END = re.compile(r"^(?:[\w.]+\.)?(\w*(?:Error|Exception)): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Failure:
    """``line`` (from 1) and ``pos`` (from 0) are the position in the statement; None if it is unknown."""

    error_class: str
    message: str
    line: int | None = None
    pos: int | None = None

    def lines(self, statement: str = "", first_line: int = 1) -> list[str]:
        """The lines to print: one sentence and, if the position is known, the line of the statement with a caret below it.

        :param first_line: the line of the script where the statement starts; it is added to the line number shown.
        """
        shown = f"[{self.error_class}] {self.message}"
        source = statement.splitlines()
        if self.line is None or self.pos is None or not 0 < self.line <= len(source):
            return [f"error: {shown}"]
        text = source[self.line - 1].replace("\t", " ")
        # Long lines (generated SQL) are cut so that the caret stays on the screen.
        start = max(0, self.pos - 60)
        caret = " " * (min(self.pos, len(text)) - start) + "^"
        return [f"error: {shown} (line {self.line + first_line - 1})", f"  {text[start : start + 118]}", f"  {caret}"]


def describe(error: BaseException) -> Failure:
    """Describes an exception of PySpark, Py4J or this package without a stack trace."""
    line, pos = getattr(error, "line", None), getattr(error, "pos", None)
    message = _message(error).lstrip()
    if found := _CLASS.match(message):
        error_class, message = found[1], message[found.end() :]
    else:
        error_class = getattr(error, "error_class", None) or _kind(error)
    if at := _POSITION.search(message):
        numbers = [int(number) for number in at.groups() if number]
        line, pos = numbers[0], numbers[1]
        message = (message[: at.start()].rstrip(" ;") + message[at.end() :]).strip()
    return Failure(str(error_class), _one_line(message), line, pos)


def _message(error: BaseException) -> str:
    """The most specific message: of the deepest cause in the JVM, or of the worker's Python exception."""
    java = getattr(error, "java_exception", None)
    text = str((_causes(java)[-1].getMessage() or "") if java is not None else getattr(error, "desc", None) or error)
    if "Traceback (most recent call last)" in text and (endings := _TRACEBACK_END.findall(text)):
        return f"{endings[-1][0]}: {endings[-1][1]}"
    if task := _TASK_FAILURE.search(text):
        return task[2] if task[1] == "SparkException" else f"{task[1]}: {task[2]}"
    return text or _kind(error)


def _kind(error: BaseException) -> str:
    """The name of the exception; for an exception from the JVM, the name of its deepest cause."""
    java = getattr(error, "java_exception", None)
    return type(error).__name__ if java is None else str(_causes(java)[-1].getClass().getSimpleName())


def _causes(java: Any) -> list[Any]:
    """A Java exception and those of its causes that have a message."""
    found = [java]
    # At most 20, since causes can form a loop.
    while (java := java.getCause()) is not None and len(found) < 20:
        if java.getMessage():
            found.append(java)
    return found


def _one_line(message: str) -> str:
    cut = _APPENDIX.split(message, maxsplit=1)[0]
    return " ".join(cut.split()).rstrip(";") or "no message"
