"""The file that IMPORT names, as ONNX bytes and what the file itself says of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from sqlext.errors import SqlExtError
from sqlext.networks.onnx_file import external_files, invalid
from sqlext.spark.paths import local_file
from sqlext.transfer.graphs import EXPORT_KEY, PREPROCESSING_KEY, Described

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SMALL = "sqlext:small"
_SMALL_FILE = Path(__file__).parents[2] / "networks" / "small.onnx"


@dataclass(frozen=True)
class GraphFile:
    """``data``: ONNX; ``sha256``: of the file; ``folder``: where its external weights may lie; ``described``: what
    EXPORT wrote; ``options``: of IMPORT, as the file gives them.
    """

    data: bytes
    sha256: str
    folder: Path | None
    described: Described | None
    options: dict[str, Any]


@contextmanager
def open_graph(spark: SparkSession, path: str, format: str | None) -> Iterator[GraphFile]:
    """:raises SqlExtError: FILE_NOT_FOUND, IS_A_FOLDER, PATH_NOT_ALLOWED, NOT_IN_PACKAGE, INVALID_NETWORK."""
    if path.startswith("sqlext:"):
        if path != SMALL:
            raise SqlExtError("NOT_IN_PACKAGE", path=path, there=SMALL)
        yield _onnx(_SMALL_FILE)
        return
    if format == "BIGDL":
        with local_file(spark, path, format, _beside) as file:
            yield _bigdl(file)
        return
    with local_file(spark, path, str(format), external_files) as file:
        yield _onnx(file)


def _onnx(file: Path) -> GraphFile:
    data = file.read_bytes()
    if not data:
        raise invalid("the file is empty")
    properties = _properties(data)
    described = Described.from_json(properties.get(EXPORT_KEY, ""))
    options = described.options if described else _preprocessing(properties)
    return GraphFile(data, hashlib.sha256(data).hexdigest(), file.parent, described, options)


def weights_names(name: str) -> list[str]:
    """What a definition's file of weights may be called; EXPORT writes the first."""
    stem = name.rpartition(".")[0] or name
    return list(dict.fromkeys([f"{name}.weights", f"{name}.bin", f"{stem}.weights", f"{stem}.bin"]))


def description_name(name: str) -> str:
    """The file in which EXPORT says what BigDL's form cannot hold."""
    return f"{name}.json"


def _beside(definition: Path) -> list[str]:
    return [*weights_names(definition.name), description_name(definition.name)]


def _bigdl(file: Path) -> GraphFile:
    """BigDL's files as ONNX; BigDL itself never sees them."""
    from sqlext.networks.bigdl_file import BigDLFile
    from sqlext.networks.bigdl_to_onnx import convert

    definition = file.read_bytes()
    if not definition:
        raise invalid("the file is empty")
    weights = next((w for name in weights_names(file.name) if (w := file.with_name(name)).is_file()), None)
    module = BigDLFile(definition, weights.read_bytes() if weights else None, file.name)
    told = file.with_name(description_name(file.name))
    described = Described.from_json(told.read_text(errors="replace")) if told.is_file() else None
    width = described.head.get("width") if described and described.head else None
    data = convert(module, width if isinstance(width, int) and width > 0 else None)
    options = described.options if described else {}
    return GraphFile(data, hashlib.sha256(definition).hexdigest(), None, described, options)


def _properties(data: bytes) -> dict[str, str]:
    """An ONNX file's metadata; of what is no ONNX nothing: reading the network says what is wrong with it."""
    try:
        return {p.key: p.value for p in onnx.load_from_string(data).metadata_props}
    except Exception:  # protobuf's DecodeError, whose module differs between its releases
        return {}


def _preprocessing(properties: dict[str, str]) -> dict[str, Any]:
    """What the file records under `sqlext.preprocessing`; OPTIONS override it."""
    try:
        found = json.loads(properties.get(PREPROCESSING_KEY, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
