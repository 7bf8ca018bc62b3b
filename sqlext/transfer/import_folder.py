"""IMPORT MODEL without FORMAT: imports the folder of an EXPORT, and its backbone unless a model already has its content."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlext.catalog.backbones import record_of
from sqlext.catalog.entry import BACKBONE as BACKBONE_KIND
from sqlext.catalog.entry import KINDS, ModelEntry, ModelVersion
from sqlext.catalog.layout import MANIFEST, NETWORK
from sqlext.catalog.names import ModelName
from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError, error_at
from sqlext.images.preprocessing import Preprocessing
from sqlext.networks.network import load_network
from sqlext.networks.onnx_file import parse
from sqlext.progress import report
from sqlext.spark.paths import check_allowed
from sqlext.transfer.formats.folder import BACKBONE, MODEL, ExportFolder, open_folder
from sqlext.transfer.formats.listing import Part, damaged, is_input
from sqlext.transfer.graphs import described_network
from sqlext.transfer.publishing import (
    Incoming,
    NetworkFile,
    Written,
    engines_that_cannot,
    fingerprint,
    import_version,
    manifest_of,
    publish,
    same_content,
    write_network,
)
from sqlext.transfer.request import ImportRequest

# The keys of a manifest that publishing sets again.
_PUBLISHED = ("format_version", "release", "model_id", "run_id", "kind", "created_by", "created_at", "files")


@dataclass(frozen=True)
class _Network:
    """The network of a folder; ``content`` is its fingerprint, by which an equal version is found."""

    file: NetworkFile
    labels: tuple[str, ...] | None
    content: str


def import_folder(context: Context, request: ImportRequest, name: ModelName, existing: ModelEntry | None) -> ResultRow:
    """Imports a folder and returns the row of IMPORT MODEL.

    :raises SqlExtError: those of :func:`open_folder` and :func:`import_version`, MODEL_KIND_MISMATCH,
        BACKBONE_NOT_PLACED.
    """
    with error_at(request.path_offset):
        location = check_allowed(context.spark, request.path)
        report("reading", 0)
        target = str(location.toString()).rstrip("/")
        with open_folder(context.catalog.files, target, request.path) as folder:
            kind = folder.listing.model.kind
            if kind not in KINDS:
                raise damaged(request.path, f"this release does not know its kind of model, '{kind}'")
            if existing is not None and existing.kind != kind:
                values = {"model": name, "kind": existing.kind, "wanted": kind}
                raise SqlExtError("MODEL_KIND_MISMATCH", offset=request.name.offset, **values)
            part = folder.listing.model
            if request.comment is not None:
                part = replace(part, comment=request.comment)
            if kind == BACKBONE_KIND:
                incoming = _network(context, name, part, _read_network(folder, MODEL), folder)
            else:
                incoming = _head(context, name, part, folder)
            return import_version(context, request, name, existing, incoming)


# --- a network ------------------------------------------------------------------------------------------------------


def _read_network(folder: ExportFolder, part: str) -> _Network:
    manifest, data = folder.manifest(part), folder.read(part, NETWORK)
    parse(data, None)  # runs ONNX's checks and refuses weights in other files
    network = load_network(data)
    try:
        preprocessing = Preprocessing.from_dict(manifest["input"]["preprocessing"])
        labels = tuple(str(label) for label in manifest["labels"]) if manifest.get("labels") else None
    except (KeyError, TypeError):
        raise damaged(folder.path, f"{part}/{MANIFEST} does not describe a network") from None
    if labels is not None and len(labels) != network.scores_width:
        raise damaged(folder.path, f"{part}/{MANIFEST} has {len(labels)} labels for {network.scores_width} outputs")
    source = manifest.get("source") or {}
    file = NetworkFile(str(source.get("sha256", "")), network, preprocessing, described=True)
    return _Network(file, labels, fingerprint(file, labels))


def _network(context: Context, name: ModelName, part: Part, network: _Network, folder: ExportFolder) -> Incoming:
    """Takes only the graph of the folder: it is checked as in any import, and BigDL's files are written again."""

    def write(to: Path) -> Written:
        checked = write_network(context, network.file, to)
        origin = f"export of {part.name} version {part.version}"
        manifest = manifest_of(name, folder.path, origin, network.file, network.labels, checked)
        manifest["source"] |= _found_at(manifest, part, network, folder)
        parameters = part.parameters | {"sha256": network.file.sha256, "source": folder.path}
        return Written(manifest, parameters, engines_that_cannot(checked))

    return Incoming(BACKBONE_KIND, network.content, write, part.comment, part.properties)


def _found_at(manifest: dict[str, Any], part: Part, network: _Network, folder: ExportFolder) -> dict[str, Any]:
    """Returns what a repeated IMPORT reads: the folder or, for the backbone of a trained model, the graph in it."""
    if part.name == folder.listing.model.name and part.kind == folder.listing.model.kind:
        return {"format": None}
    options = described_network(manifest, network.file.network.model).options
    named = {key: options[key] for key in ("output", "embedding", "scores")}
    path = f"{folder.path.rstrip('/')}/{BACKBONE}/{NETWORK}"
    return {"path": path, "format": "ONNX", "options": named}


# --- a trained model --------------------------------------------------------------------------------------------------


def _head(context: Context, name: ModelName, part: Part, folder: ExportFolder) -> Incoming:
    manifest = folder.manifest(MODEL)
    _check_head(folder, manifest)

    def write(to: Path) -> Written:
        # In write(), which is not called for a folder whose content exists already: then no backbone is imported either.
        backbone, notes = _backbone(context, folder)
        for file in folder.files(MODEL):
            (to / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder.root / MODEL / file, to / file)
        parameters = part.parameters | {"imported_from": folder.path, "sha256": folder.sha256}
        if backbone is not None:
            parameters |= {"backbone": str(backbone), "backbone_id": backbone.id}
        return Written(_moved(manifest, name, backbone, folder), parameters, notes)

    content, history = _content_of_head(folder), folder.history()
    return Incoming(part.kind, content, write, part.comment, part.properties, history)


def _check_head(folder: ExportFolder, manifest: dict[str, Any]) -> None:
    """Checks what is read later without a check: the form of the head, its labels, the held-out rows."""
    head, labels = folder.head(), manifest.get("labels")
    outputs = len(labels) if isinstance(labels, list) else 1
    fits = head.width == manifest.get("width") and head.outputs == outputs
    if not fits or not is_input(manifest.get("input"), "image", "array", "columns"):
        raise damaged(folder.path, f"{MODEL}/{MANIFEST} does not describe its head")
    if bool(manifest.get("backbone")) != (folder.listing.backbone is not None):
        raise damaged(folder.path, "it has no backbone, or one that its model does not use")
    folder.check_held_out()


def _moved(
    manifest: dict[str, Any], name: ModelName, backbone: ModelVersion | None, folder: ExportFolder
) -> dict[str, Any]:
    """Returns the manifest for this catalog: with the model's new name, its origin and its backbone here."""
    part = folder.listing.model
    moved = {key: value for key, value in manifest.items() if key not in _PUBLISHED}
    moved["model"] = str(name)
    moved["imported"] = {
        "path": folder.path,
        "model": part.name,
        "version": part.version,
        **{key: manifest.get(key) for key in ("run_id", "release", "created_by", "created_at")},
    }
    if backbone is not None:
        moved["backbone"] = record_of(backbone)
        moved["details"] = {**moved.get("details", {}), "backbone": str(backbone)}
    return moved


def _content_of_head(folder: ExportFolder) -> str:
    """Returns a hash of all files of the folder, so that a second import of the same export is recognised."""
    files = {name: stored.sha256 for name, stored in folder.listing.files.items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _backbone(context: Context, folder: ExportFolder) -> tuple[ModelVersion | None, list[str]]:
    """Returns the backbone for the folder's head: an existing version with the same content or, if there is none, a new
    version under the name that the backbone had.
    """
    part = folder.listing.backbone
    if part is None:
        return None, []
    network = _read_network(folder, BACKBONE)
    existing_version = _same_backbone(context, network.content, part.name)
    if existing_version is not None:
        return existing_version, [
            f"its backbone already exists: {existing_version.name} version {existing_version.version}"
        ]
    try:
        name = ModelName.parse(part.name, context.catalog.current_namespace())
        existing = context.catalog.find(name)
        if existing is not None:
            context.catalog.check(name, "ALTER")
        incoming = _network(context, name, part, network, folder)
        # An existing backbone may have stored embeddings, which would not fit another default.
        version, notes = publish(context, name, incoming, promote=existing is None)
    except SqlExtError as error:
        raise SqlExtError("BACKBONE_NOT_PLACED", backbone=part.name, reason=error) from None
    return version, [f"its backbone was imported as {name} version {version.version}", *notes]


def _same_backbone(context: Context, content: str, name: str) -> ModelVersion | None:
    """Returns a backbone version with this content that the caller may read, preferably one with this name."""
    for entry in sorted(context.catalog.everywhere([]), key=lambda entry: str(entry.name) != name):
        same = same_content(entry, content) if entry.kind == BACKBONE_KIND else None
        if same is None:
            continue
        try:
            # Otherwise whoever has a folder could use a model without the right to it.
            context.catalog.check(entry.name, "SELECT")
        except SqlExtError:
            continue
        return same
    return None
