"""BigDL's forward pass inside the executors' JVMs: the reference engine.

A chain of BigDL modules (backbone, then head) is registered in the driver under a key and sent to the executors as a
broadcast. The SQL function ``sqlext_bigdl_forward('<key>', array)`` (jvm/src/BigDLForward.scala) runs it once per row. Each
task has its own modules, which share their weights.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from sqlext.bigdl.installed import missing
from sqlext.bigdl.records import HeadSpec
from sqlext.bigdl.training import save_head
from sqlext.catalog.entry import ModelVersion
from sqlext.catalog.facade import ModelCatalog
from sqlext.catalog.layout import BIGDL_FILES, HEAD
from sqlext.errors import SqlExtError
from sqlext.networks.head import Head

# (application, versions of the chain) -> key
_keys: dict[tuple[str, ...], str] = {}


@dataclass(frozen=True)
class ModuleFiles:
    """One module in local files, as written by BigDL's saveModule.

    The input array is reshaped to ``input_shape``, which leaves out the batch axis: (3, 224, 224) or (2048,).
    ``output_index`` (from 0) selects an output of a module with several; it is None for a module with one.
    """

    definition: Path
    weights: Path
    input_shape: tuple[int, ...]
    output_index: int | None = None


def register_modules(spark: SparkSession, key: str, modules: Sequence[ModuleFiles]) -> None:
    """Makes ``sqlext_bigdl_forward('<key>', array)`` return the last module's output as ARRAY<FLOAT>.

    The files are read only once, by this call. A key that is already registered is not changed.

    :raises SqlExtError: BIGDL_MISSING.
    """
    if sentence := missing(spark):
        raise SqlExtError("BIGDL_MISSING", reason=sentence)
    chain = [
        {
            "definition": str(m.definition),
            "weights": str(m.weights),
            "input_shape": list(m.input_shape),
            **({} if m.output_index is None else {"output": m.output_index}),
        }
        for m in modules
    ]
    _models(spark).register(spark._jsparkSession, key, json.dumps(chain))


def is_registered(spark: SparkSession, key: str) -> bool:
    """Whether the key is registered with this Spark application."""
    return missing(spark) is None and bool(_models(spark).isRegistered(spark._jsparkSession, key))


def unregister_modules(spark: SparkSession, key: str) -> None:
    """Removes the key and frees its broadcast; running queries that use it fail."""
    if missing(spark) is None:
        _models(spark).unregister(key)


def register_versions(spark: SparkSession, versions: Sequence[ModelVersion], *, embedding: bool) -> str:
    """Registers the modules of model versions (a backbone, a head, or both in this order) and returns the key.

    :param embedding: return the embedding of the last version's network instead of its scores.
    """
    chain = (spark.sparkContext.applicationId, *(version.id for version in versions), str(embedding))
    # Random, so that users without rights on a model cannot reach it by guessing its key.
    # setdefault is atomic, so two queries that are analysed at once get the same key.
    key = _keys.setdefault(chain, f"{'>'.join(version.id for version in versions)}:{secrets.token_hex(16)}")
    if not is_registered(spark, key):
        catalog = ModelCatalog(spark)
        last = len(versions) - 1
        with tempfile.TemporaryDirectory(prefix="sqlext-head-") as folder:
            modules = [
                _version_files(catalog, v, Path(folder), embedding=embedding or i < last)
                for i, v in enumerate(versions)
            ]
            register_modules(spark, key, modules)
    return key


def _version_files(catalog: ModelCatalog, version: ModelVersion, folder: Path, *, embedding: bool) -> ModuleFiles:
    """The files of one module.

    :param folder: for a head that BigDL cannot compute as it is stored; it exists until the modules are registered.
    """
    manifest = catalog.read_manifest(version)
    if manifest["kind"] != "backbone":
        head = Head.from_onnx(catalog.read_bytes(version, HEAD))
        return ModuleFiles(*_head_files(catalog, version, head, folder), input_shape=(head.width,))
    definition, weights = _stored_files(catalog, version)
    # An imported network's outputs are [embedding] or [embedding, scores].
    output = None if manifest.get("scores_width") is None else int(not embedding)
    return ModuleFiles(definition, weights, input_shape=tuple(manifest["input"]["shape"]), output_index=output)


def _head_files(catalog: ModelCatalog, version: ModelVersion, head: Head, folder: Path) -> tuple[Path, Path]:
    if not head.returns_double:
        return _stored_files(catalog, version)
    # The stored module adds the target's mean in FLOAT. This one leaves it out, and worker.py adds it in DOUBLE.
    save_head(catalog.spark, HeadSpec.of(head, regression=True), head.float_layers(), folder)
    return folder / BIGDL_FILES[0], folder / BIGDL_FILES[1]


def _stored_files(catalog: ModelCatalog, version: ModelVersion) -> tuple[Path, Path]:
    return catalog.local_copy(version, BIGDL_FILES[0]), catalog.local_copy(version, BIGDL_FILES[1])


def _models(spark: SparkSession) -> Any:
    jvm: Any = spark._jvm
    return jvm.org.apache.spark.sql.sqlext.BigDLModels
