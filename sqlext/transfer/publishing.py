"""What the three imports share: publishing a version, and the fingerprint, check and manifest of a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlext.bigdl import onnx_to_bigdl
from sqlext.bigdl.installed import missing
from sqlext.catalog.entry import BACKBONE, ModelEntry, ModelVersion
from sqlext.catalog.layout import NETWORK
from sqlext.catalog.names import ModelName
from sqlext.context import Context, ResultRow
from sqlext.errors import error_at
from sqlext.images.preprocessing import Preprocessing
from sqlext.networks.network import Network
from sqlext.progress import report
from sqlext.transfer.check import CheckResult, Runs, check
from sqlext.transfer.formats.base import FOLDER
from sqlext.transfer.request import ImportRequest


@dataclass(frozen=True)
class NetworkFile:
    """The network of a file; ``described``: the file itself says how to preprocess images; ``runs``: what reading has run."""

    sha256: str
    network: Network
    preprocessing: Preprocessing
    described: bool
    runs: Runs = field(default_factory=Runs, compare=False)


@dataclass(frozen=True)
class Written:
    """What is stored with the files of a version; ``notes`` go into the message of the result row."""

    manifest: dict[str, Any]
    parameters: dict[str, str]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Incoming:
    """A version that was read and checked but not yet written.

    ``content`` identifies what it holds: the same content is not imported twice. ``write`` fills the folder of a draft.
    ``same`` is the note on an existing version with this content.
    """

    kind: str
    content: str
    write: Callable[[Path], Written]
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    same: str = "has the same content"


def import_version(
    context: Context, request: ImportRequest, name: ModelName, existing: ModelEntry | None, incoming: Incoming
) -> ResultRow:
    """Publishes a version unless the model already has its content, and returns the one row of IMPORT MODEL.

    :raises SqlExtError: BACKBONE_IN_USE and PERMISSION_DENIED for OR REPLACE, and the errors of publishing.
    """
    catalog, format = context.catalog, request.format or FOLDER
    # First: OR REPLACE that is not allowed must not publish anything.
    older = _replaceable(context, request, existing)
    same = same_content(existing, incoming.content)
    if same is not None and existing is not None:
        notes = [*_default_stays(same, existing), f"version {same.version} {incoming.same}"]
        return _row(same, existing, "EXISTS", notes, format)
    # OR REPLACE removes the older versions except pinned and aliased ones, so the new version takes their place.
    promote = existing is None or request.replace or request.options["promote"] == "always"
    version, notes = publish(context, name, incoming, promote=promote)
    for replaced in older:
        catalog.drop_version(name, replaced.version)
    entry = catalog.get(name)
    return _row(version, entry, "IMPORTED", [*_default_stays(version, entry), *notes], format)


def publish(context: Context, name: ModelName, incoming: Incoming, *, promote: bool) -> tuple[ModelVersion, list[str]]:
    """Writes and publishes a version; returns it with the notes for the result row."""
    catalog = context.catalog
    with catalog.draft(name, incoming.kind, incoming.comment, incoming.properties) as draft:
        written = incoming.write(draft.local)
        report("publishing", 0)
        parameters = written.parameters | {"content": incoming.content}
        version = catalog.publish(draft, incoming.history, written.manifest, parameters, promote=promote)
    return version, written.notes


def nothing_imported(request: ImportRequest, existing: ModelEntry) -> ResultRow:
    """Returns the row of IF NOT EXISTS for a model that exists."""
    notes = [f"{existing.name} exists; nothing was imported"]
    return _row(existing.default, existing, "EXISTS", notes, request.format or FOLDER)


def same_content(existing: ModelEntry | None, wanted: str) -> ModelVersion | None:
    """Returns the newest version with the content ``wanted``, if there is one."""
    versions = existing.versions if existing else ()
    return next((v for v in reversed(versions) if v.parameters.get("sqlext.content") == wanted), None)


def fingerprint(file: NetworkFile, labels: tuple[str, ...] | None) -> str:
    """Returns a hash of the stored graph, its preprocessing and its labels: other options make another fingerprint."""
    # Each part is hashed separately, so that no bytes can move from one part to the next.
    parts = [file.network.to_bytes(), json.dumps(file.preprocessing.to_dict()).encode(), json.dumps(labels).encode()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _replaceable(context: Context, request: ImportRequest, existing: ModelEntry | None) -> tuple[ModelVersion, ...]:
    """Returns the versions that OR REPLACE will remove.

    :raises SqlExtError: BACKBONE_IN_USE, PERMISSION_DENIED, both with the position of the model's name.
    """
    if existing is None or not request.replace:
        return ()
    with error_at(request.name.offset):
        return context.catalog.replaceable(existing)


def write_network(context: Context, file: NetworkFile, folder: Path) -> CheckResult:
    """Writes the network, also in BigDL's form if its operators allow that, and compares the engines on a fixed batch."""
    report("checking", 0)
    absent = missing(context.spark)
    lacking = onnx_to_bigdl.unsupported(file.network)
    reason = absent or (f"no {', '.join(lacking)}" if lacking else None)

    def convert() -> onnx_to_bigdl.BigDLModule:
        module = onnx_to_bigdl.convert(file.network, context.spark.sparkContext._jvm)
        onnx_to_bigdl.save(module, folder)
        return module

    checked = check(file.network, file.preprocessing, None if reason else convert, bigdl_reason=reason, runs=file.runs)
    (folder / NETWORK).write_bytes(file.network.to_bytes())
    return checked


def manifest_of(
    name: ModelName, path: str, format: str, file: NetworkFile, labels: tuple[str, ...] | None, checked: CheckResult
) -> dict[str, Any]:
    """Returns the manifest: everything needed to score with an imported network and to say where it came from."""
    network = file.network
    described = file.preprocessing.to_dict()
    return {
        "model": str(name),
        "input": {"kind": "image", "column": "image", "shape": list(network.input_shape), "preprocessing": described},
        "width": network.embedding_width,
        "scores_width": network.scores_width,
        "scores_kind": network.scores_kind,
        "outputs": ["embedding", "scores"] if network.scores_name else ["embedding"],
        "labels": list(labels) if labels else None,
        "engines": checked.engines,
        "source": {"path": path, "format": format.removeprefix("FORMAT "), "sha256": file.sha256},
        "statement": None,
        "details": _details(f"{path} ({format}, sha256 {file.sha256})", file, checked),
    }


def _details(source: str, file: NetworkFile, checked: CheckResult) -> dict[str, Any]:
    """Returns the texts that DESCRIBE MODEL EXTENDED shows."""
    network = file.network
    operators = ", ".join(f"{count} {name}" for name, count in sorted(network.operators.items()))
    scores = f"{network.scores_name}, {network.scores_width} {network.scores_kind}" if network.scores_name else None
    return {
        "source": source,
        "preprocessing": ", ".join(f"{k} {v}" for k, v in file.preprocessing.to_dict().items()),
        "network": f"{network.parameters:,} parameters; {operators}",
        "embedding": f"{network.embedding_name}, {network.embedding_width} numbers",
        "scores": scores,
        "engines": _engines(checked),
        "import_check": checked.summary(),
    }


def _engines(checked: CheckResult) -> str:
    return ", ".join(name if not reason else f"not {name} ({reason})" for name, reason in checked.engines.items())


def engines_that_cannot(checked: CheckResult) -> list[str]:
    """Returns notes like 'bigdl: no Erf x 12; scores with openvino, onnxruntime'."""
    cannot = {name: reason for name, reason in checked.engines.items() if reason}
    scores = ", ".join(name for name in checked.engines if name not in cannot)
    return [f"{name}: {reason}; scores with {scores}" for name, reason in cannot.items()]


def _default_stays(version: ModelVersion, entry: ModelEntry) -> list[str]:
    """Explains why queries that name no version use another version, and names the ALTER that changes it.

    Empty if this version is the default.
    """
    if entry.default.version == version.version:
        return []
    why = "pinned" if entry.default.pinned else "an import does not change it"
    if why != "pinned" and entry.kind == BACKBONE:
        why = "embeddings made with it would not fit another network"
    change = f"ALTER MODEL {entry.name} SET DEFAULT VERSION {version.version} changes it"
    return [f"default stays {entry.default.version}: {why} ({change})"]


def _row(version: ModelVersion, entry: ModelEntry, status: str, notes: list[str], format: str) -> ResultRow:
    return {
        "model": str(version.name),
        "version": version.version,
        "format": format,
        "location": version.location,
        "size_bytes": version.size_bytes,
        "sha256": version.parameters.get("sqlext.sha256"),
        "status": status,
        "message": "; ".join(notes) or None,
        "is_default": entry.default.version == version.version,
    }
