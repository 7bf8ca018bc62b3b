"""An imported network as a version: its content, its check by numbers, its manifest and the row that IMPORT returns."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlext.bigdl import onnx_to_bigdl
from sqlext.bigdl.installed import missing
from sqlext.catalog.entry import BACKBONE, ModelEntry, ModelVersion
from sqlext.catalog.names import ModelName
from sqlext.context import Context, ResultRow
from sqlext.errors import error_at
from sqlext.images.preprocessing import Preprocessing
from sqlext.networks.graph import Network
from sqlext.transfer.check import CheckResult, check
from sqlext.transfer.request import ImportRequest


@dataclass(frozen=True)
class NetworkFile:
    """The network of a file; ``described`` is what the file itself says of its preprocessing."""

    sha256: str
    network: Network
    preprocessing: Preprocessing
    described: bool


def same_content(existing: ModelEntry | None, wanted: str) -> ModelVersion | None:
    """The newest version with that :func:`fingerprint`."""
    versions = existing.versions if existing else ()
    return next((v for v in reversed(versions) if v.parameters.get("sqlext.content") == wanted), None)


def fingerprint(file: NetworkFile, labels: tuple[str, ...] | None) -> str:
    """Of the graph as it is kept, its preprocessing and labels: the same file with other options is another content."""
    parts = [file.network.to_bytes(), json.dumps(file.preprocessing.to_dict()).encode(), json.dumps(labels).encode()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def replaceable(context: Context, request: ImportRequest, existing: ModelEntry | None) -> tuple[ModelVersion, ...]:
    """What OR REPLACE will remove.

    :raises SqlExtError: BACKBONE_IN_USE, PERMISSION_DENIED, at the model's name.
    """
    if existing is None or not request.replace:
        return ()
    with error_at(request.name.offset):
        return context.catalog.replaceable(existing)


def convert_and_check(context: Context, file: NetworkFile, folder: Path) -> CheckResult:
    """Writes BigDL's form of the network where its operators allow, and compares the engines on a fixed batch."""
    absent = missing(context.spark)
    lacking = onnx_to_bigdl.unsupported(file.network)
    reason = absent or (f"no {', '.join(lacking)}" if lacking else None)

    def convert() -> onnx_to_bigdl.BigDLModule:
        module = onnx_to_bigdl.convert(file.network, context.spark.sparkContext._jvm)
        onnx_to_bigdl.save(module, folder)
        return module

    return check(file.network, file.preprocessing, None if reason else convert, bigdl_reason=reason)


def manifest_of(
    name: ModelName, path: str, format: str, file: NetworkFile, labels: tuple[str, ...] | None, checked: CheckResult
) -> dict[str, Any]:
    """Everything needed to score with an imported network, and to say where it came from."""
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
    """What DESCRIBE MODEL EXTENDED shows, as it shows it."""
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
    """'bigdl: no Erf x 12; scores with openvino, onnxruntime'."""
    cannot = {name: reason for name, reason in checked.engines.items() if reason}
    scores = ", ".join(name for name in checked.engines if name not in cannot)
    return [f"{name}: {reason}; scores with {scores}" for name, reason in cannot.items()]


def default_stays(version: ModelVersion, entry: ModelEntry) -> list[str]:
    """Why queries that name no version use another one, and the ALTER that changes it; nothing where they use this one."""
    if entry.default.version == version.version:
        return []
    why = "pinned" if entry.default.pinned else "an import does not change it"
    if why != "pinned" and entry.kind == BACKBONE:
        why = "embeddings made with it would not fit another network"
    change = f"ALTER MODEL {entry.name} SET DEFAULT VERSION {version.version} changes it"
    return [f"default stays {entry.default.version}: {why} ({change})"]


def result_row(version: ModelVersion, entry: ModelEntry, status: str, message: str, *, format: str | None) -> ResultRow:
    """The one row of IMPORT MODEL."""
    return {
        "model": str(version.name),
        "version": version.version,
        "format": format,
        "location": version.location,
        "size_bytes": version.size_bytes,
        "sha256": version.parameters.get("sqlext.sha256"),
        "status": status,
        "message": message or None,
        "is_default": entry.default.version == version.version,
    }
