"""Where an export goes: staged beside its place, then moved there. What is there already is deleted only if it is ours."""

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

_START = 64  # bytes of a file in which its writer's name stands: ONNX's producer, the name of BigDL's graph


def check(files: Files, path: str, *, overwrite: bool, beside: tuple[str, ...] | None) -> None:
    """That nothing is at ``path``, or with ``overwrite`` what EXPORT wrote: a folder that nobody has added to, or a file.

    :param beside: for a file the endings of those that go with it (also of those that may be left from another
        format); None: a folder.
    :raises SqlExtError: EXPORT_TARGET_EXISTS with the reason.
    """
    there = files.info(path)
    taken = path if there else next((path + end for end in beside or () if files.info(path + end)), None)
    if taken is None:
        return
    if not overwrite:
        raise _refused(taken, "exists; OPTIONS (overwrite = true) replaces an export")
    if there is None:
        raise _refused(taken, "is a file that EXPORT has not written; nothing was deleted")
    foreign = (_foreign if beside is None else _foreign_file)(files, path, there)
    if foreign:
        raise _refused(path, f"{foreign}; overwrite = true replaces exports alone, and nothing was deleted")


def place(files: Files, staged: Path, path: str, *, overwrite: bool, beside: tuple[str, ...] | None) -> None:
    """Brings a staged folder, or a file and those beside it, to ``path``, replacing what :func:`check` lets pass.

    The file of that name itself goes first and comes last: who finds it finds the others too.
    """
    endings = ("", *(beside or ()))
    folder, name = posixpath.split(path)
    part = f"{folder}/.{name}.{uuid.uuid4().hex}.part"
    try:
        for end in endings:
            files.upload(staged.with_name(staged.name + end), part + end)
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


def _foreign(files: Files, path: str, there: FileInfo) -> str | None:
    """What about the target is not an export's; None: it is one."""
    if not there.is_folder:
        return "is a file, not the folder of an EXPORT"
    try:
        data = files.read(f"{path}/{LISTING}")
    except FileNotFoundError:
        return f"is a folder without {LISTING}"
    if not is_listing(data):
        return f"is a folder whose {LISTING} is not one of EXPORT MODEL"
    listed = {LISTING, *Listing.from_bytes(data, path).files}
    added = sorted(set(_names(files, path)) - listed)
    return f"has other files than those of an EXPORT ({', '.join(added[:3])})" if added else None


def _foreign_file(files: Files, path: str, there: FileInfo) -> str | None:
    """The writer's name stands at the start of what we write."""
    if there.is_folder:
        return "is a folder, not a file that EXPORT wrote"
    return None if PRODUCER.encode() in files.start(path, _START) else "is a file that EXPORT has not written"


def _names(files: Files, folder: str, prefix: str = "") -> list[str]:
    """All files below a folder, by their path in it."""
    found = []
    for child in files.list(folder):
        name = prefix + child.name
        found += _names(files, f"{folder}/{child.name}", f"{name}/") if child.is_folder else [name]
    return found


def _refused(path: str, reason: str) -> SqlExtError:
    return SqlExtError("EXPORT_TARGET_EXISTS", path=path, reason=reason)
