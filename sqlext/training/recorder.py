"""Makes a training visible: its record in the catalog's run store, and progress reports in this process."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
from sqlext.progress import Progress, announce, interrupted
from sqlext.settings import setting
from sqlext.spark.java_errors import java_causes
from sqlext.spark.operation_log import log_of_client
from sqlext.spark.read_errors import read_error
from sqlext.training.client_lines import ClientLines
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


def _for_user(error: BaseException) -> BaseException:
    return error if isinstance(error, SqlExtError) else read_error(error) or error


def _is_cancel(error: BaseException) -> bool:
    """Whether the error comes from a cancelled Spark job or from an interrupt of this thread."""
    if isinstance(error, KeyboardInterrupt) or _JOB_CANCELLED.search(str(error)):
        return True
    return any("Interrupt" in cause.name for cause in java_causes(error))


def places(value: str | None) -> int:
    """The value of spark.sqlext.train.maxConcurrent.

    :raises SqlExtError: INVALID_SETTING below 1: without a slot, every training would wait for ever.
    """
    if value is None or not value.strip().isdecimal() or int(value) < 1:
        key, accepted = "spark.sqlext.train.maxConcurrent", "an integer, at least 1"
        raise SqlExtError("INVALID_SETTING", setting=key, value=value, accepted=accepted)
    return int(value)


class RunRecorder:
    """The record of one run, from before its first job to its end; a context manager around the training.

    :param in_turn: whether the run first waits for others (turns.py): it gets no slot until the context is entered.
    """

    def __init__(self, context: Context, plan: TrainPlan, *, in_turn: bool = False) -> None:
        self.context, self.plan, self.in_turn = context, plan, in_turn
        self.store = RunStore(context.spark)
        self.run_id = new_id()
        self.waited = 0.0
        self.began = time.monotonic()  # when the run got its slot; max_runtime counts from here
        self._phase, self._phase_began = "reading", self.began
        self._opened = self._running = self._ended = False
        self._events = ExitStack()
        self._event_file: EventFile | None = None
        self._lines: ClientLines | None = None
        self._description: str | None = None

    def __enter__(self) -> RunRecorder:
        if not self._running:
            with self.waiting():
                if not self._running:
                    self._wait_for(_training_slots(self.context))
        self._start_lines()
        self._description = self.context.spark.sparkContext.getLocalProperty("spark.job.description")
        return self

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around everything that the run waits for before it trains: an error inside the block ends its record."""
        self.open()
        self._start_lines()
        try:
            yield
        except BaseException as error:
            self._end(error)
            raise

    def _start_lines(self) -> None:
        # Not earlier: a run in the background must not write to the log of the statement that submitted it.
        if self._lines is None and (write := log_of_client(self.context.spark)):
            self._lines = ClientLines(f"run {self.run_id} of {self.plan.name}", write)

    def open(self) -> None:
        """Writes the record: RUNNING if a slot is free, otherwise QUEUED. Entering the context calls it, too."""
        if self._opened:
            return
        options = json.dumps({k: v for k, v in self.plan.options.items() if v is not None})
        slots = _training_slots(self.context)
        self._running = not self.in_turn and slots.acquire(blocking=False)
        try:
            self.store.start(
                self.plan.name,
                run_id=self.run_id,
                each_second=self._tick,
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
        # With a timeout, since a run that waits can be cancelled, too.
        while not slots.acquire(timeout=_WAIT):
            self.waits("waiting for another training to end")
        self.began = time.monotonic()
        self.waited += self.began - started
        self._running = True
        self.store.update(self.run_id, status="RUNNING")

    def waits(self, sentence: str) -> None:
        """Shows what the run waits for; to be called again and again.

        :raises SqlExtError: TRAINING_CANCELLED if a cancel was requested, in whatever way.
        """
        self.check_while_waiting()
        self._show(Progress(sentence, 0))

    def check_while_waiting(self) -> None:
        """:raises SqlExtError: TRAINING_CANCELLED if a cancel was requested, in whatever way."""
        # A statement that waits has no Spark job, and so no job that could be cancelled.
        if interrupted.is_set() or self._thread_was_interrupted():
            raise self._cancelled()
        self.check_cancelled()

    def check_cancelled(self, *, now: bool = False) -> None:
        """:raises SqlExtError: TRAINING_CANCELLED if a cancel was requested; up to a second later, unless ``now``."""
        store = self.store
        if store.cancel_requested_now(self.run_id) if now else store.cancel_requested(self.run_id):
            raise self._cancelled()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        _training_slots(self.context).release()
        self._event_file, self._lines = None, None
        self._events.close()
        self._describe(self._description)
        if error is not None:
            self._end(error)

    def _end(self, error: BaseException) -> None:
        """Ends the record with an error, unless it has ended.

        :raises SqlExtError: the error in the words of users, if it has others.
        """
        if self._ended:
            return
        # In any case, because it clears the flag: Hadoop does not write the record in a thread that is interrupted.
        was_interrupted = self._thread_was_interrupted()
        # An error that names its cause stays what it is, even if the thread was interrupted as well.
        is_cancel = not isinstance(error, SqlExtError) and (was_interrupted or _is_cancel(error))
        shown = self._cancelled() if is_cancel else _for_user(error)
        cancelled = getattr(shown, "error_class", None) == "TRAINING_CANCELLED"
        text = str(shown).strip().split("\n", 1)[0]
        self._finish("CANCELLED" if cancelled else "FAILED", error=text)
        if shown is not error:
            raise shown from None

    def _thread_was_interrupted(self) -> bool:
        """Whether this thread was interrupted (JDBC `cancel()`) since the last call."""
        jvm: Any = self.context.spark.sparkContext._jvm
        return bool(jvm.java.lang.Thread.interrupted())

    def _cancelled(self) -> SqlExtError:
        return SqlExtError("TRAINING_CANCELLED", model=self.plan.name, run_id=self.run_id)

    def phase(self, name: str, total: int = 0) -> None:
        """Enters a phase of ``total`` rows.

        :raises SqlExtError: TRAINING_CANCELLED if a cancel was requested.
        """
        self.check_cancelled()
        self._phase, self._phase_began = name, time.monotonic()
        self.store.update(self.run_id, phase=name, rows_done=0, rows_total=total or None)
        counted = self.plan.settings.epochs if name == "training" else total
        self._describe(f"TRAIN MODEL {self.plan.name}: {name}" + (f" {counted:,} {self._unit}" if counted else ""))
        self._show_done(0, counted)

    def _describe(self, jobs: str | None) -> None:
        """Sets the text that Spark's UI shows for the thread's jobs, but not their group, by which they are cancelled."""
        self.context.spark.sparkContext.setLocalProperty("spark.job.description", jobs)  # type: ignore[arg-type]

    def progress(self, done: int, total: int) -> None:
        self.store.update(self.run_id, rows_done=done, rows_total=total)
        self._show_done(done, total)

    @property
    def _unit(self) -> str:
        if self._phase == "training":
            return "epochs"
        return "images" if self.plan.embedder.embeds else "rows"

    def _show_done(self, done: int, total: int, detail: str = "") -> None:
        ends = None
        if 0 < done < total:
            ends = self._phase_began + (time.monotonic() - self._phase_began) * total / done
            runtime = self.plan.options["max_runtime"]
            if runtime is not None and self._phase == "training":
                ends = min(ends, self.began + runtime)
        self._show(Progress(self._phase, done, total or None, detail, self._unit, ends))

    def _show(self, progress: Progress) -> None:
        announce(progress)
        if (lines := self._lines) is not None:
            lines.take(progress)

    def _tick(self) -> None:
        if (lines := self._lines) is not None:
            lines.tick()

    def epoch(self, epoch: Epoch, rows: int) -> bool:
        """Records a finished epoch; returns False if the training must stop."""
        row = asdict(epoch) | {"metric_name": self.plan.epoch_metric, "recorded_at": epoch.recorded_at.isoformat()}
        self.store.record_epoch(self.run_id, row)
        self.store.update(self.run_id, rows_done=rows * epoch.epoch)
        self._write_event(epoch)
        loss = f"loss {epoch.loss:.4f}" + (f", val_loss {epoch.val_loss:.4f}" if epoch.val_loss is not None else "")
        self._show_done(epoch.epoch, self.plan.settings.epochs, loss)
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

    def not_needed(self) -> None:
        """Ends the run because the model exists by now, and IF NOT EXISTS wants no more: READY without a version."""
        self._finish("READY")

    def passed_over(self, epoch: Epoch) -> None:
        """Ends the run of a trial that succeeded but is not the best: READY without a version."""
        self._finish("READY", loss=epoch.loss, val_loss=epoch.val_loss, metric_value=epoch.metric_value)

    def abandoned(self, error: BaseException) -> None:
        """Ends the run of a trial that succeeded, but of which nothing is published because of ``error``."""
        self._finish("CANCELLED", error=str(error).strip().split("\n", 1)[0])

    def _finish(self, status: str, **values: Any) -> None:
        self._ended = True
        self.store.finish(self.run_id, status, **values)
