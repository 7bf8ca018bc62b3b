"""Training runs, which start before their model's table exists: one JSON file each in the database's ``_sqlext/runs``.

The driver that trains owns the file and rewrites it as a whole: immediately if the status or phase changes, within a second
of any other update, and every ten seconds as a heartbeat. Other drivers only read it, and request a cancel by creating
the file ``<run_id>.cancel``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark import InheritableThread
from pyspark.sql import SparkSession

from sqlext.catalog.drafts import new_id
from sqlext.catalog.files import FileInfo, Files
from sqlext.catalog.metastore import Metastore
from sqlext.catalog.names import ModelName
from sqlext.errors import SqlExtError

QUEUED, RUNNING, READY, FAILED, CANCELLED = "QUEUED", "RUNNING", "READY", "FAILED", "CANCELLED"
LIVE = (QUEUED, RUNNING)
HEARTBEAT = timedelta(seconds=10)
DRIVER_LOST = timedelta(seconds=60)
_RECENT = 600.0  # seconds since a live run's file was written, at most, even if clocks differ by minutes
_FLUSH = 1.0  # seconds between two checks for changes to write and for a request to cancel
_TIMES = ("started_at", "updated_at", "finished_at", "heartbeat_at")


@dataclass(frozen=True)
class Run:
    """A row of SHOW TRAINING RUNS. ``options`` is JSON, times are UTC, ``history`` has one row per finished epoch."""

    run_id: str
    namespace: str
    model: str
    version: int | None = None
    status: str = RUNNING
    phase: str | None = None
    rows_done: int | None = None
    rows_total: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    val_loss: float | None = None
    metric_name: str | None = None
    metric_value: float | None = None
    started_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    user_name: str | None = None
    error: str | None = None
    options: str | None = None
    statement: str | None = None
    history: tuple[dict[str, Any], ...] = ()
    heartbeat_at: datetime | None = None
    application_id: str | None = None

    @property
    def name(self) -> ModelName:
        return ModelName(self.namespace, self.model)

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    def to_json(self) -> bytes:
        def plain(value: Any) -> Any:
            return value.isoformat() if isinstance(value, datetime) else str(value)

        return json.dumps({f.name: getattr(self, f.name) for f in fields(self)}, default=plain, indent=1).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Run:
        """Reads a run. Fields of later releases are ignored."""
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in json.loads(content).items() if key in known}
        times = {key: datetime.fromisoformat(values[key]) for key in _TIMES if values.get(key)}
        return cls(**{**values, **times, "history": tuple(values.get("history") or ())})


_owned: dict[str, _Owner] = {}  # the live runs of this process
_ended: dict[str, tuple[int, Run]] = {}  # cache of ended runs, which rarely change: path -> (modified_ms, run)


class RunStore:
    """The runs that the session ``spark`` can see."""

    def __init__(self, spark: SparkSession) -> None:
        self.files = Files(spark)
        self.metastore = Metastore(spark)
        self._application_id = spark.sparkContext.applicationId

    # --- for the driver that trains ---------------------------------------------------------------------------

    def start(
        self,
        name: ModelName,
        *,
        run_id: str | None = None,
        each_second: Callable[[], None] | None = None,
        **values: Any,
    ) -> Run:
        """Records a new run, RUNNING unless ``status`` is QUEUED, and sends its heartbeat until :meth:`finish`.

        :param each_second: called by the run's thread until then.
        :param values: fields of :class:`Run`.
        :raises SqlExtError: DATABASE_NOT_FOUND; FOLDER_ACCESS_DENIED, before any work is done.
        """
        database_folder = self.metastore.database_location(name.namespace)
        now = datetime.now(UTC)
        columns: dict[str, Any] = {"user_name": self.metastore.user(), "started_at": now, "updated_at": now, **values}
        columns["application_id"] = self._application_id
        run = Run(run_id or new_id(), name.namespace, name.name, **columns)
        folder = _folder(database_folder)
        self.files.make_folder(folder, database_folder)
        owner = _Owner(self.files, folder, run, each_second)
        owner.write()
        _owned[run.run_id] = owner
        owner.start()
        return run

    def update(self, run_id: str, **values: Any) -> None:
        """Changes fields of a run of this process. The file follows within a second, or immediately for a new phase."""
        _owned[run_id].change(values)

    def record_epoch(self, run_id: str, row: Mapping[str, Any]) -> None:
        """Appends a row to the history and sets the run's epoch, loss, val_loss and metric from it."""
        owner = _owned[run_id]
        seen = ("epoch", "loss", "val_loss", "metric_name", "metric_value")
        owner.change({key: row.get(key) for key in seen} | {"history": (*owner.run.history, dict(row))})

    def cancel_requested(self, run_id: str) -> bool:
        """Whether any session of any driver has requested a cancel. Costs nothing: a thread looks once a second."""
        owner = _owned.get(run_id)
        return owner is not None and owner.cancelled.is_set()

    def cancel_requested_now(self, run_id: str) -> bool:
        """:meth:`cancel_requested`, but it looks for a request at this moment."""
        owner = _owned.get(run_id)
        return owner is not None and (owner.cancelled.is_set() or owner.finds_request())

    def finish(self, run_id: str, status: str, **values: Any) -> None:
        """Ends a run as READY, FAILED or CANCELLED."""
        owner = _owned.pop(run_id)
        owner.stop()
        # The thread may be about to write once more. That is harmless: write() takes the current record under the lock, which
        # is the final one from here on.
        owner.change({"status": status, "finished_at": datetime.now(UTC), **values})
        self.files.delete(f"{owner.folder}/{run_id}.cancel")

    # --- for everybody ----------------------------------------------------------------------------------------

    def live(self, name: ModelName) -> list[Run]:
        """The queued and running runs of a model, oldest first; a name that no model has yet can have some, too."""
        folder = _folder(self.metastore.database_location(name.namespace))
        since = (time.time() - _RECENT) * 1000
        recent = [i for i in self.files.list(folder) if i.name.endswith(".json") and i.modified_ms >= since]
        runs = [run for info in recent if (run := self._read(folder, info)) is not None]
        found = [run for run in runs if run.is_live and run.model == name.name]
        return sorted(found, key=lambda run: (str(run.started_at), run.run_id))

    def list(self, namespace: str, model: str | None = None) -> list[Run]:
        """The runs of a database, newest first.

        :raises SqlExtError: DATABASE_NOT_FOUND, FOLDER_ACCESS_DENIED.
        """
        folder = _folder(self.metastore.database_location(namespace))
        found = (self._read(folder, info) for info in self.files.list(folder) if info.name.endswith(".json"))
        runs = [run for run in found if run is not None and model in (None, run.model)]
        return sorted(runs, key=lambda run: (str(run.started_at), run.run_id), reverse=True)

    def watch(self, run: Run) -> Callable[[], Run | None]:
        """A function that reads the run's record, without the metastore; it returns None if the record was deleted."""
        path = f"{_folder(self.metastore.database_location(run.namespace))}/{run.run_id}.json"

        def look() -> Run | None:
            try:
                return _as_seen_now(Run.from_json(self.files.read(path)))
            except FileNotFoundError:
                return None

        return look

    def find(self, run_id: str) -> Run:
        """The run with that id, in any database.

        :raises SqlExtError: RUN_NOT_FOUND.
        """
        if run_id.isalnum():  # it becomes part of a path
            for namespace in self._namespaces(run_id):
                folder = _folder(self.metastore.database_location(namespace))
                with suppress(FileNotFoundError):
                    return _as_seen_now(Run.from_json(self.files.read(f"{folder}/{run_id}.json")))
        raise SqlExtError("RUN_NOT_FOUND", run_id=run_id)

    def request_cancel(self, run_id: str) -> Run:
        """Asks the driver that trains to stop, which it does within seconds.

        :raises SqlExtError: RUN_NOT_FOUND, RUN_HAS_ENDED, FOLDER_ACCESS_DENIED.
        """
        run = self.find(run_id)
        if not run.is_live:
            raise SqlExtError("RUN_HAS_ENDED", run_id=run_id, status=run.status)
        self._cancel(run)
        return run

    def cancel_all(self, name: ModelName) -> tuple[str, ...]:
        """Asks all queued and running runs of a model to stop; returns their ids.

        :raises SqlExtError: FOLDER_ACCESS_DENIED.
        """
        runs = self.live(name)
        for run in runs:
            self._cancel(run)
        return tuple(run.run_id for run in runs)

    def _cancel(self, run: Run) -> None:
        folder = _folder(self.metastore.database_location(run.namespace))
        self.files.write(f"{folder}/{run.run_id}.cancel", self.metastore.user().encode())
        # The file is for other drivers; a run of this one need not wait for the next look at it.
        if owner := _owned.get(run.run_id):
            owner.cancelled.set()

    def rename(self, name: ModelName, to: str) -> None:
        """Changes the model's name in its ended runs. A run whose file may not be written keeps the old name."""
        folder = _folder(self.metastore.database_location(name.namespace))
        for run in self.list(name.namespace, name.name):
            # The owner of a live run would replace the file with its own record, which has the old name.
            if not run.is_live:
                with suppress(SqlExtError):
                    self.files.write(f"{folder}/{run.run_id}.json", replace(run, model=to).to_json())

    def forget(self, run: Run) -> None:
        """Deletes the record of an ended run.

        :raises SqlExtError: FOLDER_ACCESS_DENIED.
        """
        folder = _folder(self.metastore.database_location(run.namespace))
        for ending in ("json", "cancel"):
            self.files.delete(f"{folder}/{run.run_id}.{ending}")

    def close_lost(self, application_id: str) -> None:
        """Ends the runs of a driver whose Python process has ended and was started again, as this one."""
        for namespace in self.metastore.databases():
            with suppress(SqlExtError):
                for run in self.list(namespace):
                    if run.is_live and run.application_id == application_id and run.run_id not in _owned:
                        self._close(replace(run, status=FAILED, error="backend lost", finished_at=run.heartbeat_at))

    def _close(self, run: Run) -> None:
        folder = _folder(self.metastore.database_location(run.namespace))
        self.files.write(f"{folder}/{run.run_id}.json", run.to_json())
        self.files.delete(f"{folder}/{run.run_id}.cancel")

    def _namespaces(self, run_id: str) -> Iterable[str]:
        owner = _owned.get(run_id)
        return [owner.run.namespace] if owner else self.metastore.databases()

    def _read(self, folder: str, info: FileInfo) -> Run | None:
        path = f"{folder}/{info.name}"
        modified, run = _ended.get(path, (None, None))
        if run is None or modified != info.modified_ms:
            try:
                run = Run.from_json(self.files.read(path))
            except (FileNotFoundError, ValueError, TypeError):
                return None  # deleted in the meantime, or not a run's file
            if not run.is_live:
                _ended[path] = (info.modified_ms, run)
        return _as_seen_now(run)


class _Owner:
    """The only writer of a run's file, with the thread that sends heartbeats and looks for a request to cancel."""

    def __init__(self, files: Files, folder: str, run: Run, each_second: Callable[[], None] | None) -> None:
        self.files, self.folder, self.run, self.each_second = files, folder, run, each_second
        self.cancelled = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._changed = False
        self._thread = InheritableThread(target=self._beat, name=f"run-{run.run_id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()

    def change(self, values: Mapping[str, Any]) -> None:
        with self._lock:
            before, self.run = self.run, replace(self.run, **{"updated_at": datetime.now(UTC), **values})
            self._changed = True
        if (before.status, before.phase) != (self.run.status, self.run.phase):
            self.write()

    def write(self) -> None:
        with self._lock:
            self.run = replace(self.run, heartbeat_at=datetime.now(UTC))
            self.files.write(f"{self.folder}/{self.run.run_id}.json", self.run.to_json())
            self._changed = False

    def finds_request(self) -> bool:
        """Whether a request to cancel exists."""
        if self.files.exists(f"{self.folder}/{self.run.run_id}.cancel"):
            self.cancelled.set()
        return self.cancelled.is_set()

    def _beat(self) -> None:
        while not self._ended.wait(_FLUSH):
            if self.each_second is not None:
                with suppress(Exception):
                    self.each_second()
            # A name node that cannot be reached for a while must not end the training: the next round tries again.
            with suppress(Exception):
                self.finds_request()
                due = self.run.heartbeat_at is None or datetime.now(UTC) - self.run.heartbeat_at >= HEARTBEAT
                if (self._changed or due) and not self._ended.is_set():
                    self.write()


def _folder(database_folder: str) -> str:
    return f"{database_folder}/_sqlext/runs"


def _as_seen_now(run: Run) -> Run:
    """The run with its real status: a live run without a heartbeat for a minute has lost its driver."""
    beat = run.heartbeat_at or run.updated_at
    if not run.is_live or beat is None or datetime.now(UTC) - beat < DRIVER_LOST:
        return run
    return replace(run, status=FAILED, error="driver lost", finished_at=beat)
