"""Shows what a statement that takes longer than two seconds is doing: as a bar on a terminal, otherwise as lines.

Everything goes to standard error. It shows what ``sqlext.progress`` reports. A statement without reports, such as a SELECT,
shows the tasks of Spark's running jobs.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from sqlext.progress import Progress as Report
from sqlext.progress import listening

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

QUIET = 2.0  # seconds before anything is shown
LINE_EVERY = 10.0  # seconds between lines if there is no terminal


class _Watch:
    """The latest report, and the thread that shows it."""

    def __init__(self, title: str, spark: SparkSession | None) -> None:
        self.title, self.spark = title, spark
        self.started = time.monotonic()
        self.report: Report | None = None
        self.ended = threading.Event()

    def take(self, report: Report) -> None:
        self.report = report

    def state(self) -> Report:
        """The latest report or, if there was none, Spark's tasks. Never both: a phase is counted in one unit."""
        if self.report is not None:
            return self.report
        done, total = _tasks(self.spark)
        return Report("tasks" if total else "", done, total or None)

    def show(self) -> None:
        if self.ended.wait(QUIET):
            return
        if sys.stderr.isatty():
            self._bar()
        else:
            self._lines()

    def _bar(self) -> None:
        parts = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(24), TimeElapsedColumn())
        with Progress(*parts, console=Console(stderr=True), transient=True) as bars:
            task: TaskID = bars.add_task(self.title, total=None)
            while not self.ended.wait(0.2):
                state = self.state()
                bars.update(task, description=self._sentence(state), completed=state.done, total=state.total)

    def _lines(self) -> None:
        while True:
            seconds = time.monotonic() - self.started
            print(f"{self._sentence(self.state())} ({seconds:.0f} s)", file=sys.stderr, flush=True)
            if self.ended.wait(LINE_EVERY):
                return

    def _sentence(self, state: Report) -> str:
        return f"{self.title}: {state.sentence()}" if state.phase else self.title


@contextmanager
def showing(title: str, spark: SparkSession | None = None) -> Iterator[None]:
    """Shows progress under ``title`` while the block runs, after its first two seconds."""
    watch = _Watch(title, spark)
    thread = threading.Thread(target=watch.show, name="sqlext-progress", daemon=True)
    thread.start()
    try:
        with listening(watch.take):
            yield
    finally:
        watch.ended.set()
        thread.join(2)


def title_of(statement: str) -> str:
    """The first words of a statement, on one short line."""
    words = " ".join(line for line in statement.splitlines() if not line.lstrip().startswith("--")).split()
    line = " ".join(words)
    return line if len(line) <= 48 else line[:47] + "…"


def _tasks(spark: SparkSession | None) -> tuple[int, int]:
    """The finished tasks and all tasks of Spark's active stages; (0, 0) if Spark cannot be asked."""
    if spark is None:
        return 0, 0
    try:
        tracker = spark.sparkContext.statusTracker()
        stages = [info for stage in tracker.getActiveStageIds() if (info := tracker.getStageInfo(stage)) is not None]
    except Exception:  # the session may be ending; progress must never cause a failure
        return 0, 0
    return sum(stage.numCompletedTasks for stage in stages), sum(stage.numTasks for stage in stages)
