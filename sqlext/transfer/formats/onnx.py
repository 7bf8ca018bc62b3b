"""ONNX: one file, which may have weights in other files of its folder. EXPORT writes one file with metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
from pyspark.sql import SparkSession

from sqlext.catalog.entry import ModelVersion
from sqlext.catalog.facade import ModelCatalog
from sqlext.catalog.publish import sha256
from sqlext.errors import SqlExtError
from sqlext.networks.onnx_file import external_files, invalid
from sqlext.spark.paths import local_file
from sqlext.text import parsed_json
from sqlext.transfer.formats.base import Exported, GraphFile
from sqlext.transfer.graphs import EXPORT_KEY, PREPROCESSING_KEY, Described, graph_of, message, with_metadata

BESIDE = ()
SMALL = "sqlext:small"
_SMALL_FILE = Path(__file__).parents[2] / "networks" / "small.onnx"


@contextmanager
def open_graph(spark: SparkSession, path: str) -> Iterator[GraphFile]:
    """:raises SqlExtError: FILE_NOT_FOUND, IS_A_FOLDER, PATH_NOT_ALLOWED, NOT_IN_PACKAGE, INVALID_NETWORK."""
    if path.startswith("sqlext:"):
        if path != SMALL:
            raise SqlExtError("NOT_IN_PACKAGE", path=path, available=SMALL)
        yield _graph(_SMALL_FILE)
        return
    with local_file(spark, path, "ONNX", external_files) as file:
        yield _graph(file)


def _graph(file: Path) -> GraphFile:
    data = file.read_bytes()
    if not data:
        raise invalid("the file is empty")
    properties = _properties(data)
    described = Described.from_json(properties.get(EXPORT_KEY, ""))
    options = described.options if described else _preprocessing(properties)
    return GraphFile(data, hashlib.sha256(data).hexdigest(), file.parent, described, options)


def _properties(data: bytes) -> dict[str, str]:
    """Returns the metadata of an ONNX file. Empty for other files: reading the network reports what is wrong."""
    try:
        return {p.key: p.value for p in onnx.load_from_string(data).metadata_props}
    except Exception:  # protobuf's DecodeError, whose module differs between its releases
        return {}


def _preprocessing(properties: dict[str, str]) -> dict[str, Any]:
    """Returns the options under `sqlext.preprocessing` in the file; OPTIONS override them."""
    try:
        found = parsed_json(properties.get(PREPROCESSING_KEY, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def stage(catalog: ModelCatalog, version: ModelVersion, staged: Path) -> Exported:
    """Writes the graph; the message says what it takes and returns."""
    model, described = graph_of(catalog, version)
    staged.write_bytes(with_metadata(model, described))
    return Exported(staged.stat().st_size, sha256(staged), message(model, described))
