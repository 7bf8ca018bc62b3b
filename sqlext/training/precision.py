"""Checks whether a version may be scored in bf16, by up to 500 validation rows in both precisions; the version records it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from sqlext.context import Context
from sqlext.evaluation.held_out import HeldOut
from sqlext.evaluation.names import VALIDATION
from sqlext.networks.head import Head, softmax
from sqlext.scoring.choose import Choice, executors_have_bf16
from sqlext.settings import setting
from sqlext.training.features import Embedder, feature_rows, watching
from sqlext.training.plan import TrainPlan
from sqlext.training.recorder import RunRecorder

SAMPLE = 500
MAX_ACCURACY_CHANGE = 0.005
MAX_FLIPPED_MARGIN = 0.1


def check(
    context: Context, plan: TrainPlan, head: Head, labels: Sequence[str], scored: HeldOut, run: RunRecorder
) -> dict[str, Any]:
    """The check as the manifest records it.

    ``use`` is bf16 if accuracy changes by at most 0.5 points, and no label changes whose score is more than 0.1 above the
    second best.
    """
    reason = _why_not(context, plan, scored)
    scored = scored.of_split(VALIDATION)
    if reason:
        return {"use": "f32", "reason": reason}
    # Held-out rows are sorted by their hash, so the first ones are a random sample, and the same in each run.
    sample = scored.row_hash[:SAMPLE]
    run.phase("checking", len(sample))
    with watching(context.spark, len(sample), run.progress):
        low = _embedded_in_bf16(context, plan, [int(h) for h in set(sample.tolist())])
    order = [i for i, h in enumerate(sample.tolist()) if h in low]
    features = np.stack([low[int(sample[i])] for i in order])
    return _compare(softmax(head.logits(features)), scored, order, labels)


def _why_not(context: Context, plan: TrainPlan, scored: HeldOut) -> str | None:
    if plan.backbone is None or not plan.embedder.embeds:
        return "arrays are scored in f32"
    if plan.regression:
        return "regressions are scored in f32"
    if plan.options["precision"] == "f32":
        return "the option precision is 'f32'"
    if VALIDATION not in scored.split:
        return "there are no validation rows to compare"
    if not len(scored.scores):
        return "there are too many classes to compare their scores"
    if setting(context.spark, "precision") == "f32":
        return "spark.sqlext.precision is f32"
    if setting(context.spark, "engine") not in ("auto", "openvino"):
        return f"spark.sqlext.engine is {setting(context.spark, 'engine')}"
    if context.catalog.read_manifest(plan.backbone).get("engines", {}).get("openvino"):
        return "openvino cannot run the backbone"
    return None if executors_have_bf16(context.spark) else "not every executor's CPU has bf16 instructions"


def _embedded_in_bf16(context: Context, plan: TrainPlan, hashes: list[int]) -> dict[int, Any]:
    """row_hash -> features of the sampled rows, computed by openvino in bf16."""
    source = plan.validation_rows if plan.validation_rows is not None else plan.source
    picked = source.where(F.expr(plan.features.hash_sql).isin(hashes))
    low = Embedder(plan.features, plan.backbone, Choice("openvino", "bf16"))
    rows = feature_rows(context.spark, picked, plan.label, low, len(hashes))
    rows = rows.select("row_hash", "features")
    rows.persist()  # gives one job: adaptive execution would start one per stage, but it does not touch cached plans
    try:
        found = rows.toPandas()
    finally:
        rows.unpersist()
    pairs = zip(found["row_hash"], found["features"], strict=True)
    return {int(h): np.asarray(f, dtype=np.float32) for h, f in pairs if f is not None}


def _compare(low: Any, scored: HeldOut, order: list[int], labels: Sequence[str]) -> dict[str, Any]:
    full = scored.scores[order]
    truth = np.array([scored.label[i] for i in order], dtype=object)
    names = np.array(labels, dtype=object)
    accuracies = [float(np.mean(names[p.argmax(axis=1)] == truth)) for p in (full, low)]
    flipped = full.argmax(axis=1) != low.argmax(axis=1)
    top = np.sort(full, axis=1)
    margins = (top[:, -1] - top[:, -2])[flipped]
    fits = abs(accuracies[1] - accuracies[0]) <= MAX_ACCURACY_CHANGE and not (margins > MAX_FLIPPED_MARGIN).any()
    return {
        "use": "bf16" if fits else "f32",
        "rows": len(order),
        "accuracy_f32": accuracies[0],
        "accuracy_bf16": accuracies[1],
        "flipped": int(flipped.sum()),
        "largest_flipped_margin": float(margins.max()) if len(margins) else 0.0,
    }
