"""Warns of numeric columns that are probably not features: constants, row numbers, and copies of the column to predict."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sqlext.training.plan import TrainPlan

# Three times the standard deviation of the counts, 0.03.
_CLOSE = 0.1  # relative error allowed for approximate counts
_SAME = 0.999999  # correlation above which a column is a copy of the target


def suspicious_columns(plan: TrainPlan, rows: DataFrame) -> list[str]:
    """A warning for each numeric column that has one value, is different in each row, or maps one-to-one to the label.

    Only whole numbers can be row numbers: measured values are usually all different.

    :param rows: feature rows (rows.py).
    """
    if plan.features.kind != "columns":
        return []
    names = [column.text for column in plan.features.columns]
    found = rows.select(F.count(F.lit(1)).alias("rows"), *_statistics(plan, len(names))).first()
    assert found is not None
    unique = [
        i for i in range(len(names)) if found[f"whole_{i}"] and found[f"distinct_{i}"] >= (1 - _CLOSE) * found.rows
    ]
    copies = _copies(plan, found, len(names))
    exact = _exact(rows, sorted({*unique, *copies})) if unique or (copies and not plan.regression) else {}
    sentences = []
    for i, name in enumerate(names):
        if found[f"distinct_{i}"] == 1 and found.rows > 1:
            sentences.append(f"{name} has the same value in each row, so that nothing can be learned from it")
        elif i in copies and (plan.regression or _is_one_to_one(exact, i)):
            what = "target" if plan.regression else "label"
            sentences.append(f"{name} maps one-to-one to the {what} {plan.label.text}: is it a copy?")
        elif i in unique and exact[f"values_{i}"] == found.rows > 2:
            sentences.append(f"{name} is different in each row: is it a row number?")
    return sentences


def _statistics(plan: TrainPlan, width: int) -> list[Any]:
    """For one pass over all columns: approximate numbers of values, whether all are whole, correlation with the target."""
    statistics = []
    for i in range(width):
        value = F.col("features")[i]
        statistics.append(F.approx_count_distinct(value, 0.03).alias(f"distinct_{i}"))
        statistics.append(F.min(value == F.floor(value)).alias(f"whole_{i}"))
        if plan.regression:
            statistics.append(F.abs(F.corr(value.cast("double"), F.col("target"))).alias(f"like_{i}"))
    if not plan.regression:
        statistics.append(F.approx_count_distinct("label_text", 0.03).alias("labels"))
    return statistics


def _copies(plan: TrainPlan, found: Any, width: int) -> list[int]:
    """Columns that may be copies: by correlation with the target, or by about as many values as there are labels."""
    if plan.regression:
        return [i for i in range(width) if (found[f"like_{i}"] or 0) > _SAME]
    near = _CLOSE * found.labels + 1
    return [
        i for i in range(width) if abs(found[f"distinct_{i}"] - found.labels) <= near and found[f"distinct_{i}"] > 1
    ]


def _exact(rows: DataFrame, columns: list[int]) -> dict[str, int]:
    """Exact counts of values and of value-label pairs, only for ``columns``: they are expensive."""
    counts = [F.count_distinct("label_text").alias("labels")]
    for i in columns:
        value = F.col("features")[i]
        counts.append(F.count_distinct(value).alias(f"values_{i}"))
        counts.append(F.count_distinct(value, F.col("label_text")).alias(f"pairs_{i}"))
    found = rows.select(*counts).first()
    assert found is not None
    return {key: int(value) for key, value in found.asDict().items()}


def _is_one_to_one(exact: dict[str, int], i: int) -> bool:
    return exact[f"values_{i}"] == exact[f"pairs_{i}"] == exact["labels"]
