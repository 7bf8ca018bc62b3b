"""OPTIONS (async = true): TRAIN MODEL returns at once, and a thread of the driver runs the training.

The thread has its own session (Context.beside) and job group, so that neither a later USE nor the end of the client's
statement disturbs it. It waits for a slot like every training (recorder.py), and ``RunStore.request_cancel`` ends it. The
threads are daemons: when the driver exits, its trainings end, and their records become FAILED.
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
    """A training in the background. Once ``ended`` is set, ``row`` is its result, or ``error`` says why it has none."""

    model: str
    run_id: str
    row: ResultRow | None = None
    error: str | None = None
    ended: threading.Event = field(default_factory=threading.Event)


_submitted: dict[str, Submitted] = {}


def submit(recorder: RunRecorder, carry_out: Callable[[], ResultRow]) -> ResultRow:
    """Starts ``carry_out`` in a new thread and returns TRAIN's row with status SUBMITTED.

    :param recorder: the session of its context must not be used by anything except this run.
    """
    # In the caller's thread: a record that cannot be written is an error of the
    # statement, and the run_id exists when it returns.
    recorder.open()
    entry = Submitted(str(recorder.plan.name), recorder.run_id)
    user = recorder.store.metastore.user()
    _submitted[entry.run_id] = entry

    def run() -> None:
        try:
            _set_up_thread(recorder.context, entry, user)
            entry.row = carry_out()
        except BaseException as error:  # nobody waits for this thread, and the run's record has the error, too
            entry.error = str(error).strip().split("\n", 1)[0]
            logger.info("run %s of %s ended", entry.run_id, entry.model, exc_info=error)
        finally:
            entry.ended.set()

    InheritableThread(target=run, name=f"train-{entry.run_id}", daemon=True).start()
    message = (
        f"run {entry.run_id} continues in the background: SHOW TRAINING RUNS shows its progress, "
        f"CANCEL TRAINING '{entry.run_id}' stops it"
    )
    return {
        "model": entry.model,
        "run_id": entry.run_id,
        "status": "SUBMITTED",
        "message": message,
        "is_default": False,
    }


def _set_up_thread(context: Context, entry: Submitted, user: str) -> None:
    """Gives this thread its own job group, session and user: the session that submitted it may be closed by now."""
    jvm: Any = context.spark._jvm
    context.spark.sparkContext.setJobGroup(f"sqlext-{entry.run_id}", f"TRAIN MODEL {entry.model}")
    jvm.org.apache.spark.sql.SparkSession.setActiveSession(context.spark._jsparkSession)
    jvm.org.apache.spark.sql.catalyst.CurrentUserContext.CURRENT_USER().set(user)


def take_submitted() -> list[Submitted]:
    """The runs submitted in this process since the last call, oldest first."""
    taken = list(_submitted.values())
    for entry in taken:
        del _submitted[entry.run_id]
    return taken
