"""Recognises that a table or a file could not be read while a statement ran, and says so in one sentence.

Spark reports it as a failed job: with the class of the exception, the names of the task and of the executor, and stack traces.
"""

from __future__ import annotations

import re

from pyspark.errors import AnalysisException

from sqlext.errors import SqlExtError
from sqlext.spark.java_errors import Cause, is_refusal, java_causes

# A path in a message: Hadoop's (file:/x, hdfs://host/x) or one of this machine (/x). It may contain blanks.
_PATH = r"(?:[A-Za-z][\w.+-]*:)?/[^\n]*?"
_END = r"(?=\.?\s*(?:\n|$)|; (?:line|is))"

_DENIED = (
    rf"(?P<file>{_PATH}) ?\(Permission denied\)",
    r'Permission denied: [^\n]*inode="(?P<file>[^"\n]*)"',
    rf"Acces(?:s|sC)\w*Exception: (?P<file>{_PATH})(?=: |\n|$)",
    r"Permission denied",
)
_GONE = (
    rf"File (?P<file>{_PATH}) does not exist",
    rf"(?:File|Path) does not exist: (?P<file>{_PATH}){_END}",
    rf"FileNotFoundException: No such file or directory: (?P<file>{_PATH}){_END}",
    # Only in a task: the driver also writes files, and the statement's own errors name those.
    rf"(?s:Job aborted.*?)FileNotFoundException: (?P<file>{_PATH}) \(No such file or directory\)",
    r"It is possible the underlying files have been updated",
)
_BROKEN = (
    rf"(?P<file>{_PATH}) is not a Parquet file",
    rf"Could not read footer for file: (?:\w+\{{path=)?(?P<file>{_PATH}){_END}",
    rf"Checksum error: (?P<file>{_PATH}) at \d",
    rf"Malformed ORC file (?P<file>{_PATH})(?=\. [A-Z]|{_END})",
    rf"Encountered error while reading file (?P<file>{_PATH})(?=\.? Details|{_END})",
    rf"cannot be converted in file (?P<file>{_PATH})(?=\. Column|{_END})",
    r"ParquetDecodingException|InvalidProtocolBufferException|Not an? (?:Avro )?data file",
)


def read_error(error: BaseException) -> SqlExtError | None:
    """The error for the user; None for an error that is not about reading a table or a file.

    SOURCE_CHANGED: something that Spark had found when the statement began is gone. SOURCE_UNREADABLE: a file without the
    content that its format needs, or one that this user may not read.
    """
    if isinstance(error, AnalysisException) and "Path does not exist" not in str(error):
        return None  # about the statement, not about a file
    causes = _below_udfs(java_causes(error))
    found = of_text("\n".join(f"{cause.name}: {cause.message}" for cause in causes))
    refusing = next((cause for cause in causes if is_refusal([cause])), None)
    if found is not None or refusing is None:
        return found
    return SqlExtError("SOURCE_UNREADABLE", reason=refusing.message.split("\n", 1)[0])


def _below_udfs(causes: list[Cause]) -> list[Cause]:
    """The causes below the last one that quotes a UDF's exception, whose own text may contain any of these words.

    Those are left which report that the rows for the UDF could not be read.
    """
    last = max(
        (i for i, cause in enumerate(causes) if "PythonException" in f"{cause.name} {cause.message}"), default=-1
    )
    return causes[last + 1 :]


def of_text(text: str) -> SqlExtError | None:
    """The same for the classes and messages of an exception and its causes, one after another."""
    if (file := _find(_DENIED, text)) is not None:
        return SqlExtError("SOURCE_UNREADABLE", reason=f"no permission to read {file or 'a file of the table'}.")
    if (file := _find(_GONE, text)) is not None:
        # Spark's own files: the local disks are full, or something deletes files there.
        return (
            None if "/blockmgr-" in file else SqlExtError("SOURCE_CHANGED", what=f"{file or 'a file'} no longer exists")
        )
    if (file := _find(_BROKEN, text)) is not None:
        again = "If the table was being written at the same time, run the statement again."
        return SqlExtError(
            "SOURCE_UNREADABLE", reason=f"{file or 'a file'} is not a complete file of its format. {again}"
        )
    return None


def _find(patterns: tuple[str, ...], text: str) -> str | None:
    """The file that the first matching pattern names, '' if it names none; None if no pattern matches."""
    for pattern in patterns:
        if found := re.search(pattern, text):
            return str(found.groupdict().get("file") or "").strip()
    return None
