"""IMPORT MODEL from a file to a published version: read, convert, check with numbers, publish."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

import sqlext.bigdl
from sqlext.catalog import ModelEntry, ModelName, ModelVersion
from sqlext.errors import SqlExtError
from sqlext.networks.check import CheckResult, check
from sqlext.networks.graph import Network, read_network
from sqlext.paths import local_file
from sqlext.preprocessing import Preprocessing
from sqlext.progress import report
from sqlext.statements.base import Context, ResultRow, located

if TYPE_CHECKING:
    from sqlext.statements.import_model import ImportModel

SMALL = "sqlext:small"
_SMALL_FILE = Path(__file__).with_name("small.onnx")
_PREPROCESSING_KEY = "sqlext.preprocessing"


@dataclass(frozen=True)
class NetworkFile:
    """The network of a file; ``described`` is what the file itself says of its preprocessing."""

    sha256: str
    network: Network
    preprocessing: Preprocessing
    described: bool


def import_network(context: Context, statement: ImportModel) -> ResultRow:
    """Carries out IMPORT MODEL and returns its one row."""
    name = context.model_name(statement.name)
    existing = located(statement.name.offset, lambda: context.catalog.find(name))
    if existing is not None:
        if statement.if_not_exists:
            return result_row(existing.default, existing, "EXISTS", f"{name} exists; nothing was imported")
        if existing.kind != "backbone":
            raise SqlExtError("NOT_AN_IMPORT", model=name, kind=existing.kind, offset=statement.name.offset)
        context.catalog.check(name, "ALTER")
    labels = _labels(context, statement)
    report("reading", 0)
    file = located(statement.path_offset, lambda: _read(context, statement))
    located(statement.labels_offset, lambda: _check_labels(labels, file.network))
    older = replaceable(context, statement, existing)
    same = same_content(existing, fingerprint(file, labels))
    if same is not None and existing is not None:
        return result_row(same, existing, "EXISTS", f"version {same.version} has the same content and options")
    row = _publish(context, statement, name, existing, file, labels)
    for version in older:
        context.catalog.drop_version(name, version.version)
    return row


def replaceable(context: Context, statement: ImportModel, existing: ModelEntry | None) -> tuple[ModelVersion, ...]:
    """What OR REPLACE will remove.

    :raises SqlExtError: BACKBONE_IN_USE, at the model's name.
    """
    if existing is None or not statement.replace:
        return ()
    return located(statement.name.offset, lambda: context.catalog.replaceable(existing))


# --- reading --------------------------------------------------------------------------------------------------------


def _read(context: Context, statement: ImportModel) -> NetworkFile:
    if statement.path == SMALL:
        return _parse(_SMALL_FILE, statement)
    if statement.path.startswith("sqlext:"):
        raise SqlExtError("NOT_IN_PACKAGE", path=statement.path, there=SMALL)
    with local_file(context.spark, statement.path) as path:
        return _parse(path, statement)


def _parse(path: Path, statement: ImportModel) -> NetworkFile:
    data = path.read_bytes()
    described = _described(data)
    options = {**described, **{k: v for k, v in statement.options.items() if v is not None}}
    size = options.get("image_size")
    network = read_network(
        data,
        folder=path.parent,
        input=options.get("input"),
        output=options.get("output"),
        embedding=options.get("embedding"),
        scores=options.get("scores"),
        image_size=int(size) if size is not None and str(size).isdigit() else None,
    )
    preprocessing = Preprocessing.from_options(options, image_size=network.input_shape[1])
    return NetworkFile(hashlib.sha256(data).hexdigest(), network, preprocessing, bool(described))


def _described(data: bytes) -> dict[str, Any]:
    """Preprocessing that the file records under `sqlext.preprocessing`; OPTIONS override it."""
    try:
        properties = {p.key: p.value for p in onnx.load_from_string(data).metadata_props}
        found = json.loads(properties.get(_PREPROCESSING_KEY, "{}"))
    except Exception:  # no ONNX, or no JSON: read_network says what is wrong with the file
        return {}
    return found if isinstance(found, dict) else {}


def _labels(context: Context, statement: ImportModel) -> tuple[str, ...] | None:
    """LABELS in the order of the network's outputs; FROM a table: its STRING column ordered by its integer column."""
    if statement.labels_from is None:
        return statement.labels
    from sqlext.tokens import Source
    from sqlext.training.sources import read_source

    name = statement.labels_from
    source = Source(name.sql, str(name), name.offset, is_query=False)
    frame = read_source(context, source)
    texts = [f.name for f in frame.schema.fields if f.dataType.typeName() == "string"]
    numbers = [f.name for f in frame.schema.fields if f.dataType.typeName() in ("integer", "long", "short", "byte")]
    if len(texts) != 1 or len(numbers) != 1:
        raise SqlExtError("INVALID_LABELS_TABLE", table=name, offset=name.offset)
    return tuple(row[0] for row in frame.orderBy(numbers[0]).select(texts[0]).collect())


def _check_labels(labels: tuple[str, ...] | None, network: Network) -> None:
    if labels is None:
        return
    if len(labels) != (network.scores_width or 0) or len(set(labels)) != len(labels):
        raise SqlExtError(
            "LABELS_MISMATCH", given=len(labels), distinct=len(set(labels)), outputs=network.scores_width or 0
        )


def same_content(existing: ModelEntry | None, wanted: str) -> ModelVersion | None:
    """The newest version with that :func:`fingerprint`."""
    versions = existing.versions if existing else ()
    return next((v for v in reversed(versions) if v.parameters.get("sqlext.content") == wanted), None)


def fingerprint(file: NetworkFile, labels: tuple[str, ...] | None) -> str:
    """Of the graph as it is kept, its preprocessing and labels: the same file with other options is another content."""
    parts = [file.network.to_bytes(), json.dumps(file.preprocessing.to_dict()).encode(), json.dumps(labels).encode()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


# --- checking and publishing ------------------------------------------------------------------------------------------


def _publish(
    context: Context,
    statement: ImportModel,
    name: ModelName,
    existing: ModelEntry | None,
    file: NetworkFile,
    labels: tuple[str, ...] | None,
) -> ResultRow:
    catalog, network = context.catalog, file.network
    with catalog.draft(name, "backbone", statement.comment) as draft:
        report("checking", 0)
        checked = located(statement.path_offset, lambda: convert_and_check(context, file, draft.local))
        (draft.local / "network.onnx").write_bytes(network.to_bytes())
        report("publishing", 0)
        promote = existing is None or statement.replace or statement.options["promote"] == "always"
        parameters = {"content": fingerprint(file, labels), "sha256": file.sha256, "source": statement.path}
        manifest = manifest_of(name, statement.path, f"FORMAT {statement.format}", file, labels, checked)
        manifest["source"]["options"] = {k: statement.options[k] for k in ("input", "output", "embedding", "scores")}
        version = catalog.publish(draft, (), manifest, parameters, promote=promote)
    entry = catalog.get(name)
    message = _message(statement, file, checked, entry, version)
    return result_row(version, entry, "IMPORTED", message)


def convert_and_check(context: Context, file: NetworkFile, folder: Path) -> CheckResult:
    """Writes BigDL's form of the network where its operators allow, and compares the engines on a fixed batch."""
    from sqlext.bigdl import onnx_to_bigdl

    missing = sqlext.bigdl.missing(context.spark)
    lacking = onnx_to_bigdl.unsupported(file.network)
    reason = missing or (f"no {', '.join(lacking)}" if lacking else None)
    module = None
    if reason is None:
        module = onnx_to_bigdl.convert(file.network, context.spark.sparkContext._jvm)
        onnx_to_bigdl.save(module, folder)
    return check(file.network, file.preprocessing, module, bigdl_reason=reason)


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


def _message(
    statement: ImportModel, file: NetworkFile, checked: CheckResult, entry: ModelEntry, version: ModelVersion
) -> str:
    parts = []
    if statement.path == SMALL:
        parts.append("this small network is for trying things out")
    if entry.default.version != version.version:
        parts.append(
            f"default stays {entry.default.version}, since embeddings made with it would not fit; "
            "OPTIONS (promote = 'always') changes it"
        )
    parts += engines_that_cannot(checked)
    assumed = _assumed(statement, file)
    if assumed:
        parts.append(f"assumed {assumed}")
    return "; ".join(parts)


def engines_that_cannot(checked: CheckResult) -> list[str]:
    """'bigdl: no Erf x 12; scores with openvino, onnxruntime'."""
    cannot = {name: reason for name, reason in checked.engines.items() if reason}
    scores = ", ".join(name for name in checked.engines if name not in cannot)
    return [f"{name}: {reason}; scores with {scores}" for name, reason in cannot.items()]


def _assumed(statement: ImportModel, file: NetworkFile) -> str:
    if file.described:
        return ""
    options = file.preprocessing.to_dict()
    shown = {
        k: " ".join(f"{x:g}" for x in v) if isinstance(v, list) else f"{v:.6g}" if isinstance(v, float) else v
        for k, v in options.items()
    }
    return ", ".join(f"{k} = {v}" for k, v in shown.items() if k not in statement.given)


def result_row(
    version: ModelVersion, entry: ModelEntry, status: str, message: str, *, format: str = "ONNX"
) -> ResultRow:
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
