"""IMPORT MODEL without FORMAT: the folder of an EXPORT becomes a version here, its backbone too where it is not here yet."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import Any

from sqlext.catalog.entry import BACKBONE as BACKBONE_KIND
from sqlext.catalog.entry import KINDS, ModelEntry, ModelVersion
from sqlext.catalog.names import ModelName
from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError, error_at
from sqlext.images.preprocessing import Preprocessing
from sqlext.networks.graph import load_network
from sqlext.networks.onnx_file import parse
from sqlext.progress import report
from sqlext.spark.paths import check_allowed
from sqlext.transfer.check import CheckResult
from sqlext.transfer.formats.base import FOLDER
from sqlext.transfer.formats.folder import BACKBONE, MODEL, ExportFolder, open_folder
from sqlext.transfer.formats.listing import Part, damaged, is_input
from sqlext.transfer.graphs import described_network
from sqlext.transfer.publishing import (
    NetworkFile,
    convert_and_check,
    default_stays,
    engines_that_cannot,
    fingerprint,
    manifest_of,
    replaceable,
    result_row,
    same_content,
)
from sqlext.transfer.request import ImportRequest

# What publishing writes anew into a manifest.
_PUBLISHED = ("format_version", "release", "model_id", "run_id", "kind", "created_by", "created_at", "files")


@dataclass(frozen=True)
class _Network:
    """The network of a folder, read; ``content`` tells whether it is here already."""

    file: NetworkFile
    labels: tuple[str, ...] | None
    content: str


def import_folder(context: Context, request: ImportRequest) -> ResultRow:
    """Carries out IMPORT MODEL of a folder and returns its one row."""
    name = context.model_name(request.name)
    with error_at(request.name.offset):
        existing = context.catalog.find(name)
    if existing is not None and request.if_not_exists:
        return result_row(existing.default, existing, "EXISTS", f"{name} exists; nothing was imported", format=FOLDER)
    with error_at(request.path_offset):
        location = check_allowed(context.spark, request.path)
    report("reading", 0)
    target = str(location.toString()).rstrip("/")
    with error_at(request.path_offset):
        return _import(context, request, name, existing, target)


def _import(
    context: Context, request: ImportRequest, name: ModelName, existing: ModelEntry | None, location: str
) -> ResultRow:
    with open_folder(context.catalog.files, location, request.path) as folder:
        kind = folder.listing.model.kind
        if kind not in KINDS:
            raise damaged(request.path, f"its model is a '{kind}', which this release does not know")
        if existing is not None and existing.kind != kind:
            values = {"model": name, "kind": existing.kind, "wanted": kind}
            raise SqlExtError("MODEL_KIND_MISMATCH", offset=request.name.offset, **values)
        older = replaceable(context, request, existing)
        publish = _network_version if kind == BACKBONE_KIND else _head_version
        row = publish(context, request, name, existing, folder)
        for version in older if row["status"] == "IMPORTED" else ():
            context.catalog.drop_version(name, version.version)
        return row


def _row(context: Context, request: ImportRequest, version: ModelVersion, notes: list[str]) -> ResultRow:
    entry = context.catalog.get(version.name)
    return result_row(version, entry, "IMPORTED", "; ".join([*default_stays(version, entry), *notes]), format=FOLDER)


def _exists(version: ModelVersion, existing: ModelEntry) -> ResultRow:
    notes = [*default_stays(version, existing), f"version {version.version} has the same content"]
    return result_row(version, existing, "EXISTS", "; ".join(notes), format=FOLDER)


# --- a network ------------------------------------------------------------------------------------------------------


def _network_version(
    context: Context, request: ImportRequest, name: ModelName, existing: ModelEntry | None, folder: ExportFolder
) -> ResultRow:
    network = _read_network(folder, MODEL)
    same = same_content(existing, network.content)
    if same is not None and existing is not None:
        return _exists(same, existing)
    part = folder.listing.model
    if request.comment is not None:
        part = Part(part.name, part.version, part.kind, request.comment, part.properties, part.parameters)
    promote = existing is None or request.replace
    version, checked = _publish_network(context, name, part, network, folder, promote=promote)
    return _row(context, request, version, engines_that_cannot(checked))


def _read_network(folder: ExportFolder, part: str) -> _Network:
    manifest, data = folder.manifest(part), folder.read(part, "network.onnx")
    parse(data, None)  # ONNX's own checks, and no weights in other files
    network = load_network(data)
    try:
        preprocessing = Preprocessing.from_dict(manifest["input"]["preprocessing"])
        labels = tuple(str(label) for label in manifest["labels"]) if manifest.get("labels") else None
    except (KeyError, TypeError):
        raise damaged(folder.path, f"{part}/manifest.json does not describe a network") from None
    if labels is not None and len(labels) != network.scores_width:
        raise damaged(folder.path, f"{part}/manifest.json has {len(labels)} labels for {network.scores_width} outputs")
    source = manifest.get("source") or {}
    file = NetworkFile(str(source.get("sha256", "")), network, preprocessing, described=True)
    return _Network(file, labels, fingerprint(file, labels))


def _publish_network(
    context: Context, name: ModelName, part: Part, network: _Network, folder: ExportFolder, *, promote: bool
) -> tuple[ModelVersion, CheckResult]:
    """Checked with numbers as any import, BigDL's form written anew: of the files only the graph is taken."""
    catalog, file = context.catalog, network.file
    with catalog.draft(name, BACKBONE_KIND, part.comment, part.properties) as draft:
        report("checking", 0)
        checked = convert_and_check(context, file, draft.local)
        (draft.local / "network.onnx").write_bytes(file.network.to_bytes())
        report("publishing", 0)
        parameters = part.parameters | {"content": network.content, "sha256": file.sha256, "source": folder.path}
        origin = f"export of {part.name} version {part.version}"
        manifest = manifest_of(name, folder.path, origin, file, network.labels, checked)
        manifest["source"] |= _found_at(manifest, part, network, folder)
        return catalog.publish(draft, (), manifest, parameters, promote=promote), checked


def _found_at(manifest: dict[str, Any], part: Part, network: _Network, folder: ExportFolder) -> dict[str, Any]:
    """What IMPORT reads to make the network again: the folder or, of a trained model's backbone, the graph in it."""
    if part.name == folder.listing.model.name and part.kind == folder.listing.model.kind:
        return {"format": None}
    options = described_network(manifest, network.file.network.model).options
    named = {key: options[key] for key in ("output", "embedding", "scores")}
    path = f"{folder.path.rstrip('/')}/{BACKBONE}/network.onnx"
    return {"path": path, "format": "ONNX", "options": named}


# --- a trained model --------------------------------------------------------------------------------------------------


def _head_version(
    context: Context, request: ImportRequest, name: ModelName, existing: ModelEntry | None, folder: ExportFolder
) -> ResultRow:
    manifest = folder.manifest(MODEL)
    _check_head(folder, manifest)
    content = _content_of_head(folder)
    same = same_content(existing, content)
    if same is not None and existing is not None:
        return _exists(same, existing)
    backbone, notes = _backbone(context, folder)
    part, catalog = folder.listing.model, context.catalog
    comment = request.comment if request.comment is not None else part.comment
    with catalog.draft(name, part.kind, comment, part.properties) as draft:
        for file in folder.files(MODEL):
            (draft.local / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder.root / MODEL / file, draft.local / file)
        report("publishing", 0)
        parameters = part.parameters | {"content": content, "imported_from": folder.path, "sha256": folder.sha256}
        if backbone is not None:
            parameters |= {"backbone": str(backbone), "backbone_id": backbone.id}
        promote = existing is None or request.replace
        version = catalog.publish(
            draft, folder.history(), _moved(manifest, name, backbone, folder), parameters, promote=promote
        )
    return _row(context, request, version, notes)


def _check_head(folder: ExportFolder, manifest: dict[str, Any]) -> None:
    """What is read of the files later: the head's form, its labels, the held-out rows."""
    head, labels = folder.head(), manifest.get("labels")
    outputs = len(labels) if isinstance(labels, list) else 1
    fits = head.width == manifest.get("width") and head.outputs == outputs
    if not fits or not is_input(manifest.get("input"), "image", "array", "columns"):
        raise damaged(folder.path, f"{MODEL}/manifest.json does not describe its head")
    if bool(manifest.get("backbone")) != (folder.listing.backbone is not None):
        raise damaged(folder.path, "it has no backbone, or one that its model does not use")
    folder.check_held_out()


def _moved(
    manifest: dict[str, Any], name: ModelName, backbone: ModelVersion | None, folder: ExportFolder
) -> dict[str, Any]:
    """The manifest as it holds here."""
    part = folder.listing.model
    kept = {key: value for key, value in manifest.items() if key not in _PUBLISHED}
    kept["model"] = str(name)
    kept["imported"] = {
        "path": folder.path,
        "model": part.name,
        "version": part.version,
        **{key: manifest.get(key) for key in ("run_id", "release", "created_by", "created_at")},
    }
    if backbone is not None:
        kept["backbone"] = {
            "model": str(backbone.name),
            "model_id": backbone.model_id,
            "version": backbone.version,
            "location": backbone.location,
        }
        kept["details"] = {**kept.get("details", {}), "backbone": str(backbone)}
    return kept


def _content_of_head(folder: ExportFolder) -> str:
    """Of the head and what it was trained with: the same export again is the same content."""
    files = {name: stored.sha256 for name, stored in folder.listing.files.items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _backbone(context: Context, folder: ExportFolder) -> tuple[ModelVersion | None, list[str]]:
    """The backbone of the folder's head: one here that has the same content, else a new version of its old name."""
    part = folder.listing.backbone
    if part is None:
        return None, []
    network = _read_network(folder, BACKBONE)
    here = _found(context, network.content, part.name)
    if here is not None:
        return here, [f"its backbone is here already: {here.name} version {here.version}"]
    try:
        name = ModelName.parse(part.name, context.catalog.current_namespace())
        existing = context.catalog.find(name)
        if existing is not None:
            context.catalog.check(name, "ALTER")
        version, checked = _publish_network(context, name, part, network, folder, promote=existing is None)
    except SqlExtError as error:
        raise SqlExtError("BACKBONE_NOT_PLACED", backbone=part.name, reason=error) from None
    return version, [f"its backbone became {name} version {version.version}", *engines_that_cannot(checked)]


def _found(context: Context, content: str, name: str) -> ModelVersion | None:
    """A backbone version with that content which the caller may read; where there are several, the one of that name."""
    for entry in sorted(context.catalog.everywhere(), key=lambda entry: str(entry.name) != name):
        same = same_content(entry, content) if entry.kind == BACKBONE_KIND else None
        if same is None:
            continue
        try:
            context.catalog.check(entry.name, "SELECT")
        except SqlExtError:
            continue
        return same
    return None
