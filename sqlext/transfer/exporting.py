"""EXPORT MODEL: all that a version has in one folder, or its network in one file."""

from __future__ import annotations

import posixpath
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sqlext.catalog import ModelCatalog, ModelVersion
from sqlext.catalog.backbones import recorded_backbone
from sqlext.catalog.entry import PREFIX
from sqlext.catalog.publish import MANIFEST, release, sha256
from sqlext.errors import SqlExtError
from sqlext.networks.graph import PRODUCER
from sqlext.progress import report
from sqlext.spark.paths import check_allowed
from sqlext.statements.base import Context, ResultRow, located
from sqlext.transfer import target
from sqlext.transfer.formats.listing import BACKBONE, HISTORY, LISTING, MODEL, Listing, Part, Stored

if TYPE_CHECKING:
    from sqlext.statements.export_model import ExportModel

FOLDER = "FOLDER"
# Parameters of a partition that belong to the place where it is, not to what it holds.
_OF_THE_PLACE = {
    *("run_id", "promoted", "pinned", "backbone", "backbone_id", "size_bytes"),
    *("format_version", "release", "created_at", "created_by"),
}


# Format -> endings of the files beside the named one; None: a folder.
_BESIDE: dict[str | None, tuple[str, ...] | None] = {None: None, "ONNX": (), "BIGDL": (".weights", ".json")}


@dataclass(frozen=True)
class _Exported:
    """What was staged."""

    size_bytes: int
    sha256: str
    message: str | None


def export(context: Context, statement: ExportModel) -> ResultRow:
    """Carries out EXPORT MODEL and returns its one row."""
    catalog, overwrite = context.catalog, bool(statement.options["overwrite"])
    version = located(statement.model.name.offset, lambda: catalog.resolve(context.model_ref(statement.model)))
    catalog.check(version.name, "SELECT")
    path = located(statement.path_offset, lambda: _target(context, statement))
    beside = _BESIDE[statement.format]
    located(statement.path_offset, lambda: target.check(catalog.files, path, overwrite=overwrite, beside=beside))
    with TemporaryDirectory(prefix="sqlext-export-") as folder:
        staged = Path(folder) / "export"
        report("reading", 0)
        stage = {None: _stage, "ONNX": _stage_onnx, "BIGDL": _stage_bigdl}[statement.format]
        exported = stage(catalog, version, staged)
        report("publishing", 0)
        move = partial(target.place, catalog.files, staged, path, overwrite=overwrite, beside=beside)
        located(statement.path_offset, move)
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


def _stage_bigdl(catalog: ModelCatalog, version: ModelVersion, staged: Path) -> _Exported:
    """Writes definition and weights as BigDL alone loads them, and beside them what BigDL's form cannot say."""
    from sqlext.bigdl import missing, onnx_to_bigdl
    from sqlext.transfer.graphs import graph_of, message

    model, described = graph_of(catalog, version)
    layers = onnx_to_bigdl.plan_graph(model)
    reason = missing(catalog.spark)
    if layers.problems:
        reason = f"BigDL has no {', '.join(f'{name} x {count}' for name, count in sorted(layers.problems.items()))}"
    if reason:
        raise SqlExtError("EXPORT_NOT_POSSIBLE", model=version, format="BIGDL", reason=reason.rstrip("."))
    module = onnx_to_bigdl.build(layers, catalog.spark.sparkContext._jvm)
    module.setName(PRODUCER)
    onnx_to_bigdl.save(module, staged.parent)
    for name, end in zip(onnx_to_bigdl.FILES, ("", ".weights"), strict=True):
        (staged.parent / name).rename(staged.with_name(staged.name + end))
    # BigDL's layers carry the names of nodes, not of tensors.
    layer = {made.output: made.name for made in layers.layers}
    named = {
        k: layer.get(layers.alias.get(v, v), v) for k, v in described.options.items() if k in ("output", "embedding")
    }
    told = replace(described, options=described.options | named)
    staged.with_name(f"{staged.name}.json").write_text(told.to_json())
    size = sum(staged.with_name(staged.name + end).stat().st_size for end in ("", ".weights", ".json"))
    return _Exported(size, sha256(staged), message(model, described))


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
