"""EXPORT MODEL: the format writes the files to a local folder, from which they are moved to the target."""

from __future__ import annotations

import posixpath
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError, error_at
from sqlext.progress import report
from sqlext.spark.paths import check_allowed
from sqlext.transfer import target
from sqlext.transfer.formats.base import FOLDER, format_of
from sqlext.transfer.request import ExportRequest


def export(context: Context, request: ExportRequest) -> ResultRow:
    """Carries out EXPORT MODEL and returns its one row."""
    catalog, overwrite = context.catalog, request.overwrite
    with error_at(request.model.name.offset):
        version = catalog.resolve(context.model_ref(request.model))
    catalog.check(version.name, "SELECT")
    form = format_of(request.format)
    with error_at(request.path_offset):
        path = _target(context, request)
        target.check(catalog.files, path, overwrite=overwrite, beside=form.BESIDE)
    with TemporaryDirectory(prefix="sqlext-export-") as folder:
        staged = Path(folder) / "export"
        report("reading", 0)
        exported = form.stage(catalog, version, staged)
        report("publishing", 0)
        with error_at(request.path_offset):
            target.place(catalog.files, staged, path, overwrite=overwrite, beside=form.BESIDE)
    return {
        "model": str(version.name),
        "version": version.version,
        "format": request.format or FOLDER,
        "location": path,
        "size_bytes": exported.size_bytes,
        "sha256": exported.sha256,
        "status": "EXPORTED",
        "message": exported.message,
        "is_default": catalog.get(version.name).default.version == version.version,
    }


def _target(context: Context, request: ExportRequest) -> str:
    path = str(check_allowed(context.spark, request.path).toString()).rstrip("/")
    if posixpath.basename(path) in ("", ".", "..") or not posixpath.dirname(path).strip("/").partition(":")[0]:
        raise SqlExtError("EXPORT_TARGET_EXISTS", path=request.path, reason="is the root of a file system")
    return path
