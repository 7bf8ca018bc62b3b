"""Makes a training visible: its record in the catalog's run store, and progress reports in this process."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Any

from sqlext.bigdl.events import EventFile, event_file
from sqlext.bigdl.records import Epoch
from sqlext.catalog.drafts import new_id
from sqlext.catalog.entry import ModelVersion
from sqlext.catalog.runs import RunStore
from sqlext.context import Context
from sqlext.errors import SqlExtError
from sqlext.progress import report
from sqlext.settings import setting
from sqlext.training.plan import TrainPlan

_slots: threading.BoundedSemaphore | None = None
_slots_lock = threading.Lock()
_WAIT = 0.5
_JOB_CANCELLED = re.compile(r"Job \d+ cancelled|part of cancelled job group|TaskKilledException|InterruptedException")


def _training_slots(context: Context) -> threading.BoundedSemaphore:
    """The `spark.sqlext.train.maxConcurrent` slots of this driver; the setting is static.

    :raises SqlExtError: INVALID_SETTING.
    """
    global _slots
    # Two trainings that start at once must not create two sets of slots.
    with _slots_lock:
        if _slots is None:
            _slots = threading.BoundedSemaphore(places(setting(context.spark, "train.maxConcurrent")))
        return _slots


def places(value: str | None) -> int:
    """The value of spark.sqlext.train.maxConcurrent.

    :raises SqlExtError: INVALID_SETTING below 1: without a slot, every training would wait for ever.
    """
    if value is None or not value.strip().isdecimal() or int(value) < 1:
        key, accepted = "spark.sqlext.train.maxConcurrent", "an integer, at least 1"
        raise SqlExtError("INVALID_SETTING", setting=key, value=value, accepted=accepted)
    return int(value)


class RunRecorder:
    """The record of one run, from before its first job to its end; a context manager around the training."""

    def __init__(self, context: Context, plan: TrainPlan) -> None:
        self.context, self.plan = context, plan
        self.store = RunStore(context.spark)
        self.run_id = new_id()
        self.waited = 0.0
        self.began = time.monotonic()  # when the run got its slot; max_runtime counts from here
        self._phase, self._total = "reading", 0
        self._opened = self._running = self._ended = False
        self._events = ExitStack()
        self._event_file: EventFile | None = None

    def __enter__(self) -> RunRecorder:
        self.open()
        if not self._running:
            self._wait_for(_training_slots(self.context))
        return self

    def open(self) -> None:
        """Writes the record: RUNNING if a slot is free, otherwise QUEUED. Entering the context calls it, too."""
        if self._opened:
            return
        options = json.dumps({k: v for k, v in self.plan.options.items() if v is not None})
        slots = _training_slots(self.context)
        self._running = slots.acquire(blocking=False)
        try:
            self.store.start(
                self.plan.name,
                run_id=self.run_id,
                status="RUNNING" if self._running else "QUEUED",
                epochs=self.plan.settings.epochs,
                metric_name=self.plan.epoch_metric,
                options=options,
                statement=self.context.sql.strip(),
            )
        except BaseException:
            if self._running:
                slots.release()
            raise
        self._opened = True

    def _wait_for(self, slots: threading.BoundedSemaphore) -> None:
        started = time.monotonic()
        # With a timeout, since a run that waits can be cancelled, too. If it is, it holds no
        # slot, and Python does not call __exit__.
        while not slots.acquire(timeout=_WAIT):
            if self.store.cancel_requested(self.run_id):
                error = self._cancelled()
                self._finish("CANCELLED", error=str(error))
                raise error
        self.began = time.monotonic()
        self.waited += self.began - started
        self._running = True
        self.store.update(self.run_id, status="RUNNING")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        _training_slots(self.context).release()
        self._event_file = None
        self._events.close()
        if error is None or self._ended:
            return
        shown = self._cancelled() if self._is_cancel(error) else error
        cancelled = getattr(shown, "error_class", None) == "TRAINING_CANCELLED"
        text = str(shown).strip().split("\n", 1)[0]
        self._finish("CANCELLED" if cancelled else "FAILED", error=text)
        if shown is not error:
            raise shown from None

    def _is_cancel(self, error: BaseException) -> bool:
        """Whether the error comes from a cancelled Spark job or from an interrupt of this thread (JDBC `cancel()`)."""
        # An error that names its cause stays what it is, even if the thread was interrupted as well.
        if isinstance(error, SqlExtError):
            return False
        jvm: Any = self.context.spark.sparkContext._jvm
        return _JOB_CANCELLED.search(str(error)) is not None or bool(
            jvm.java.lang.Thread.currentThread().isInterrupted()
        )

    def _cancelled(self) -> SqlExtError:
        return SqlExtError("TRAINING_CANCELLED", model=self.plan.name, run_id=self.run_id)

    def phase(self, name: str, total: int = 0) -> None:
        """Enters a phase of ``total`` rows.

        :raises SqlExtError: TRAINING_CANCELLED if a cancel was requested.
        """
        if self.store.cancel_requested(self.run_id):
            raise self._cancelled()
        self._phase, self._total = name, total
        self.store.update(self.run_id, phase=name, rows_done=0, rows_total=total or None)
        report(name, 0, self.plan.settings.epochs if name == "training" else total or None)

    def progress(self, done: int, total: int) -> None:
        self.store.update(self.run_id, rows_done=done, rows_total=total)
        report(self._phase, done, total)

    def epoch(self, epoch: Epoch, rows: int) -> bool:
        """Records a finished epoch; returns False if the training must stop."""
        row = asdict(epoch) | {"metric_name": self.plan.epoch_metric, "recorded_at": epoch.recorded_at.isoformat()}
        self.store.record_epoch(self.run_id, row)
        self.store.update(self.run_id, rows_done=rows * epoch.epoch)
        self._write_event(epoch)
        loss = f"loss {epoch.loss:.4f}" + (f", val_loss {epoch.val_loss:.4f}" if epoch.val_loss is not None else "")
        report("training", epoch.epoch, self.plan.settings.epochs, f"epoch {epoch.epoch}: {loss}")
        return not self.store.cancel_requested(self.run_id)

    def _write_event(self, epoch: Epoch) -> None:
        """Writes the epoch for TensorBoard, if the option tensorboard names a folder."""
        path = self.plan.options["tensorboard"]
        if path is None:
            return
        if self._event_file is None:
            opened = event_file(self.context.spark, path, f"{self.plan.name}-{self.run_id}")
            self._event_file = self._events.enter_context(opened)
        self._event_file.epoch(epoch, self.plan.epoch_metric)

    def ready(self, version: ModelVersion, figures: Mapping[str, Any]) -> None:
        """Ends the run of a published version; ``figures`` are result columns of TRAIN."""
        # metric_value belongs to the option metric, which may differ from the metric of the epochs.
        recorded = {key: figures[key] for key in ("loss", "val_loss", "metric_name", "metric_value")}
        self._finish("READY", version=version.version, **recorded)

    def passed_over(self, epoch: Epoch) -> None:
        """Ends the run of a trial that succeeded but is not the best: READY without a version."""
        self._finish("READY", loss=epoch.loss, val_loss=epoch.val_loss, metric_value=epoch.metric_value)

    def abandoned(self, error: BaseException) -> None:
        """Ends the run of a trial that succeeded, but of which nothing is published because of ``error``."""
        self._finish("CANCELLED", error=str(error).strip().split("\n", 1)[0])

    def _finish(self, status: str, **values: Any) -> None:
        self._ended = True
        self.store.finish(self.run_id, status, **values)
