"""EXPORT MODEL without FORMAT: the files of a version, of its backbone and its history in one folder."""

from __future__ import annotations

import posixpath
import shutil
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


def export(context: Context, statement: ExportModel) -> ResultRow:
    """Carries out EXPORT MODEL and returns its one row."""
    catalog = context.catalog
    version = located(statement.model.name.offset, lambda: catalog.resolve(context.model_ref(statement.model)))
    catalog.check(version.name, "SELECT")
    path = located(statement.path_offset, lambda: _target(context, statement))
    overwrite = bool(statement.options["overwrite"])
    located(statement.path_offset, lambda: target.check(catalog.files, path, overwrite=overwrite))
    with TemporaryDirectory(prefix="sqlext-export-") as folder:
        staged = Path(folder) / "export"
        report("reading", 0)
        listing, message = _stage(catalog, version, staged)
        report("publishing", 0)
        located(statement.path_offset, lambda: target.place(catalog.files, staged, path, overwrite=overwrite))
        return {
            "model": str(version.name),
            "version": version.version,
            "format": FOLDER,
            "location": path,
            "size_bytes": listing.size_bytes + (staged / LISTING).stat().st_size,
            "sha256": sha256(staged / LISTING),
            "status": "EXPORTED",
            "message": message,
            "is_default": catalog.get(version.name).default.version == version.version,
        }


def _target(context: Context, statement: ExportModel) -> str:
    path = str(check_allowed(context.spark, statement.path).toString()).rstrip("/")
    if posixpath.basename(path) in ("", ".", "..") or not posixpath.dirname(path).strip("/").partition(":")[0]:
        raise SqlExtError("EXPORT_TARGET_EXISTS", path=statement.path, reason="is the root of a file system")
    return path


def _stage(catalog: ModelCatalog, version: ModelVersion, staged: Path) -> tuple[Listing, str | None]:
    """Fills a local folder; the message names the backbone that went along."""
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
    return listing, f"with its backbone {backbone.name} version {backbone.version}" if backbone else None


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
