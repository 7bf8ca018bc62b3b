"""OPTIONS (async = true): TRAIN MODEL returns at once, and a thread of the driver carries the training out.

It runs in a session of its own beside the caller's (Context.beside) and in a job group of its own, so that neither a later
USE nor the end of the client's statement disturbs it. Places and the queue are those of every training (recorder.py), and
``RunStore.request_cancel`` ends it. The threads are daemons: a driver that ends takes its trainings along, and their
records say so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pyspark import InheritableThread

from sqlext.context import Context, ResultRow
from sqlext.training.recorder import RunRecorder

logger = logging.getLogger("sqlext")


@dataclass
class Submitted:
    """A training that runs in the background; when ``ended``, ``row`` is its result or ``error`` says why there is none."""

    model: str
    run_id: str
    row: ResultRow | None = None
    error: str | None = None
    ended: threading.Event = field(default_factory=threading.Event)


_submitted: dict[str, Submitted] = {}


def submit(recorder: RunRecorder, carry_out: Callable[[], ResultRow]) -> ResultRow:
    """Starts ``carry_out`` in a thread of its own and returns TRAIN's row, status SUBMITTED.

    :param recorder: of a context whose session is the run's alone.
    """
    recorder.open()
    entry = Submitted(str(recorder.plan.name), recorder.run_id)
    user = recorder.store.metastore.user()
    _submitted[entry.run_id] = entry

    def run() -> None:
        try:
            _own_thread(recorder.context, entry, user)
            entry.row = carry_out()
        except BaseException as error:  # it is in the record, too, and nobody waits for this thread
            entry.error = str(error).strip().split("\n", 1)[0]
            logger.info("run %s of %s ended", entry.run_id, entry.model, exc_info=error)
        finally:
            entry.ended.set()

    InheritableThread(target=run, name=f"train-{entry.run_id}", daemon=True).start()
    message = f"run {entry.run_id} goes on in the background: SHOW TRAINING RUNS, CANCEL TRAINING '{entry.run_id}'"
    return {
        "model": entry.model,
        "run_id": entry.run_id,
        "status": "SUBMITTED",
        "message": message,
        "is_default": False,
    }


def _own_thread(context: Context, entry: Submitted, user: str) -> None:
    """This thread's jobs, session and user: not those of the statement that submitted it, which may be closed by now."""
    jvm: Any = context.spark._jvm
    context.spark.sparkContext.setJobGroup(f"sqlext-{entry.run_id}", f"TRAIN MODEL {entry.model}")
    jvm.org.apache.spark.sql.SparkSession.setActiveSession(context.spark._jsparkSession)
    jvm.org.apache.spark.sql.catalyst.CurrentUserContext.CURRENT_USER().set(user)


def take_submitted() -> list[Submitted]:
    """The runs that were submitted in this process since the last call, oldest first."""
    taken = list(_submitted.values())
    for entry in taken:
        del _submitted[entry.run_id]
    return taken
