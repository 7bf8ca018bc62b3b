"""Chooses the engine and precision of a query from the settings, the network, the CPUs and the version's recorded check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from sqlext.bigdl.installed import missing
from sqlext.catalog.entry import ModelVersion
from sqlext.catalog.facade import ModelCatalog
from sqlext.catalog.layout import BIGDL_FILES
from sqlext.engines import ENGINES
from sqlext.errors import SqlExtError
from sqlext.scoring.worker import cpu_has_bf16
from sqlext.settings import setting

_ENGINES = ("auto", *ENGINES, "bigdl")
_PRECISIONS = ("auto", "f32", "bf16")
_capable: dict[str, bool] = {}


@dataclass(frozen=True)
class Choice:
    """``engine`` is openvino, onnxruntime or bigdl; ``precision`` f32 or bf16 (openvino only)."""

    engine: str
    precision: str


def choose(spark: SparkSession, manifest: dict[str, Any], backbone: ModelVersion | None) -> Choice:
    """Chooses for predictions of a model.

    :param backbone: None if the model scores arrays: its head then runs in NumPy or BigDL.
    :raises SqlExtError: ENGINE_CANNOT_SCORE, INVALID_SETTING.
    """
    engine, precision = _setting(spark, "engine", _ENGINES), _setting(spark, "precision", _PRECISIONS)
    if backbone is None:
        return Choice(
            "bigdl" if engine == "bigdl" and _check_bigdl(spark, manifest, manifest) else "onnxruntime", "f32"
        )
    network = manifest if manifest["kind"] == "backbone" else ModelCatalog(spark).read_manifest(backbone)
    automatic = precision == "auto"
    if automatic:
        precision = "bf16" if manifest.get("precision", {}).get("use") == "bf16" else "f32"
    return _engine(spark, engine, precision, automatic, network, manifest)


def choose_for_embedding(spark: SparkSession, network: dict[str, Any]) -> Choice:
    """Chooses for embed() and TRAIN.

    The precision is f32 unless spark.sqlext.embed.precision says otherwise: embeddings are stored, and those of different
    queries are used together.

    :raises SqlExtError: ENGINE_CANNOT_SCORE, INVALID_SETTING.
    """
    engine = _setting(spark, "engine", _ENGINES)
    precision = _setting(spark, "embed.precision", ("f32", "bf16"))
    return _engine(spark, engine, precision, False, network, network)


def _engine(
    spark: SparkSession, engine: str, precision: str, automatic: bool, network: dict[str, Any], model: dict[str, Any]
) -> Choice:
    usable = {name for name, reason in network.get("engines", {}).items() if not reason}
    if engine == "bigdl":
        _check_bigdl(spark, network, model)
        return Choice("bigdl", "f32")
    if precision == "bf16":
        fits = engine in ("auto", "openvino") and "openvino" in usable and executors_have_bf16(spark)
        if fits:
            return Choice("openvino", "bf16")
        if not automatic:
            reason = (
                "bf16 needs engine openvino, a network that openvino can run, and executors whose CPUs have AVX-512 BF16 or "
                "AMX and compute correctly in bf16"
            )
            raise SqlExtError("ENGINE_CANNOT_SCORE", engine=engine, model=model["model"], reason=reason)
    if engine == "auto":
        # In f32, onnxruntime was never slower than openvino on the CPUs that were measured.
        engine = next((e for e in ("onnxruntime", "openvino") if e in usable), "bigdl")
        if engine == "bigdl":
            _check_bigdl(spark, network, model)
        return Choice(engine, "f32")
    if engine not in usable:
        reason = network.get("engines", {}).get(engine) or "IMPORT found that it cannot run this network"
        raise SqlExtError("ENGINE_CANNOT_SCORE", engine=engine, model=model["model"], reason=reason)
    return Choice(engine, "f32")


def _check_bigdl(spark: SparkSession, network: dict[str, Any], model: dict[str, Any]) -> bool:
    reason = missing(spark) or network.get("engines", {}).get("bigdl")
    if reason is None and BIGDL_FILES[0] not in network.get("files", {}):
        reason = "the network was imported without BigDL"
    if reason is not None:
        raise SqlExtError("ENGINE_CANNOT_SCORE", engine="bigdl", model=model["model"], reason=reason.rstrip("."))
    return True


def _setting(spark: SparkSession, name: str, accepted: tuple[str, ...]) -> str:
    value = str(setting(spark, name)).lower()
    if value not in accepted:
        raise SqlExtError("INVALID_SETTING", setting=f"spark.sqlext.{name}", value=value, accepted=", ".join(accepted))
    return value


def executors_have_bf16(spark: SparkSession) -> bool:
    """Whether the CPU of every executor has bf16 and computes correctly in it; one small job per application finds out."""
    context = spark.sparkContext
    if context.applicationId not in _capable:
        if str(context.master).startswith("local"):
            answers = [cpu_has_bf16()]
        else:
            # Spark cannot send a task to a certain executor; with twice as many tasks as cores, probably each gets one.
            slots = max(context.defaultParallelism, 1) * 2
            answers = context.parallelize(range(slots), slots).map(cpu_has_bf16).collect()
        _capable[context.applicationId] = all(answers)
    return _capable[context.applicationId]
