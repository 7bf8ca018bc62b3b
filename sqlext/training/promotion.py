"""promote = 'if_better': scores the current default on the validation rows of the new run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import TimestampType

from sqlext.catalog.backbones import recorded_backbone
from sqlext.catalog.entry import ModelVersion
from sqlext.catalog.layout import HEAD
from sqlext.context import Context
from sqlext.errors import SqlExtError
from sqlext.evaluation.held_out import score
from sqlext.evaluation.names import VALIDATION
from sqlext.evaluation.quality import is_better, quality
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import Source
from sqlext.networks.head import Head
from sqlext.scoring.choose import choose_for_embedding
from sqlext.sources import ColumnOf, find_column
from sqlext.spark.labels import has_instants
from sqlext.training.columns import Features
from sqlext.training.features import Embedder, feature_rows
from sqlext.training.plan import TrainPlan
from sqlext.training.rows import Rows


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
        before = default_value(context, plan, rows, default)
    except SqlExtError as error:
        return Promotion(False, f"version {default.version} cannot be scored on these rows ({error})")
    if before is None or value is None:
        return Promotion(False, f"{plan.metric} is not defined on these rows")
    shown = _figures(before, value)
    reason = f"version {default.version} scores {shown[0]}, this version {shown[1]}"
    return Promotion(is_better(plan.metric, value, before), reason)


def _figures(*values: float) -> list[str]:
    """Formats the values with three digits, or with six if three do not distinguish them."""
    for digits in (3, 6):
        shown = [f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.{digits + 3}g}" for value in values]
        if len(set(shown)) == len(set(values)):
            break
    return shown


def default_value(context: Context, plan: TrainPlan, rows: Rows, default: ModelVersion) -> float | None:
    """The metric of the current default on this run's validation rows.

    :raises SqlExtError: COLUMN_NOT_FOUND and others, if its features cannot be computed from this source.
    """
    manifest = context.catalog.read_manifest(default)
    head = Head.from_onnx(context.catalog.read_bytes(default, HEAD))
    labels = list(manifest.get("labels") or ())
    _check_labels(plan, default, manifest)
    usable = rows.usable.where(F.col("side") == VALIDATION)
    features = _features(plan, manifest)
    # With the same columns and backbone, the default takes the features that this run has cached.
    if features.hash_sql != plan.features.hash_sql or default.backbone_id != _id(plan.backbone):
        scaled = head.mean is not None
        usable = _with_other_features(context, plan, rows, usable, manifest, features, scaled=scaled)
    scored = score(usable.where(F.size("features") == head.width), head, labels, regression=plan.regression)
    return quality(plan.metric, scored, labels)


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
    columns = [find_column(plan.source, Name(tuple(name.split(".")), 0), source) for name in names]
    return Features(recorded["kind"], tuple(ColumnOf(c.text, c.sql, c.type) for c in columns))


def _with_other_features(
    context: Context,
    plan: TrainPlan,
    rows: Rows,
    usable: DataFrame,
    manifest: dict[str, Any],
    features: Features,
    *,
    scaled: bool,
) -> DataFrame:
    """The validation rows with the features that the default takes, computed again from the source."""
    recorded, backbone, choice = manifest.get("backbone"), None, None
    if recorded:
        assert plan.existing is not None
        backbone = recorded_backbone(context.catalog, recorded, plan.existing.default)
    if features.kind == "image":
        assert backbone is not None
        choice = replace(choose_for_embedding(context.spark, context.catalog.read_manifest(backbone)), precision="f32")
    source = plan.validation_rows if plan.validation_rows is not None else plan.source
    hashes = usable.select("row_hash").distinct()
    picked = source.withColumn("_row_hash", F.expr(plan.features.hash_sql))
    picked = picked.join(F.broadcast(hashes), picked["_row_hash"] == hashes["row_hash"], "leftsemi").drop("_row_hash")
    embedder = Embedder(features, backbone, choice, scaled=scaled)
    computed = feature_rows(context.spark, picked, plan.label, embedder, sum(rows.validated.values()))
    target = F.col("label").cast("double") if plan.regression else F.lit(None).cast("double")
    return computed.where("error IS NULL").select(
        "label_text", "row_hash", "features", target.alias("target"), F.lit(VALIDATION).alias("side")
    )
