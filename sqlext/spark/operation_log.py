"""The operation log of a JDBC statement: beeline, JDBC's getQueryLog and PyHive's fetch_logs show its lines at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pyspark.sql import SparkSession

from sqlext.spark.java_classes import java_classes


def log_of_client(spark: SparkSession) -> Callable[[str], None] | None:
    """Writes a line to the log of the statement that this thread runs; None if no Thrift server runs it.

    Every thread may call the result. The thread's log is a class of Hive, so that any Thrift server built on Hive's has it.
    """
    log: Any = None
    # A host without Hive's classes, or with later ones: a log must never be the reason that a statement fails.
    with suppress(Exception):
        log = java_classes(spark).org.apache.hadoop.hive.ql.session.OperationLog.getCurrentOperationLog()
    if log is None:
        return None

    def write(line: str) -> None:
        with suppress(Exception):
            log.writeOperationLog(f"{line}\n")

    return write
