"""Ctrl-C while a statement runs: its Spark jobs are cancelled, and the statement ends and records that it was cancelled.

PySpark's own handler would raise while the statement waits for the JVM, on a connection that the statement still needs.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from sqlext.progress import interrupted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AGAIN = 0.5  # seconds between cancels, because the statement may start new jobs after the first one


@contextmanager
def cancelling(spark: SparkSession) -> Iterator[None]:
    """Turns the first Ctrl-C inside the block into a cancel; the second raises KeyboardInterrupt at once.

    :raises KeyboardInterrupt: after a Ctrl-C, when the block has ended; it replaces the block's exception.
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
        interrupted.set()
        # Another thread has its own connection to the JVM; the connection of this thread is in use.
        threading.Thread(target=cancel, name="sqlext-cancel", daemon=True).start()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    except Exception:
        if not pressed.is_set():
            raise
    finally:
        ended.set()
        interrupted.clear()
        signal.signal(signal.SIGINT, before)
    if pressed.is_set():
        raise KeyboardInterrupt
