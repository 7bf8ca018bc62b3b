"""Files of models on the file system of the warehouse, through Hadoop's FileSystem and Py4J."""

from __future__ import annotations

import posixpath
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors.exceptions.base import PySparkException
from pyspark.sql import SparkSession

from sqlext.catalog.metastore import java_message
from sqlext.errors import SqlExtError
from sqlext.spark.java_classes import java_classes

_REFUSED = ("AccessControlException", "AccessDeniedException")


@dataclass(frozen=True)
class FileInfo:
    name: str
    is_folder: bool
    size: int
    modified_ms: int


class Files:
    """Paths are Hadoop paths as text (``hdfs://nn/warehouse/shop.db``).

    :raises SqlExtError: FOLDER_ACCESS_DENIED, from most methods, if the file system refuses access.
    """

    def __init__(self, spark: SparkSession) -> None:
        jvm = java_classes(spark)
        self._jvm = jvm
        self._gateway: Any = spark.sparkContext._gateway
        self._conf: Any = spark._jsparkSession.sessionState().newHadoopConf()
        self._user = str(jvm.org.apache.hadoop.security.UserGroupInformation.getCurrentUser().getShortUserName())

    def exists(self, path: str) -> bool:
        with self._refusals(path, "read"):
            return bool(self._fs(path).exists(self._path(path)))

    def info(self, path: str) -> FileInfo | None:
        """The file or folder at a path; None if neither exists."""
        with self._refusals(posixpath.dirname(path), "read"):
            try:
                status = self._fs(path).getFileStatus(self._path(path))
            except Py4JJavaError as error:
                if "FileNotFoundException" in _classes(error) and "ermission denied" not in java_message(error):
                    return None
                raise
            return FileInfo(
                status.getPath().getName(), status.isDirectory(), status.getLen(), status.getModificationTime()
            )

    def list(self, folder: str) -> list[FileInfo]:
        """The files and folders in a folder; empty if the folder does not exist."""
        with self._refusals(folder, "read"):
            try:
                statuses = self._fs(folder).listStatus(self._path(folder))
            except Py4JJavaError as error:
                if "FileNotFoundException" in _classes(error) and "ermission denied" not in java_message(error):
                    return []
                raise
            return [
                FileInfo(s.getPath().getName(), s.isDirectory(), s.getLen(), s.getModificationTime()) for s in statuses
            ]

    def read(self, path: str) -> bytes:
        """The content of a file.

        :raises FileNotFoundError: if it does not exist.
        """
        with self._refusals(posixpath.dirname(path), "read"):
            try:
                stream = self._fs(path).open(self._path(path))
            except Py4JJavaError as error:
                # Hadoop's local file system raises FileNotFoundException "(Permission denied)" for a file that it may not open.
                if "FileNotFoundException" in _classes(error) and "ermission denied" not in java_message(error):
                    raise FileNotFoundError(path) from None
                raise
            try:
                # Py4J sends bytes as base64 text, so large files are copied with local_copy() instead.
                return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
            finally:
                stream.close()

    def start(self, path: str, count: int) -> bytes:
        """The first ``count`` bytes of a file, or all of a shorter one."""
        with self._refusals(posixpath.dirname(path), "read"):
            stream = self._fs(path).open(self._path(path))
            try:
                size = min(count, self._fs(path).getFileStatus(self._path(path)).getLen())
                return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream, size))
            finally:
                stream.close()

    def local_copy(self, path: str, folder: Path | None = None) -> Path:
        """A file on this machine with the content of ``path``: the file itself if it is local, otherwise a copy.

        :param folder: where the copy goes; None: a new temporary folder.
        """
        here = _on_this_machine(path)
        if here:
            return here
        target = (folder or Path(tempfile.mkdtemp(prefix="sqlext-"))) / posixpath.basename(path)
        with self._refusals(posixpath.dirname(path), "read"):
            self._fs(path).copyToLocalFile(False, self._path(path), self._path(str(target)), True)
        return target

    def write(self, path: str, content: bytes) -> None:
        """Writes or replaces a small file so that a reader sees either the old or the new content, never a part."""
        folder, name = posixpath.split(path)
        # A name with a leading dot is hidden from Spark and Hive, which would otherwise read an unfinished file as data.
        part = f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
        with self._refusals(folder, "write"):
            stream = self._fs(folder).create(self._path(part), True)
            try:
                stream.write(bytearray(content))
            finally:
                stream.close()
            self._replace(part, path)

    def _replace(self, part: str, path: str) -> None:
        """Renames ``part`` to ``path``, replacing an existing file.

        FileSystem.rename has no public way to replace a file, and FileContext.rename does so atomically only on HDFS.
        """
        here = _on_this_machine(part), _on_this_machine(path)
        if here[0] and here[1]:
            here[0].replace(here[1])
            return
        hadoop = self._jvm.org.apache.hadoop.fs
        overwrite = self._gateway.new_array(hadoop.Options.Rename, 1)
        overwrite[0] = hadoop.Options.Rename.OVERWRITE
        context = hadoop.FileContext.getFileContext(self._path(path).toUri(), self._conf)
        context.rename(self._path(part), self._path(path), overwrite)

    def upload(self, local: Path, path: str) -> None:
        """Copies a local file or a folder with all its content to ``path``, which must not exist."""
        with self._refusals(posixpath.dirname(path), "write"):
            self._fs(path).copyFromLocalFile(False, False, self._path(str(local)), self._path(path))

    def rename(self, source: str, target: str) -> None:
        """Renames a file or folder.

        :raises OSError: if ``target`` exists or ``source`` does not.
        """
        with self._refusals(posixpath.dirname(target), "write"):
            fs = self._fs(target)
            # If the target is an existing folder, FileSystem.rename moves the source into it.
            if fs.exists(self._path(target)) or not fs.rename(self._path(source), self._path(target)):
                raise OSError(f"{source} could not be renamed to {target}")

    def delete(self, path: str, *, recursive: bool = False) -> bool:
        """Deletes a file or folder; a folder that is not empty only if ``recursive``. Returns whether it was deleted."""
        with self._refusals(posixpath.dirname(path), "write"):
            fs, target = self._fs(path), self._path(path)
            # Hadoop raises an exception for a folder that is not empty.
            if not recursive and fs.exists(target) and fs.getFileStatus(target).isDirectory() and fs.listStatus(target):
                return False
            return bool(fs.delete(target, recursive))

    def make_folder(self, path: str, like: str) -> None:
        """Creates ``path`` and any missing folders between it and ``like``, with the group and permissions of ``like``."""
        with self._refusals(posixpath.dirname(path), "write"):
            missing: list[str] = []
            step = path
            while step != like and step.startswith(like) and not self.exists(step):
                missing.append(step)
                step = posixpath.dirname(step)
            if not self._fs(path).mkdirs(self._path(path)):
                raise SqlExtError(
                    "FOLDER_ACCESS_DENIED",
                    user=self._user,
                    right="write",
                    folder=posixpath.dirname(path),
                    reason="refused",
                )
            for folder in missing:
                self.share(folder, like)

    def share(self, folder: str, like: str) -> None:
        """Gives a folder the group and permissions of ``like``, so that the same users may write to it."""
        fs = self._fs(folder)
        current, wanted = fs.getFileStatus(self._path(folder)), fs.getFileStatus(self._path(like))
        if current.getGroup() != wanted.getGroup():
            # Only members of the group may do this; on HDFS a new folder inherits the group anyway.
            with suppress(Py4JJavaError):
                fs.setOwner(self._path(folder), None, wanted.getGroup())
        if current.getPermission().toShort() != wanted.getPermission().toShort():
            fs.setPermission(self._path(folder), wanted.getPermission())

    def share_all(self, folder: str, like: str) -> None:
        """:meth:`share` for a folder and all folders below it."""
        self.share(folder, like)
        for child in self.list(folder):
            if child.is_folder:
                self.share_all(f"{folder}/{child.name}", like)

    def size(self, folder: str) -> int:
        """Bytes of all files below a folder."""
        return int(self._fs(folder).getContentSummary(self._path(folder)).getLength())

    def _path(self, path: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(path)

    def _fs(self, path: str) -> Any:
        fs = self._path(path).getFileSystem(self._conf)
        # The raw file system has no .crc files. A file and its checksum cannot be replaced in one step, so that a reader
        # could see them disagree.
        return fs.getRaw() if _on_this_machine(path) else fs

    @contextmanager
    def _refusals(self, folder: str, right: str) -> Iterator[None]:
        try:
            yield
        except (Py4JJavaError, PySparkException) as error:
            message = java_message(error)
            refused = "ermission denied" in message or "Mkdirs failed" in message
            if not refused and not any(name in _classes(error) for name in _REFUSED):
                raise
            reason = message.splitlines()[0]
            raise SqlExtError(
                "FOLDER_ACCESS_DENIED", user=self._user, right=right, folder=folder, reason=reason
            ) from error


def _on_this_machine(path: str) -> Path | None:
    return Path("/" + path.removeprefix("file:").lstrip("/")) if path.startswith("file:") else None


def _classes(error: Exception) -> str:
    """The class names of a Java exception and its causes."""
    if not isinstance(error, Py4JJavaError):
        return type(error).__name__
    names: list[str] = []
    cause: Any = error.java_exception
    while cause is not None and len(names) < 10:
        names.append(str(cause.getClass().getName()))
        cause = cause.getCause()
    return " ".join(names)
