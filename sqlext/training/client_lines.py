"""The lines about a run in the log that its client shows: each new phase, each epoch, and otherwise one every five seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from sqlext.progress import Progress, duration

EVERY = 5.0
# Epochs of a small training take milliseconds: with more of them, their lines are at least EPOCHS_EVERY seconds apart.
MANY_EPOCHS, EPOCHS_EVERY = 100, 1.0


class ClientLines:
    """Passes each line to ``write``. All threads of the run may use it."""

    def __init__(self, title: str, write: Callable[[str], None]) -> None:
        self._title, self._write = title, write
        self._lock = threading.Lock()
        self._shown: Progress | None = None
        self._entered = self._written = time.monotonic()

    def take(self, progress: Progress) -> None:
        """Writes a line if the phase is new, an epoch has ended or the last line is old."""
        with self._lock:
            before, self._shown = self._shown, progress
            if before is None or before.phase != progress.phase:
                self._entered = time.monotonic()
                self._line()
            elif self._age() >= self._pause(before, progress):
                self._line()

    def tick(self) -> None:
        """Writes a line if the last one is old, so that a client sees that a long step still runs."""
        with self._lock:
            if self._shown is not None and self._age() >= EVERY:
                self._line()

    def _pause(self, before: Progress, progress: Progress) -> float:
        if before.done == progress.done:
            return EVERY
        if progress.done == progress.total:
            return 0.0
        if progress.unit != "epochs":
            return EVERY
        return EPOCHS_EVERY if (progress.total or 0) > MANY_EPOCHS else 0.0

    def _age(self) -> float:
        return time.monotonic() - self._written

    def _line(self) -> None:
        assert self._shown is not None
        self._written = time.monotonic()
        shown, seconds = self._shown, self._written - self._entered
        if not shown.ends and seconds >= 1:  # without an estimate, the time so far shows that the step goes on
            so_far = f"{duration(seconds)} so far"
            shown = replace(shown, detail=f"{shown.detail}, {so_far}" if shown.detail else so_far)
        self._write(f"{self._title}: {shown.sentence()}")
