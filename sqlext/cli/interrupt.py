"""Ctrl-C while a statement runs: its Spark jobs are cancelled, the statement ends and records that it was cancelled.

PySpark's own handler would raise in the middle of the statement's conversation with the JVM, on the connection that the
conversation needs.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AGAIN = 0.5  # seconds until the jobs that the statement has started meanwhile are cancelled, too


@contextmanager
def cancelling(spark: SparkSession) -> Iterator[None]:
    """Turns the first Ctrl-C inside the block into a cancel, the second into KeyboardInterrupt at once.

    :raises KeyboardInterrupt: when the block has ended after a Ctrl-C, in place of whatever it raised.
    """
    pressed, ended = threading.Event(), threading.Event()

    def cancel() -> None:
        while not ended.is_set():
            with suppress(Exception):  # the session may be ending
                spark.sparkContext.cancelAllJobs()
            ended.wait(AGAIN)

    def handle(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()
        # A thread of its own, and so a connection of its own to the JVM.
        threading.Thread(target=cancel, name="sqlext-cancel", daemon=True).start()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    except Exception:
        if not pressed.is_set():
            raise
    finally:
        ended.set()
        signal.signal(signal.SIGINT, before)
    if pressed.is_set():
        raise KeyboardInterrupt
