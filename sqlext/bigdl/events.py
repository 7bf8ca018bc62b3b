"""TensorBoard event files of a training, written epoch by epoch with BigDL's own record writer.

The driver writes them, so that both training paths leave the same files: one folder per run below the user's path, with
the scalars loss, val_loss, the metric and learning_rate. Their step is the epoch.
"""

from __future__ import annotations

import math
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from sqlext.bigdl.records import Epoch
from sqlext.errors import SqlExtError
from sqlext.spark.paths import check_allowed

_VERSION = "brain.Event:2"  # the first event of every file that TensorBoard reads


class EventFile:
    """One event file. :meth:`epoch` writes immediately, so that TensorBoard can follow a running training."""

    def __init__(self, spark: SparkSession, file: Path) -> None:
        jvm: Any = spark._jvm
        self._board: Any = jvm.com.intel.analytics.bigdl.dllib.visualization
        self._events: Any = jvm.org.tensorflow.util.Event
        self._writer: Any = self._board.tensorboard.RecordWriter(jvm.org.apache.hadoop.fs.Path(str(file)), None)
        self._writer.write(self._events.newBuilder().setWallTime(time.time()).setFileVersion(_VERSION).build())

    def epoch(self, epoch: Epoch, metric_name: str) -> None:
        values = {
            "loss": epoch.loss,
            "val_loss": epoch.val_loss,
            metric_name: epoch.metric_value,
            "learning_rate": epoch.learning_rate,
        }
        for tag, value in values.items():
            if value is not None and not math.isnan(value):
                self._scalar(tag, value, epoch)

    def _scalar(self, tag: str, value: float, epoch: Epoch) -> None:
        event = self._events.newBuilder().setWallTime(epoch.recorded_at.timestamp()).setStep(epoch.epoch)
        self._writer.write(event.setSummary(self._board.Summary.scalar(tag, float(value))).build())

    def close(self) -> None:
        self._writer.close()


def check_folder(spark: SparkSession, path: str) -> None:
    """Checks, before any job starts, that the settings allow writing to the folder.

    :raises SqlExtError: PATH_NOT_ALLOWED; FILE_NOT_FOUND for an invalid path or the path of a file.
    """
    target = check_allowed(spark, path)
    conf = spark._jsparkSession.sessionState().newHadoopConf()
    system = target.getFileSystem(conf)
    if system.exists(target) and not system.getFileStatus(target).isDirectory():
        raise SqlExtError("FILE_NOT_FOUND", path=path, looked_up=f"a folder, but {target.toString()} is a file")


@contextmanager
def event_file(spark: SparkSession, path: str, folder: str) -> Iterator[EventFile]:
    """An event file in ``path``/``folder``. If that is not on this machine, the file is copied there at the end.

    :param path: a Hadoop path, as the user wrote it.
    :param folder: the name of the run in TensorBoard.
    """
    jvm: Any = spark._jvm
    target = jvm.org.apache.hadoop.fs.Path(check_allowed(spark, path), folder)
    system = target.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
    system.mkdirs(target)
    # TensorBoard reads only files whose names contain "tfevents".
    name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
    if target.toUri().getScheme() == "file":
        with _open(spark, Path(target.toUri().getPath()) / name) as file:
            yield file
        return
    with tempfile.TemporaryDirectory(prefix="sqlext-events-") as local:
        with _open(spark, Path(local) / name) as file:
            yield file
        system.copyFromLocalFile(jvm.org.apache.hadoop.fs.Path((Path(local) / name).as_uri()), target)


@contextmanager
def _open(spark: SparkSession, path: Path) -> Iterator[EventFile]:
    file = EventFile(spark, path)
    try:
        yield file
    finally:
        file.close()
