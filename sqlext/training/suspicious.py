"""Numeric features that are probably no features: row numbers, and copies of what is to be predicted."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sqlext.training.plan import TrainPlan

_CLOSE = 0.1  # what an approximate count may be off
_SAME = 0.999999  # correlation with the target


def suspicious_columns(plan: TrainPlan, rows: DataFrame) -> list[str]:
    """A sentence for each numeric column that is unique per row, or a 1:1 image of the label, in feature rows (rows.py).

    Only whole numbers are taken for row numbers: measured values are unique by themselves.
    """
    if plan.features.kind != "columns":
        return []
    names = [column.text for column in plan.features.columns]
    found = rows.select(F.count(F.lit(1)).alias("rows"), *_looks(plan, len(names))).first()
    assert found is not None
    unique = [
        i for i in range(len(names)) if found[f"whole_{i}"] and found[f"distinct_{i}"] >= (1 - _CLOSE) * found.rows
    ]
    copies = _copies(plan, found, len(names))
    exact = _exact(rows, sorted({*unique, *copies})) if unique or (copies and not plan.regression) else {}
    sentences = []
    for i, name in enumerate(names):
        if i in copies and (plan.regression or _is_image(exact, i)):
            what = "target" if plan.regression else "label"
            sentences.append(f"{name} is a 1:1 image of the {what} {plan.label.text}")
        elif i in unique and exact[f"values_{i}"] == found.rows > 2:
            sentences.append(f"{name} is unique per row: is it a row number?")
    return sentences


def _looks(plan: TrainPlan, width: int) -> list[Any]:
    """One pass over all columns: roughly how many values, whether whole, and how like the target."""
    looks = []
    for i in range(width):
        value = F.col("features")[i]
        looks.append(F.approx_count_distinct(value, 0.03).alias(f"distinct_{i}"))
        looks.append(F.min(value == F.floor(value)).alias(f"whole_{i}"))
        if plan.regression:
            looks.append(F.abs(F.corr(value.cast("double"), F.col("target"))).alias(f"like_{i}"))
    if not plan.regression:
        looks.append(F.approx_count_distinct("label_text", 0.03).alias("labels"))
    return looks


def _copies(plan: TrainPlan, found: Any, width: int) -> list[int]:
    if plan.regression:
        return [i for i in range(width) if (found[f"like_{i}"] or 0) > _SAME]
    near = _CLOSE * found.labels + 1
    return [
        i for i in range(width) if abs(found[f"distinct_{i}"] - found.labels) <= near and found[f"distinct_{i}"] > 1
    ]


def _exact(rows: DataFrame, columns: list[int]) -> dict[str, int]:
    counts = [F.count_distinct("label_text").alias("labels")]
    for i in columns:
        value = F.col("features")[i]
        counts.append(F.count_distinct(value).alias(f"values_{i}"))
        counts.append(F.count_distinct(value, F.col("label_text")).alias(f"pairs_{i}"))
    found = rows.select(*counts).first()
    assert found is not None
    return {key: int(value) for key, value in found.asDict().items()}


def _is_image(exact: dict[str, int], i: int) -> bool:
    return exact[f"values_{i}"] == exact[f"pairs_{i}"] == exact["labels"]
