"""EXPORT MODEL: all that a version has in one folder, or its network in one file."""

from __future__ import annotations

import posixpath
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sqlext.catalog import ModelCatalog, ModelVersion
from sqlext.catalog.backbones import recorded_backbone
from sqlext.catalog.entry import PREFIX
from sqlext.catalog.publish import MANIFEST, release, sha256
from sqlext.errors import SqlExtError
from sqlext.paths import check_allowed
from sqlext.progress import report
from sqlext.statements.base import Context, ResultRow, located
from sqlext.transfer import target
from sqlext.transfer.listing import BACKBONE, HISTORY, LISTING, MODEL, Listing, Part, Stored

if TYPE_CHECKING:
    from sqlext.statements.export_model import ExportModel

FOLDER = "FOLDER"
# Parameters of a partition that belong to the place where it is, not to what it holds.
_OF_THE_PLACE = {
    *("run_id", "promoted", "pinned", "backbone", "backbone_id", "size_bytes"),
    *("format_version", "release", "created_at", "created_by"),
}


@dataclass(frozen=True)
class _Exported:
    """What was staged."""

    size_bytes: int
    sha256: str
    message: str | None


def export(context: Context, statement: ExportModel) -> ResultRow:
    """Carries out EXPORT MODEL and returns its one row."""
    catalog = context.catalog
    version = located(statement.model.name.offset, lambda: catalog.resolve(context.model_ref(statement.model)))
    catalog.check(version.name, "SELECT")
    path = located(statement.path_offset, lambda: _target(context, statement))
    place = {"overwrite": bool(statement.options["overwrite"]), "folder": statement.format is None}
    located(statement.path_offset, lambda: target.check(catalog.files, path, **place))
    with TemporaryDirectory(prefix="sqlext-export-") as folder:
        staged = Path(folder) / "export"
        report("reading", 0)
        stage = {None: _stage, "ONNX": _stage_onnx}[statement.format]
        exported = stage(catalog, version, staged)
        report("publishing", 0)
        located(statement.path_offset, lambda: target.place(catalog.files, staged, path, **place))
    return {
        "model": str(version.name),
        "version": version.version,
        "format": statement.format or FOLDER,
        "location": path,
        "size_bytes": exported.size_bytes,
        "sha256": exported.sha256,
        "status": "EXPORTED",
        "message": exported.message,
        "is_default": catalog.get(version.name).default.version == version.version,
    }


def _target(context: Context, statement: ExportModel) -> str:
    path = str(check_allowed(context.spark, statement.path).toString()).rstrip("/")
    if posixpath.basename(path) in ("", ".", "..") or not posixpath.dirname(path).strip("/").partition(":")[0]:
        raise SqlExtError("EXPORT_TARGET_EXISTS", path=statement.path, reason="is the root of a file system")
    return path


def _stage(catalog: ModelCatalog, version: ModelVersion, staged: Path) -> _Exported:
    """Fills a local folder; the message names the backbone that goes along."""
    manifest = _copy(catalog, version, staged / MODEL)
    backbone = recorded_backbone(catalog, manifest["backbone"], version) if manifest.get("backbone") else None
    if backbone is not None:
        _copy(catalog, backbone, staged / BACKBONE)
    if any(file.name == HISTORY for file in catalog.files.list(version.location)):
        _copy_file(catalog, f"{version.location}/{HISTORY}", staged / HISTORY)
    files = {p.relative_to(staged).as_posix(): p for p in sorted(staged.rglob("*")) if p.is_file()}
    stored = {name: Stored(p.stat().st_size, sha256(p)) for name, p in files.items()}
    listing = Listing(release(), _part(catalog, version), _part(catalog, backbone) if backbone else None, stored)
    (staged / LISTING).write_bytes(listing.to_bytes())
    size = listing.size_bytes + (staged / LISTING).stat().st_size
    message = f"with its backbone {backbone.name} version {backbone.version}" if backbone else None
    return _Exported(size, sha256(staged / LISTING), message)


def _stage_onnx(catalog: ModelCatalog, version: ModelVersion, staged: Path) -> _Exported:
    """Writes the graph; the message says what goes in and what comes out."""
    from sqlext.transfer.graphs import graph_of, message, with_metadata

    model, described = graph_of(catalog, version)
    staged.write_bytes(with_metadata(model, described))
    return _Exported(staged.stat().st_size, sha256(staged), message(model, described))


def _copy(catalog: ModelCatalog, version: ModelVersion, folder: Path) -> dict[str, Any]:
    """The manifest and all files that it lists; returns the manifest."""
    manifest = catalog.read_manifest(version)
    for name in [MANIFEST, *manifest.get("files", {})]:
        if not catalog.files.exists(f"{version.model_folder}/{name}"):
            raise SqlExtError("MODEL_FILES_MISSING", model=version, path=f"{version.model_folder}/{name}")
        _copy_file(catalog, f"{version.model_folder}/{name}", folder / name)
    return manifest


def _copy_file(catalog: ModelCatalog, path: str, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    found = catalog.files.local_copy(path, to.parent)
    if found != to:
        shutil.copyfile(found, to)


def _part(catalog: ModelCatalog, version: ModelVersion) -> Part:
    entry = catalog.get(version.name)
    own = {k.removeprefix(PREFIX): v for k, v in version.parameters.items() if k.startswith(PREFIX)}
    kept = {k: v for k, v in own.items() if k not in _OF_THE_PLACE and not k.startswith("alias.")}
    return Part(str(version.name), version.version, version.kind, entry.comment, entry.properties, kept)
