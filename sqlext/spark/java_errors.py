"""What an exception from the JVM says: the classes and messages of its causes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException


class Cause(NamedTuple):
    """An exception of the JVM: its class without the package, and its message."""

    name: str
    message: str


def java_causes(error: BaseException) -> list[Cause]:
    """The exception and its causes, outermost first; empty if the error does not come from the JVM."""
    origin = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    if origin is None:
        return [Cause(type(error).__name__, str(error))] if isinstance(error, PySparkException) else []
    return list(_chain(origin))


def _chain(java: Any) -> Iterator[Cause]:
    # At most 20, since causes can form a loop.
    for _ in range(20):
        if java is None:
            return
        yield Cause(str(java.getClass().getSimpleName()), str(java.getMessage() or ""))
        java = java.getCause()


def job_failure(error: BaseException) -> str:
    """Why a job failed, without Spark's report: the message of the first cause, or what a Python UDF raised."""
    cause = next((c for c in reversed(java_causes(error)) if c.message), Cause(type(error).__name__, str(error)))
    message = _LOST_TASK.sub("", cause.message)
    if raised := _RAISED.findall(message):
        return f"a Python UDF raised {raised[-1].strip()}"
    return next((line.strip() for line in message.splitlines() if line.strip()), cause.name)


# Spark's report of a failed job, up to what failed: often the class and message of an exception in a task.
_LOST_TASK = re.compile(
    r"^(?:\w+: )?Job aborted(?: due to stage failure: |\.?\s*$)(?:[^\n]*?Lost task [^\n]*?\([^()\n]*\): )?"
)
# The line below the frames of a Python traceback. The exception's own text can have more lines.
_RAISED = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)+(\S.*)")


def java_message(error: BaseException) -> str:
    """The message of an exception without its class and stack trace."""
    if isinstance(error, Py4JJavaError):
        return str(error.java_exception.getMessage() or error.java_exception.toString())
    return str(error)


def sentence(error: BaseException) -> str:
    """Spark's message on one line, without the position, the plan and the stack trace that Spark appends."""
    text = _APPENDED.split(java_message(error).strip(), maxsplit=1)[0]
    return " ".join(text.split()).rstrip("; ")


_APPENDED = re.compile(
    r";?\s*line \d+,? pos \d+|;\n|\n+== |\n\s*'?\w+.*\n?[+:]-|\n\s*at |\n+JVM stacktrace|\n+Driver stacktrace"
)


# --- permissions --------------------------------------------------------------------------------------------------


def is_refusal(causes: list[Cause]) -> bool:
    """Whether an authorization extension or a file system has refused access; other errors are not about permissions."""
    return any(_REFUSING_CLASS.search(c.name) or _REFUSING_TEXT.search(c.message) for c in causes)


_REFUSING_CLASS = re.compile(r"Security|Access(Control|Denied)|Authoriz|Permission|Denied|Forbidden|Privilege")
# No message in which a name of the user could contain one of the words: they stand next to each other.
_REFUSING_TEXT = re.compile(
    r"permission denied|access denied|does not have \[?\w*\]? ?privilege|no privilege|lacks? privilege|not authori[sz]ed"
    r"|insufficient (privilege|permission)|PERMISSION_DENIED",
    re.IGNORECASE,
)
