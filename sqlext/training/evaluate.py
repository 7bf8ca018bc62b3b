"""EVALUATE MODEL: score a source and compare, or answer from the held-out rows stored with the version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from sqlext.catalog import ModelVersion
from sqlext.errors import SqlExtError
from sqlext.statements.base import Context, ResultRow
from sqlext.tokens import Name, Source
from sqlext.training.columns import find_features
from sqlext.training.held_out import FILE, HeldOut
from sqlext.training.metrics import classification
from sqlext.training.sources import ColumnOf, find_column, find_label, read_source
from sqlext.udfs._models import apply_steps, prediction_steps
from sqlext.udfs.base import Argument


def evaluate(context: Context, version: ModelVersion, source: Source | None, label: Name | None) -> ResultRow:
    """The one row of EVALUATE MODEL."""
    context.catalog.check(version.name, "SELECT")
    manifest = context.catalog.read_manifest(version)
    if source is None:
        scored, skipped, split, text = (
            _recorded(context, version, manifest),
            0,
            "validation",
            manifest["details"]["validated_on"],
        )
    else:
        scored, skipped = _scored(context, version, manifest, source, label)
        split, text = "given", source.text
    row = {
        "model": str(version.name),
        "version": version.version,
        "source": text,
        "split": split,
        "rows_skipped": skipped,
        "evaluated_at": datetime.now(UTC).isoformat(),
    }
    return row | _figures(scored, manifest)


def _figures(scored: HeldOut, manifest: dict[str, Any]) -> dict[str, Any]:
    labels: Sequence[str] = manifest["labels"]
    found = asdict(classification(scored.label, scored.predicted_label, scored.scores, labels))
    frequent = manifest.get("held_out", {}).get("frequent_label")
    baseline = float(np.mean([name == frequent for name in scored.label])) if frequent is not None else None
    return {
        "rows_evaluated": found.pop("rows"),
        "rows_unknown_label": found.pop("unknown_labels"),
        **found,
        "rmse": None,
        "mae": None,
        "r2": None,
        "baseline_value": baseline,
    }


def _recorded(context: Context, version: ModelVersion, manifest: dict[str, Any]) -> HeldOut:
    if FILE not in manifest.get("files", {}) or not manifest.get("held_out", {}).get("rows"):
        if manifest["kind"] == "backbone":
            raise SqlExtError("NOTHING_TO_EVALUATE", model=version.name)
        raise SqlExtError("NO_HELD_OUT_ROWS", model=version.name, version=version.version)
    return HeldOut.read(context.catalog.read_bytes(version, FILE))


def _scored(
    context: Context, version: ModelVersion, manifest: dict[str, Any], source: Source, label: Name | None
) -> tuple[HeldOut, int]:
    """Scores every row of the source that has a label, and counts those without one or without a prediction."""
    if not manifest.get("labels"):
        raise SqlExtError("NO_LABELS", model=version.name)
    frame = read_source(context, source)
    answer = _label_column(frame, manifest, source, label)
    features = _features_column(frame, manifest, source, answer)
    rows = frame.select(
        F.expr(answer.sql).cast("string").alias("expected"),
        F.xxhash64(F.expr(features.sql)).alias("row_hash"),
        F.when(F.expr(answer.sql).isNotNull(), F.expr(features.sql)).alias("given"),
    )
    steps = prediction_steps(context.spark, version, [Argument(features.type, "given")])
    scored = apply_steps(rows, steps).select("expected", "row_hash", "scored.label", "scored.score", "scored.scores")
    table = scored.toPandas()
    good = table[table["expected"].notna() & table["label"].notna()]
    if good.empty:
        reason = "it is empty" if table.empty else f"none of its {len(table)} rows has a label and a prediction"
        raise SqlExtError("NO_ROWS", source=source.text, reason=reason)
    held_out = HeldOut(
        good["row_hash"].to_numpy(dtype=np.int64),
        ["given"] * len(good),
        good["expected"].tolist(),
        good["label"].tolist(),
        good["score"].to_numpy(dtype=np.float64),
        np.stack(good["scores"].tolist()),
    )
    return held_out, len(table) - len(good)


def _label_column(frame: Any, manifest: dict[str, Any], source: Source, label: Name | None) -> ColumnOf:
    """LABEL, else the column that the model was trained on."""
    if label is not None:
        return find_label(frame, label, source)
    trained = manifest.get("label_column")
    if trained is None:
        raise SqlExtError("LABEL_NEEDED", model=manifest["model"], offset=source.offset)
    return find_label(frame, Name(tuple(trained.split(".")), source.offset), source)


def _features_column(frame: Any, manifest: dict[str, Any], source: Source, label: ColumnOf) -> ColumnOf:
    """The column that the model was trained on where the source has it, else the only one of its kind."""
    column = manifest["input"].get("column")
    if column:
        try:
            return find_column(frame, Name(tuple(column.split(".")), source.offset), source)
        except SqlExtError:
            pass  # another name: the only image (or array) column will do
    return find_features(frame, [], [Name(tuple(label.text.split(".")), source.offset)], source).columns[0]
