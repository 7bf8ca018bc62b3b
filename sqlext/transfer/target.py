"""Where an export goes: staged beside its place, then moved there. What is there already is deleted only if it is ours."""

from __future__ import annotations

import posixpath
import uuid
from contextlib import suppress
from pathlib import Path

from sqlext.catalog.files import FileInfo, Files
from sqlext.errors import SqlExtError
from sqlext.networks.graph import PRODUCER
from sqlext.transfer.listing import LISTING, Listing, is_listing

_START = 64  # bytes of an ONNX file in which its writer's name stands


def check(files: Files, path: str, *, overwrite: bool, folder: bool = True) -> None:
    """That nothing is at ``path``, or with ``overwrite`` what EXPORT wrote: a folder that nobody has added to, or a file.

    :raises SqlExtError: EXPORT_TARGET_EXISTS with the reason.
    """
    there = files.info(path)
    if there is None:
        return
    if not overwrite:
        raise _refused(path, "exists; OPTIONS (overwrite = true) replaces an export")
    foreign = (_foreign if folder else _foreign_file)(files, path, there)
    if foreign:
        raise _refused(path, f"{foreign}; overwrite = true replaces exports alone, and nothing was deleted")


def place(files: Files, staged: Path, path: str, *, overwrite: bool, folder: bool = True) -> None:
    """Brings a staged file or folder to ``path``, replacing what :func:`check` lets pass."""
    part = f"{posixpath.dirname(path)}/.{posixpath.basename(path)}.{uuid.uuid4().hex}.part"
    try:
        files.upload(staged, part)
        check(files, path, overwrite=overwrite, folder=folder)
        files.delete(path, recursive=True)
        files.rename(part, path)
    except BaseException:
        with suppress(Exception):
            files.delete(part, recursive=True)
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
