"""The target of an export: files are uploaded next to it and then renamed. It is overwritten only if EXPORT wrote it."""

from __future__ import annotations

import posixpath
import uuid
from contextlib import suppress
from pathlib import Path

from py4j.protocol import Py4JJavaError

from sqlext.catalog.files import FileInfo, Files
from sqlext.catalog.metastore import java_message
from sqlext.errors import SqlExtError
from sqlext.networks.graph import PRODUCER
from sqlext.transfer.formats.listing import LISTING, Listing, is_listing

_START = 64  # bytes at the start of a file that contain the writer's name: ONNX's producer, the name of BigDL's graph


def check(files: Files, path: str, *, overwrite: bool, beside: tuple[str, ...] | None) -> None:
    """Checks that ``path`` is free or, with ``overwrite``, that EXPORT wrote it: a file, or a folder without other files.

    :param beside: for a file, the endings of the files that belong to it; None for a folder.
    :raises SqlExtError: EXPORT_TARGET_EXISTS with the reason.
    """
    existing = files.info(path)
    taken = path if existing else next((path + end for end in beside or () if files.info(path + end)), None)
    if taken is None:
        return
    if not overwrite:
        raise _refused(taken, "exists; OPTIONS (overwrite = true) replaces an export")
    if existing is None:
        raise _refused(taken, "is a file that EXPORT did not write; nothing was deleted")
    foreign = (_foreign if beside is None else _foreign_file)(files, path, existing)
    if foreign:
        raise _refused(path, f"{foreign}; overwrite = true replaces only exports, and nothing was deleted")


def place(files: Files, staged: Path, path: str, *, overwrite: bool, beside: tuple[str, ...] | None) -> None:
    """Moves a staged folder, or a file and those that belong to it, to ``path``, and replaces what :func:`check` allows.

    The file at ``path`` is deleted first and appears last: whoever finds it also finds the others.
    """
    endings = ("", *(beside or ()))
    folder, name = posixpath.split(path)
    part = f"{folder}/.{name}.{uuid.uuid4().hex}.part"
    try:
        for end in endings:
            files.upload(staged.with_name(staged.name + end), part + end)
        # Again, because the upload may have taken minutes.
        check(files, path, overwrite=overwrite, beside=beside)
        for end in endings:
            files.delete(path + end, recursive=beside is None)
        for end in reversed(endings):
            files.rename(part + end, path + end)
    except BaseException as error:
        for end in endings:
            with suppress(Exception):
                files.delete(part + end, recursive=True)
        if isinstance(error, Py4JJavaError):
            raise _refused(path, f"cannot be written: {java_message(error).splitlines()[0]}") from error
        raise


def _foreign(files: Files, path: str, existing: FileInfo) -> str | None:
    """Returns why the target is not the folder of an EXPORT; None if it is."""
    if not existing.is_folder:
        return "is a file, not the folder of an EXPORT"
    try:
        data = files.read(f"{path}/{LISTING}")
    except FileNotFoundError:
        return f"is a folder without {LISTING}"
    if not is_listing(data):
        return f"is a folder whose {LISTING} was not written by EXPORT MODEL"
    listed = {LISTING, *Listing.from_bytes(data, path).files}
    added = sorted(set(_names(files, path)) - listed)
    return f"has files that EXPORT did not write ({', '.join(added[:3])})" if added else None


def _foreign_file(files: Files, path: str, existing: FileInfo) -> str | None:
    """Returns why the target is not a file of an EXPORT, which would name its writer at the start; None if it is."""
    if existing.is_folder:
        return "is a folder, not a file that EXPORT wrote"
    return None if PRODUCER.encode() in files.start(path, _START) else "is a file that EXPORT did not write"


def _names(files: Files, folder: str, prefix: str = "") -> list[str]:
    """Returns the paths of all files below a folder, relative to it."""
    found = []
    for child in files.list(folder):
        name = prefix + child.name
        found += _names(files, f"{folder}/{child.name}", f"{name}/") if child.is_folder else [name]
    return found


def _refused(path: str, reason: str) -> SqlExtError:
    return SqlExtError("EXPORT_TARGET_EXISTS", path=path, reason=reason)
