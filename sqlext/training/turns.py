"""IF NOT EXISTS: of the runs that train one model at the same time, on all drivers, one goes first; the others wait for its end.

The runs see each other's records. A live run claims the model unless its phase is WAITING. A run trains once it claims the
model and, after it has written its claim, sees no other one. Of two that see each other, the one with the larger id
takes its claim back. Runs without IF NOT EXISTS do not wait, and are waited for.
"""

from __future__ import annotations

import time

from sqlext.catalog.entry import ModelEntry
from sqlext.catalog.runs import RUNNING, Run
from sqlext.context import Context
from sqlext.training.recorder import RunRecorder

WAITING = "waiting"
_LOOK = 0.5  # seconds between two looks at the run that goes first


def await_turn(context: Context, run: RunRecorder) -> ModelEntry | None:
    """Waits until no other run trains the model. Returns the model if it exists then; otherwise this run may train it.

    :raises SqlExtError: TRAINING_CANCELLED.
    """
    with run.waiting():
        started, claims = time.monotonic(), True
        while True:
            others = _claims(run)
            if not others and claims:
                break
            if not others or (claims and any(_goes_first(other, run) for other in others)):
                claims = not claims
                run.store.update(run.run_id, phase=None if claims else WAITING)
            if others:
                _await(others[0], run)
        run.waited += time.monotonic() - started
        found = context.catalog.find(run.plan.name)
        if found is not None:
            run.not_needed()
        return found


def _claims(run: RunRecorder) -> list[Run]:
    """The other runs that claim the model."""
    return [other for other in run.store.live(run.plan.name) if other.run_id != run.run_id and other.phase != WAITING]


def _goes_first(other: Run, run: RunRecorder) -> bool:
    return other.run_id < run.run_id or other.status == RUNNING


def _await(other: Run, run: RunRecorder) -> None:
    """Waits until a run has ended, its driver is lost, or it has taken its claim back."""
    look = run.store.watch(other)
    now = look()
    while now is not None and now.is_live and now.phase != WAITING:
        run.waits(f"waiting for run {other.run_id}, which trains {run.plan.name}")
        time.sleep(_LOOK)
        # Before any call to the metastore, whose client turns the interrupt by which JDBC cancels into an error of its own.
        run.check_while_waiting()
        now = look()
