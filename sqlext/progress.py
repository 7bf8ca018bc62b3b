"""Reports what a long statement is currently doing to whoever displays it: the command line, the demo, a run's record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report: ``done`` of ``total`` rows (or epochs) of a phase; ``total`` is None while it is unknown."""

    phase: str
    done: int
    total: int | None = None
    detail: str = ""


_listeners: list[Callable[[Progress], None]] = []


def report(phase: str, done: int, total: int | None = None, detail: str = "") -> None:
    """Calls every listener of this process with a :class:`Progress`."""
    # A copy, since another thread may add or remove a listener meanwhile.
    for listener in tuple(_listeners):
        listener(Progress(phase, done, total, detail))


@contextmanager
def listening(listener: Callable[[Progress], None]) -> Iterator[None]:
    """Calls ``listener`` for each report, from any thread, while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
