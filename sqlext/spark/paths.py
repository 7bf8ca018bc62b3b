"""Paths in SQL statements: resolved by Hadoop's rules and checked against the folders that a shared server may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyspark.sql import SparkSession

from sqlext.errors import SqlExtError
from sqlext.settings import setting
from sqlext.spark.java_classes import java_classes


def qualified(spark: SparkSession, path: str) -> Any:
    """The Hadoop path with its scheme; a path without one belongs to `fs.defaultFS`.

    :raises SqlExtError: FILE_NOT_FOUND for text that is not a path.
    """
    jvm = java_classes(spark)
    conf = spark._jsparkSession.sessionState().newHadoopConf()
    try:
        raw = jvm.org.apache.hadoop.fs.Path(path)
        return raw.getFileSystem(conf).makeQualified(raw)
    except Exception as error:
        reason = str(getattr(error, "java_exception", error)).split("\n", 1)[0]
        raise SqlExtError("FILE_NOT_FOUND", path=path, looked_up=reason) from None


def check_allowed(spark: SparkSession, path: str) -> Any:
    """The qualified path, if `spark.sqlext.allowedPaths` is not set or lists the path or a folder above it.

    :raises SqlExtError: PATH_NOT_ALLOWED, with the allowed folders.
    """
    target = qualified(spark, path)
    allowed = setting(spark, "allowedPaths")
    if allowed is None:
        return target
    folders = [qualified(spark, folder.strip()) for folder in allowed.split(",") if folder.strip()]
    # toUri().normalize() removes '..' from a path. A link below an allowed folder is the administrator's responsibility.
    wanted = target.toUri().normalize().toString()
    for folder in folders:
        above = folder.toUri().normalize().toString().rstrip("/")
        # With the slash: /data does not allow /database.
        if wanted == above or wanted.startswith(above + "/"):
            return target
    listed = ", ".join(f.toString() for f in folders) or "none"
    raise SqlExtError("PATH_NOT_ALLOWED", path=path, allowed=listed)


@contextmanager
def local_file(
    spark: SparkSession, path: str, format: str = "ONNX", beside: Callable[[Path], list[str]] = lambda _: []
) -> Iterator[Path]:
    """A local copy of the file, or the file itself if it is on this machine, together with its external data.

    :param format: the format of the statement, for the error.
    :param beside: given the copy, returns the names of other files in or below its folder; those that exist are copied, too.
    :raises SqlExtError: FILE_NOT_FOUND with the qualified path, IS_A_FOLDER, PATH_NOT_ALLOWED.
    """
    target = check_allowed(spark, path)
    conf = spark._jsparkSession.sessionState().newHadoopConf()
    system = target.getFileSystem(conf)
    if not system.exists(target):
        raise SqlExtError("FILE_NOT_FOUND", path=path, looked_up=target.toString())
    if system.getFileStatus(target).isDirectory():
        raise SqlExtError("IS_A_FOLDER", path=path, format=format)
    if target.toUri().getScheme() == "file":
        yield Path(target.toUri().getPath())
        return
    with TemporaryDirectory(prefix="sqlext-import-") as folder:
        copy = Path(folder) / target.getName()
        hadoop_path = java_classes(spark).org.apache.hadoop.fs.Path
        # The last argument selects the raw local file system, which writes no .crc file next to the copy.
        system.copyToLocalFile(False, target, hadoop_path(copy.as_uri()), True)
        for name in beside(copy):
            # Without "./", Hadoop would read a name with a colon as a scheme.
            other, here = hadoop_path(target.getParent(), f"./{name}"), Path(folder) / name
            if system.exists(other):
                here.parent.mkdir(parents=True, exist_ok=True)
                system.copyToLocalFile(False, other, hadoop_path(here.as_uri()), True)
        yield copy
