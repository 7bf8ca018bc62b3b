"""The Python side of the shim: the only object that the JVM calls back (Scala: Hub, PythonBackend).

A call takes JSON and returns JSON: ``{"ok": ..}`` or ``{"error": ..}``. No exception crosses Py4J: an error that a user can
fix becomes an AnalysisException or ParseException in the JVM, and any other one becomes a sentence with a log id, by which
its traceback can be found in the log.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

from py4j.java_gateway import JavaObject
from py4j.protocol import Py4JJavaError, Py4JNetworkError
from pyspark import SparkContext
from pyspark.errors import AnalysisException, ParseException, PySparkException, QueryExecutionException
from pyspark.sql import SparkSession

from sqlext import did_you_mean, server, statements, udfs
from sqlext.bigdl.training import on_epoch
from sqlext.errors import SqlExtError
from sqlext.spark.java_errors import job_failure
from sqlext.spark.read_errors import read_error

logger = logging.getLogger("sqlext")

Request = dict[str, Any]


class _Interfaces:
    """What Py4J reads from a callback object: an instance and not a class, so that it cannot be called over the wire."""

    __slots__ = ()
    implements = ("org.apache.spark.sql.sqlext.PythonBackend",)


class Backend:
    """The callback object; ``call`` is its only method that can be reached.

    Py4J resolves any attribute that a connection asks for, before our checks run. All other attributes are therefore
    hidden; otherwise ``__getattribute__`` would be enough to get from this object to the interpreter.
    """

    __slots__ = ("__weakref__",)

    def __getattribute__(self, name: str) -> Any:
        if name == "call":
            return _call
        if name == "Java":
            return _INTERFACES
        if name == "__class__":  # Py4J reads it; a call over the wire only creates another Backend
            return Backend
        raise AttributeError(name)


_INTERFACES = _Interfaces()
_secret: list[str] = []  # returned by Hub.attach; until then every call is refused


def serve(secret: str) -> None:
    """Serves calls that carry ``secret`` from now on."""
    _secret[:] = [secret]


def _call(secret: object, jsession: JavaObject | None, method: object, request: object) -> str:
    known = _secret[0] if _secret else ""
    # The type first: a connection can send any type, and an exception must not cross Py4J.
    if not known or not isinstance(secret, str) or not hmac.compare_digest(secret.encode(), known.encode()):
        return json.dumps({"error": {"kind": "runtime", "message": "refused: this call does not carry the secret"}})
    # str() writes dates and times in a form that from_json reads in the JVM (Scala: JsonRows).
    return json.dumps(_answer(jsession, str(method), str(request)), default=str)


def _answer(jsession: JavaObject | None, method: str, request: str) -> dict[str, Any]:
    try:
        return {"ok": _METHODS[method](_session(jsession), json.loads(request))}
    # Also SystemExit and KeyboardInterrupt: Py4J would pass them to the SQL user as a Java stack trace.
    except BaseException as error:
        return {"error": _envelope(error)}


def _session(jsession: JavaObject | None) -> SparkSession | None:
    """The caller's session, with its temporary views, current database and settings."""
    context = SparkContext._active_spark_context
    return SparkSession(context, jsession) if context is not None and jsession is not None else None


# --- methods ----------------------------------------------------------------------------------------------------------


def _parse(spark: SparkSession, request: Request) -> Request:
    parsed = _plain(statements.parse(spark, request["sql"], request.get("explain")))
    return {"explained": False, **parsed}


def _run(spark: SparkSession, request: Request) -> list[Request]:
    return list(statements.run(spark, request["payload"]))


def _near_miss(_: SparkSession | None, request: Request) -> None:
    did_you_mean.refuse(request["sql"])


def _bind(spark: SparkSession, request: Request) -> Request:
    return _plain(udfs.bind(spark, request["function"], request["namespace"], request["arguments"]))


def _bind_table(spark: SparkSession, request: Request) -> Request:
    return udfs.bind_table(spark, request["function"], request["namespace"], request["arguments"])


def _table_rows(spark: SparkSession, request: Request) -> list[Request]:
    return udfs.table_rows(spark, request["function"], request["bound"])


def _server_starts(spark: SparkSession, _: Request) -> str:
    return server.prepare(spark)


def _epoch(_: SparkSession | None, request: Request) -> Request:
    return {"go": bool(on_epoch(request))}


_METHODS: dict[str, Callable[[Any, Request], Any]] = {
    "parse": _parse,
    "near_miss": _near_miss,
    "run": _run,
    "bind": _bind,
    "bindTable": _bind_table,
    "tableRows": _table_rows,
    "epoch": _epoch,
    "serverStarts": _server_starts,
}


def _plain(value: Any) -> Request:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)


# --- errors -----------------------------------------------------------------------------------------------------------


def _envelope(raised: BaseException) -> dict[str, Any]:
    """What the shim needs to raise ``raised`` in the JVM (Scala: Errors.of)."""
    error = _for_user(raised)
    if isinstance(error, SqlExtError):
        kind = "parse" if error.is_syntax and error.line is not None else "analysis"
        return {
            "kind": kind,
            "class": error.error_class,
            "sqlstate": error.sqlstate,
            "message": f"[{error.error_class}] {error}",
            "line": error.line,
            "pos": error.pos,
        }
    if isinstance(error, AnalysisException):
        return {
            "kind": "analysis",
            "class": error.getErrorClass(),
            "sqlstate": error.getSqlState(),  # type: ignore[func-returns-value]
            "message": _analysis_message(error),
        }
    if isinstance(error, QueryExecutionException) and error.getErrorClass():
        # Our error about a row of a query that the statement ran (Scala: RowErrors).
        return {
            "kind": "runtime",
            "class": error.getErrorClass(),
            "sqlstate": error.getSqlState(),  # type: ignore[func-returns-value]
            "message": str(error),
        }
    if isinstance(error, PySparkException):
        # The log gets the whole exception.
        return {"kind": "runtime", "message": f"A job of the statement failed: {job_failure(error)} {_logged(error)}"}
    if isinstance(error, Py4JJavaError):
        return {"kind": "runtime", "message": f"A job of the statement failed: {job_failure(error)} {_logged(error)}"}
    if isinstance(error, Py4JNetworkError):
        return {
            "kind": "runtime",
            "message": f"The connection to Spark's JVM was lost. Run the statement again. {_logged(error)}",
        }
    return {"kind": "runtime", "message": f"{type(error).__name__}: {_first_lines(str(error))} {_logged(error)}"}


def _for_user(error: BaseException) -> BaseException:
    """An error of reading in the words of :mod:`sqlext.spark.read_errors`; others unchanged. The log gets Spark's report."""
    found = None if isinstance(error, SqlExtError) else read_error(error)
    if found is not None:
        logger.info("%s", found, exc_info=error)
    return found or error


def _analysis_message(error: AnalysisException) -> str:
    """Spark's message without the plan that Spark appends, which is not the plan of the user's statement."""
    origin = getattr(error, "_origin", None)
    if origin is None or isinstance(error, ParseException):
        return str(error).strip()
    return str(origin.getSimpleMessage())


def _first_lines(text: str, limit: int = 500) -> str:
    """The first lines of a message, without the JVM's stack trace."""
    lines = [line for line in text.strip().splitlines() if not line.lstrip().startswith(("at ", "... "))]
    short = "\n".join(lines[:6])
    return short if len(short) <= limit else short[:limit] + " .."


def _logged(error: BaseException) -> str:
    log_id = secrets.token_hex(4)
    logger.error("log id %s", log_id, exc_info=error)
    return f"(log id {log_id})"
