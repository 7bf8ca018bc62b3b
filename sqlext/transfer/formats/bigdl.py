"""BigDL: a definition, its weights in a second file and, from EXPORT, a third with what BigDL's format cannot express."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pyspark.sql import SparkSession

from sqlext.bigdl import onnx_to_bigdl
from sqlext.bigdl.installed import missing
from sqlext.catalog.entry import ModelVersion
from sqlext.catalog.facade import ModelCatalog
from sqlext.catalog.layout import BIGDL_FILES
from sqlext.catalog.publish import sha256
from sqlext.errors import SqlExtError
from sqlext.networks.bigdl_file import BigDLFile
from sqlext.networks.bigdl_to_onnx import convert
from sqlext.networks.graph import PRODUCER
from sqlext.networks.onnx_file import invalid
from sqlext.spark.paths import local_file
from sqlext.transfer.formats.base import Exported, GraphFile
from sqlext.transfer.graphs import Described, graph_of, message, needs_double

BESIDE = (".weights", ".json")


@contextmanager
def open_graph(spark: SparkSession, path: str) -> Iterator[GraphFile]:
    """:raises SqlExtError: FILE_NOT_FOUND, IS_A_FOLDER, PATH_NOT_ALLOWED, INVALID_NETWORK."""
    with local_file(spark, path, "BIGDL", _beside) as file:
        yield _graph(file)


def weights_names(name: str) -> list[str]:
    """Returns the possible names of a definition's weights file; EXPORT writes the first."""
    stem = name.rpartition(".")[0] or name
    return list(dict.fromkeys([f"{name}.weights", f"{name}.bin", f"{stem}.weights", f"{stem}.bin"]))


def description_name(name: str) -> str:
    """Returns the name of the file for what BigDL's format cannot express."""
    return f"{name}.json"


def _beside(definition: Path) -> list[str]:
    return [*weights_names(definition.name), description_name(definition.name)]


def _graph(file: Path) -> GraphFile:
    """Converts BigDL's files to ONNX. BigDL itself never reads them, because its loader would construct any class they name."""
    definition = file.read_bytes()
    if not definition:
        raise invalid("the file is empty")
    weights = next((w for name in weights_names(file.name) if (w := file.with_name(name)).is_file()), None)
    module = BigDLFile(definition, weights.read_bytes() if weights else None, file.name)
    description = file.with_name(description_name(file.name))
    described = Described.from_json(description.read_text(errors="replace")) if description.is_file() else None
    width = described.head.get("width") if described and described.head else None
    data = convert(module, width if isinstance(width, int) and width > 0 else None)
    options = described.options if described else {}
    return GraphFile(data, hashlib.sha256(definition).hexdigest(), None, described, options)


def stage(catalog: ModelCatalog, version: ModelVersion, staged: Path) -> Exported:
    """Writes a definition and weights that BigDL can load without this package, and a file for the rest."""
    model, described = graph_of(catalog, version)
    if needs_double(model):
        why = "its features or target need DOUBLE, and BigDL computes in FLOAT; FORMAT ONNX can express it"
        raise SqlExtError("EXPORT_NOT_POSSIBLE", model=version, format="BIGDL", reason=why)
    layers = onnx_to_bigdl.plan_graph(model)
    reason = missing(catalog.spark)
    if layers.problems:
        reason = f"BigDL has no {', '.join(f'{name} x {count}' for name, count in sorted(layers.problems.items()))}"
    if reason:
        raise SqlExtError("EXPORT_NOT_POSSIBLE", model=version, format="BIGDL", reason=reason.rstrip("."))
    module = onnx_to_bigdl.build(layers, catalog.spark.sparkContext._jvm)
    module.setName(PRODUCER)
    onnx_to_bigdl.save(module, staged.parent)
    for name, end in zip(BIGDL_FILES, ("", ".weights"), strict=True):
        (staged.parent / name).rename(staged.with_name(staged.name + end))
    # BigDL's layers carry the names of nodes, not of tensors.
    layer = {made.output: made.name for made in layers.layers}
    named = {
        k: layer.get(layers.alias.get(v, v), v) for k, v in described.options.items() if k in ("output", "embedding")
    }
    description = replace(described, options=described.options | named)
    staged.with_name(f"{staged.name}.json").write_text(description.to_json())
    size = sum(staged.with_name(staged.name + end).stat().st_size for end in ("", ".weights", ".json"))
    return Exported(size, sha256(staged), message(model, described))
