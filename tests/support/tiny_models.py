"""Models with hand-chosen weights, published through the catalog, to test the functions with every kind of features."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from sqlext.catalog import ModelCatalog, ModelName, ModelVersion
from sqlext.networks.head import Head

COLUMNS = [{"name": "a", "type": "double"}, {"name": "b", "type": "int"}]


def publish(
    spark: SparkSession, name: str, weights: list[list[float]], bias: list[float], **manifest: Any
) -> ModelVersion:
    """Publishes a head of one layer, ``weights`` (outputs, width): a regressor for one output, else with labels 'c0', 'c1', .."""
    matrix = np.array(weights, dtype=np.float32)
    regressor = len(weights) == 1
    content = {
        "kind": "regressor" if regressor else "classifier",
        "width": matrix.shape[1],
        "labels": None if regressor else [f"c{i}" for i in range(len(weights))],
        "input": {"kind": "array", "column": "features"},
        "scores_kind": "logits",
        **manifest,
    }
    catalog = ModelCatalog(spark)
    with catalog.draft(ModelName.parse(name, catalog.current_namespace()), content["kind"]) as draft:
        head = Head((matrix, np.array(bias, dtype=np.float32)))
        (draft.local / "head.onnx").write_bytes(head.to_onnx())
        return catalog.publish(draft, [], {"model": str(draft.name), **content})


def publish_columns(spark: SparkSession) -> None:
    """Publishes `cols`, which predicts c0 unless b > a, and `price`, which predicts 200,000 + 2a - b."""
    manifest = {"input": {"kind": "columns", "column": "a", "columns": COLUMNS}}
    publish(spark, "cols", [[1, 0], [0, 1]], [0, 0], **manifest)
    publish(spark, "price", [[2, -1]], [200_000], **manifest)
