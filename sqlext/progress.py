"""Reports what a long statement is currently doing to whoever displays it: the command line, the demo, a run's record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report: ``done`` of ``total`` in a phase; ``total`` is None while it is unknown.

    ``unit``: what is counted, the same in the whole phase: images, rows or epochs. ``ends``: when the phase will probably
    have ended, on the monotonic clock.
    """

    phase: str
    done: int
    total: int | None = None
    detail: str = ""
    unit: str = ""
    ends: float | None = None

    def sentence(self) -> str:
        """As in ``embedding 64 of 200 images, about 8 s left``."""
        counted = f"{self.phase} {self.done:,} of {self.total:,} {self.unit}".rstrip() if self.total else self.phase
        left = None if self.ends is None else self.ends - time.monotonic()
        about = f"about {duration(left)} left" if left is not None and left >= 1 else ""
        return ", ".join(part for part in (counted, self.detail, about) if part)


def duration(seconds: float) -> str:
    """As in 45 s, 12 min or 3 h: for an estimate, in which the smaller units mean nothing."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


_listeners: list[Callable[[Progress], None]] = []

# Set while Ctrl-C cancels the statements of this process: those that wait run no job that could be cancelled.
interrupted = threading.Event()


def report(phase: str, done: int, total: int | None = None, detail: str = "") -> None:
    """Calls every listener of this process with a :class:`Progress`."""
    announce(Progress(phase, done, total, detail))


def announce(progress: Progress) -> None:
    """Calls every listener of this process."""
    # A copy, since another thread may add or remove a listener meanwhile.
    for listener in tuple(_listeners):
        listener(progress)


@contextmanager
def listening(listener: Callable[[Progress], None]) -> Iterator[None]:
    """Calls ``listener`` for each report, from any thread, while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
