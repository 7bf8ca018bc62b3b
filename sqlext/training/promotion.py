"""promote = 'if_better': scores the current default on the validation rows of the new run."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import TimestampType

from sqlext.catalog.backbones import recorded_backbone
from sqlext.catalog.entry import ModelVersion
from sqlext.catalog.layout import HEAD, HELD_OUT
from sqlext.context import Context
from sqlext.errors import SqlExtError
from sqlext.evaluation.held_out import HeldOut, score
from sqlext.evaluation.names import VALIDATION
from sqlext.evaluation.quality import is_better, quality
from sqlext.grammar.reader import Source
from sqlext.networks.head import TOO_LARGE, Head
from sqlext.scoring.choose import choose_for_embedding
from sqlext.sources import find_column, recorded_name
from sqlext.spark.labels import has_instants
from sqlext.training.columns import Features
from sqlext.training.features import Embedder, feature_rows
from sqlext.training.plan import TrainPlan
from sqlext.training.rows import Rows, unit_sql


@dataclass(frozen=True)
class Promotion:
    """Whether the new version becomes the default, and the reason that message shows."""

    promote: bool
    reason: str = ""


def decide(context: Context, plan: TrainPlan, rows: Rows, value: float | None) -> Promotion:
    """Applies the option promote to a new version whose metric is ``value``."""
    option = plan.options["promote"]
    existing = context.catalog.find(plan.name)  # read again: another run may have published meanwhile
    if existing is None or option == "always":
        return Promotion(True)
    if option == "never":
        return Promotion(False, "promote = 'never'")
    default = existing.default
    try:
        scored, known = default_scores(context, plan, rows, default)
    except SqlExtError as error:
        return Promotion(False, f"version {default.version} cannot be scored on these rows ({error})")
    validated = sum(rows.validated.values())
    if scored.rows != validated:
        why = f" ({TOO_LARGE})" if scored.too_large else ""
        return Promotion(
            False, f"version {default.version} can score {scored.rows}{why}, this version {validated} rows"
        )
    before = quality(plan.metric, scored, list(context.catalog.read_manifest(default).get("labels") or ()))
    if before is None or value is None:
        return Promotion(False, f"{plan.metric} is not defined on these rows")
    shown = _figures(before, value)
    reason = f"version {default.version} scores {shown[0]}, this version {shown[1]}"
    if known < scored.rows:
        # The default is at an advantage on rows that it learned from, so a new version that wins is better all the same.
        reason += f" (version {default.version} may have trained on {scored.rows - known} of these {scored.rows} rows)"
    return Promotion(is_better(plan.metric, value, before), reason)


def _figures(*values: float) -> list[str]:
    """Formats the values with three digits, or with six if three do not distinguish them."""
    for digits in (3, 6):
        shown = [f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.{digits + 3}g}" for value in values]
        if len(set(shown)) == len(set(values)):
            break
    return shown


def default_scores(context: Context, plan: TrainPlan, rows: Rows, default: ModelVersion) -> tuple[HeldOut, int]:
    """The current default's predictions for this run's validation rows, and how many of these rows it is known not to have
    trained on: those that its own training held out.

    :raises SqlExtError: COLUMN_NOT_FOUND and others, if its features cannot be computed from this source.
    """
    manifest = context.catalog.read_manifest(default)
    head = Head.from_onnx(context.catalog.read_bytes(default, HEAD))
    _check_labels(plan, default, manifest)
    usable = rows.usable.where(F.col("side") == VALIDATION)
    features = _features(plan, manifest)
    # With the same columns and backbone, the default takes the features that this run has cached.
    if features.hash_sql != plan.features.hash_sql or default.backbone_id != _id(plan.backbone):
        embedder = _embedder(context, plan, manifest, features, as_double=head.mean is not None)
        usable = _computed_again(context, plan, rows, usable, embedder)
    labels, count = list(manifest.get("labels") or ()), sum(rows.validated.values())
    fitting = usable.where(F.size("features") == head.width)
    scored = score(fitting, head, labels, rows=count, regression=plan.regression)
    return scored, int(np.isin(scored.row_hash, _held_out_hashes(context, default, manifest)).sum())


def _held_out_hashes(context: Context, default: ModelVersion, manifest: dict[str, Any]) -> npt.NDArray[np.int64]:
    """The hashes of the features of the rows that a version did not train on; none if it does not record them."""
    if HELD_OUT not in manifest.get("files", {}):
        return np.zeros(0, np.int64)
    data = context.catalog.read_bytes(default, HELD_OUT)
    return pd.read_parquet(io.BytesIO(data), columns=["row_hash"])["row_hash"].to_numpy(dtype=np.int64)


def _check_labels(plan: TrainPlan, default: ModelVersion, manifest: dict[str, Any]) -> None:
    """:raises SqlExtError: INVALID_LABEL for labels of the default that cannot be compared with those of this run."""
    if manifest.get("labels") is None:
        return
    trained, now = str(manifest.get("label_type") or "string"), plan.label.type.simpleString()
    # Labels are compared as texts, and equal values of two types may have different texts, such as 1 and 1.0.
    if trained != now and not {trained, now} <= _WHOLE:
        problem = f"version {default.version} has labels of type {trained}, and this column is {now}"
    elif isinstance(plan.label.type, TimestampType) and not has_instants(manifest["labels"]):
        problem = f"version {default.version} stores its timestamps without a time zone"
    else:
        return
    raise SqlExtError("INVALID_LABEL", column=plan.label.text, problem=f"{problem}; use promote = 'always'")


_WHOLE = {"tinyint", "smallint", "int", "bigint"}


def _id(version: ModelVersion | None) -> str | None:
    return version.id if version else None


def _features(plan: TrainPlan, manifest: dict[str, Any]) -> Features:
    """The default's features among the columns of this source, in which an image or array may have another name."""
    recorded = manifest["input"]
    if recorded["kind"] == plan.features.kind and recorded["kind"] != "columns":
        return plan.features

    names = [c["name"] for c in recorded.get("columns") or [{"name": recorded["column"]}]]
    source = Source(plan.source_text, plan.source_text, 0, is_query=False)
    columns = [find_column(plan.source, recorded_name(plan.source, name, 0), source) for name in names]
    return Features(recorded["kind"], tuple(columns))


def _embedder(
    context: Context, plan: TrainPlan, manifest: dict[str, Any], features: Features, *, as_double: bool
) -> Embedder:
    """Computes the features that the default takes."""
    recorded, backbone, choice = manifest.get("backbone"), None, None
    if recorded:
        assert plan.existing is not None
        backbone = recorded_backbone(context.catalog, recorded, plan.existing.default)
    if features.kind == "image":
        assert backbone is not None
        choice = replace(choose_for_embedding(context.spark, context.catalog.read_manifest(backbone)), precision="f32")
    return Embedder(features, backbone, choice, as_double=as_double)


def _computed_again(context: Context, plan: TrainPlan, rows: Rows, usable: DataFrame, embedder: Embedder) -> DataFrame:
    """The validation rows with features that the embedder computes from the source."""
    if plan.validation_rows is None:
        source, unit = plan.source, unit_sql(plan)
    else:
        source, unit = plan.validation_rows, plan.features.hash_sql
    if plan.side_sql is not None:
        source = source.where(F.expr(plan.side_sql) == VALIDATION)
    # A training row of another group may have the same features, so the hash of the features does not identify a row.
    wanted = usable.select(F.col("unit").alias("_unit"), F.col("row_hash").alias("_row_hash")).distinct()
    keys = {"_unit": unit, "_row_hash": plan.features.hash_sql}
    picked = source.select("*", *[F.expr(sql).alias(name) for name, sql in keys.items()])
    picked = picked.join(F.broadcast(wanted), list(keys), "leftsemi").drop(*keys)
    computed = feature_rows(context.spark, picked, plan.held_out_label, embedder, sum(rows.validated.values()))
    target = F.col("label").cast("double") if plan.regression else F.lit(None).cast("double")
    return computed.where("error IS NULL").select(
        "label_text", "row_hash", "features", target.alias("target"), F.lit(VALIDATION).alias("side")
    )
