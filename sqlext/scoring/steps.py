"""The driver's side of scoring: a model version becomes a registered UDF with a broadcast network, created once and shared.

All functions of one model and image are fields of one deterministic UDF. There is one Python object per (version, engine,
precision, kind of input), because Spark treats two calls as equal only if they hold the same object.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]

from sqlext.bigdl.scoring import register_versions
from sqlext.catalog.backbones import recorded_backbone
from sqlext.catalog.entry import ModelVersion, predicts_a_value
from sqlext.catalog.facade import ModelCatalog
from sqlext.catalog.layout import HEAD, NETWORK
from sqlext.errors import SqlExtError
from sqlext.networks.head import Head
from sqlext.scoring import worker
from sqlext.scoring.choose import Choice, choose
from sqlext.scoring.inputs import Argument, TrainedInput, array_sql, as_one, image_sql
from sqlext.scoring.worker import ScoringSpec
from sqlext.settings import duration_seconds, setting
from sqlext.spark.conf import setting_bytes
from sqlext.spark.hub import register_udf, scored_column
from sqlext.spark.types import is_array, is_image, is_image_struct

# PySpark matches the fields by name with the columns of the DataFrames that worker.py returns.
PREDICTION = "struct<label:string,score:double,value:double,error:string,version:int,scores:array<double>>"
EMBEDDING = "struct<embedding:array<float>,error:string>"
TENSOR = "struct<tensor:array<float>,error:string>"
THUMBNAIL = "struct<url:string>"
INSPECTION = "struct<width:int,height:int,channels:int,format:string,error:string>"


@dataclass(frozen=True)
class Step:
    """A scoring step: the registered UDF ``udf`` over SQL ``arguments``; later SQL refers to its result as ``name``."""

    name: str
    udf: str
    arguments: tuple[str, ...]


@dataclass
class _Bound:
    """A UDF that the analyser may use, and the broadcast of its network."""

    udf: Callable[..., Any]
    network: Broadcast[bytes] | None = None
    used_at: float = field(default_factory=time.monotonic)


_bound: dict[str, _Bound] = {}
_networks: dict[str, Broadcast[bytes]] = {}


_application: list[str] = []


def _forget_other_applications(spark: SparkSession) -> None:
    """The broadcasts of a stopped application are gone, so the next application cannot use the UDFs that hold them."""
    if _application != [spark.sparkContext.applicationId]:
        _bound.clear()
        _networks.clear()
        _application[:] = [spark.sparkContext.applicationId]


def _register(spark: SparkSession, key: str, make: Callable[[], _Bound]) -> str:
    _forget_other_applications(spark)
    bound = _bound.get(key)
    if bound is None:
        bound = _bound[key] = make()
        register_udf(spark, key, bound.udf)
    bound.used_at = time.monotonic()
    _release_idle(spark)
    return key


def _release_idle(spark: SparkSession) -> None:
    """Removes from the executors the networks that no query has bound for `spark.sqlext.models.idle`.

    A later query fetches them again.
    """
    idle = duration_seconds(setting(spark, "models.idle") or "30m")
    busy = {id(b.network) for b in _bound.values() if time.monotonic() - b.used_at < idle}
    for bound in _bound.values():
        if bound.network is not None and id(bound.network) not in busy:
            # Not destroy(): a query that is planned already can still fetch it.
            bound.network.unpersist()


def _network(spark: SparkSession, version: ModelVersion) -> Broadcast[bytes]:
    _forget_other_applications(spark)
    key = version.id
    if key not in _networks:
        data = ModelCatalog(spark).local_copy(version, NETWORK).read_bytes()
        _networks[key] = spark.sparkContext.broadcast(data)
    return _networks[key]


def scalar_udf(
    function: Callable[..., Any], returns: str, name: str, *, struct_input: bool = False, inputs: int = 1
) -> Callable[..., Any]:
    """Returns a scalar pandas UDF around ``function``; EXPLAIN shows its ``name``."""

    def of_one(a: Any) -> Any:
        return function(a)

    def of_two(a: Any, b: Any) -> Any:
        return function(a, b)

    # PySpark reads the kind of a pandas UDF, and whether a struct arrives as a DataFrame, from its annotations.
    first = pd.DataFrame if struct_input else pd.Series
    call, types = (of_two, {"a": first, "b": pd.Series}) if inputs == 2 else (of_one, {"a": first})
    call.__annotations__ = {**types, "return": pd.DataFrame}
    call.__name__ = name
    return pandas_udf(call, returns)  # type: ignore[call-overload, no-any-return]


def apply_steps(frame: DataFrame, steps: tuple[Step, ...]) -> DataFrame:
    """Adds the result of each step as a column; the steps' ``arguments`` are SQL over the columns of ``frame``.

    As in SQL, surrounding filters and sorts do not score a row twice, and batches are bounded in bytes.
    """
    for step in steps:
        frame = frame.withColumn(step.name, scored_column(frame.sparkSession, step.udf, map(F.expr, step.arguments)))
    return frame


def _suffix(struct: bool) -> str:
    """Structs need a separate UDF, because PySpark passes a struct column as a DataFrame."""
    return "_struct" if struct else ""


# --- the steps of functions, training and evaluation -----------------------------------------------------------------


def inspection_steps(spark: SparkSession, image: Argument) -> tuple[Step, ...]:
    """Returns one step, `inspected`, with the fields of INSPECTION."""
    return _picture_step(spark, "inspected", image, worker.inspect_images, INSPECTION, "inspect_image")


def thumbnail_steps(spark: SparkSession, image: Argument, side: Argument) -> tuple[Step, ...]:
    """Returns one step, `thumbnail`, with the field of THUMBNAIL."""
    longest = f"CAST({side.sql} AS INT)"
    return _picture_step(spark, "thumbnail", image, worker.data_urls, THUMBNAIL, "image_data_url", longest)


def _picture_step(
    spark: SparkSession, name: str, image: Argument, function: Callable[..., Any], returns: str, udf: str, *others: str
) -> tuple[Step, ...]:
    """Returns one step, ``name``: ``function`` of a picture and of ``others``, which are SQL, without any network."""
    struct = is_image_struct(image.type)
    inputs = 1 + len(others)
    key = _register(
        spark,
        f"{udf}{_suffix(struct)}",
        lambda: _Bound(scalar_udf(function, returns, udf, struct_input=struct, inputs=inputs)),
    )
    return (Step(name, key, (image_sql(image), *others)),)


def embedding_steps(spark: SparkSession, backbone: ModelVersion, image: Argument, choice: Choice) -> tuple[Step, ...]:
    """Returns steps; the last one, `embedded`, has the fields of EMBEDDING."""
    spec = _spec(spark, backbone, choice)
    if choice.engine == "bigdl":
        post = worker.embedding_from_forward
        return _forward_steps(spark, spec, image, "embedded", EMBEDDING, post, [backbone])
    struct, network = is_image_struct(image.type), _network(spark, backbone)
    key = f"{spec.key}:embed{_suffix(struct)}"
    function = partial(worker.embed_images, spec=spec, network=network)
    name = f"embed_{backbone.name}_{backbone.version}"
    _register(spark, key, lambda: _Bound(scalar_udf(function, EMBEDDING, name, struct_input=struct), network))
    return (Step("embedded", key, (image_sql(image),)),)


def prediction_steps(
    spark: SparkSession, model: ModelVersion, features: Sequence[Argument], signature: str | None = None
) -> tuple[Step, ...]:
    """Returns steps; the last one, `scored`, has the fields of PREDICTION.

    :param features: one argument (an image, an array, an ML vector, a STRUCT), or one for each feature column of the training.
    :param signature: that of the called function, for errors.
    :raises SqlExtError: FEATURES_MISMATCH if the model takes other features, NO_CLASSIFIER, and the errors of
        :func:`choose`.
    """
    manifest = ModelCatalog(spark).read_manifest(model)
    if manifest["kind"] == "backbone" and not manifest.get("scores_width"):
        raise SqlExtError("NO_CLASSIFIER", model=model.name)
    argument = as_one(model, manifest, features, signature)
    backbone = None if is_array(argument.type) else _backbone_of(spark, model, manifest)
    choice = choose(spark, manifest, backbone)
    spec = _spec(spark, model, choice, backbone=backbone)
    if choice.engine == "bigdl":
        chain = [model] if backbone in (None, model) else [backbone, model]
        post = partial(worker.from_forward, spec=spec)
        return _forward_steps(spark, spec, argument, "scored", PREDICTION, post, [v for v in chain if v is not None])
    if backbone is None:
        return _array_steps(spark, spec, argument, f"classify_{model}")
    struct, network = is_image_struct(argument.type), _network(spark, backbone)
    key = f"{spec.key}:image{_suffix(struct)}"
    function = partial(worker.predict_images, spec=spec, network=network)
    udf = partial(scalar_udf, function, PREDICTION, f"classify_{model}", struct_input=struct)
    _register(spark, key, lambda: _Bound(udf(), network))
    return (Step("scored", key, (image_sql(argument),)),)


def _array_steps(spark: SparkSession, spec: ScoringSpec, features: Argument, name: str) -> tuple[Step, ...]:
    key = f"{spec.key}:array"
    function = partial(worker.predict_arrays, spec=spec)
    _register(spark, key, lambda: _Bound(scalar_udf(function, PREDICTION, name)))
    return (Step("scored", key, (array_sql(features),)),)


def _backbone_of(spark: SparkSession, model: ModelVersion, manifest: dict[str, Any]) -> ModelVersion | None:
    """Returns the network that turns an image into features; an imported model is its own backbone."""
    if manifest["kind"] == "backbone":
        return model
    recorded = manifest.get("backbone")
    return recorded_backbone(ModelCatalog(spark), recorded, model) if recorded else None


def _spec(
    spark: SparkSession, model: ModelVersion, choice: Choice, *, backbone: ModelVersion | None = None
) -> ScoringSpec:
    catalog = ModelCatalog(spark)
    manifest = catalog.read_manifest(model)
    trained = TrainedInput.of(manifest)
    network = model if manifest["kind"] == "backbone" else backbone
    inputs = catalog.read_manifest(network)["input"] if network else {}
    head = None if manifest["kind"] == "backbone" else Head.from_onnx(catalog.read_bytes(model, HEAD))
    return ScoringSpec(
        # The id tells a model from an earlier one of the same name and version.
        key=f"{model}:{model.model_id}:{choice.engine}:{choice.precision}",  # EXPLAIN shows it
        network_key=network.id if network else None,
        preprocessing=inputs.get("preprocessing"),
        engine=choice.engine,
        precision=choice.precision,
        head=head,
        labels=tuple(manifest.get("labels") or ()),
        task="regression" if predicts_a_value(manifest) else "classification",
        columns=tuple(n for n, _ in trained.columns) if trained.kind == "columns" else (),
        scores_kind=manifest.get("scores_kind") or "logits",
        width=int(manifest["width"]),
        version=model.version,
        cache_bytes=_cache_bytes(spark),
    )


def _cache_bytes(spark: SparkSession) -> int:
    """Returns spark.sqlext.cache.maxBytes, but 0 if Spark encrypts its local files, since the cache would not be encrypted."""
    if spark.sparkContext.getConf().get("spark.io.encryption.enabled", "false").strip().lower() == "true":
        return 0
    return setting_bytes(spark, "cache.maxBytes")


def _forward_steps(
    spark: SparkSession,
    spec: ScoringSpec,
    features: Argument,
    name: str,
    returns: str,
    post: Callable[..., Any],
    chain: list[ModelVersion],
) -> tuple[Step, ...]:
    """Returns two Python steps, one that decodes and one that adds the labels; BigDL's forward runs between them in the JVM."""
    image = is_image(features.type)
    struct = is_image_struct(features.type)
    kind = f"image{_suffix(struct)}" if image else "array"
    prepare = partial(worker.tensors if image else worker.scaled_arrays, spec=spec)
    before, after = f"{spec.key}:before:{kind}", f"{spec.key}:after:{name}"
    forward = register_versions(spark, chain, embedding=name == "embedded")
    _register(spark, before, lambda: _Bound(scalar_udf(prepare, TENSOR, "decode_image", struct_input=struct)))
    _register(spark, after, lambda: _Bound(scalar_udf(post, returns, f"{name}_by_bigdl", inputs=2)))
    argument = image_sql(features) if image else array_sql(features)
    return (
        Step("prepared", before, (argument,)),
        Step(name, after, (f"sqlext_bigdl_forward('{forward}', prepared.tensor)", "prepared.error")),
    )
