"""Warns of numeric columns that are probably not features: constants, row numbers, and copies of the column to predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sqlext.training.plan import TrainPlan

# Three times the standard deviation of the counts, 0.03.
_CLOSE = 0.1  # relative error allowed for approximate counts
_SAME = 0.999999  # correlation above which a column is a copy of the target
# Up to this many values of all columns, one task collects them in sets. An approximate count has a buffer of 200 columns, for
# which Spark compiles code in every training: for few rows, that takes longer than the rest of the statement's counts.
_FEW_VALUES = 200_000


@dataclass(frozen=True)
class _Measured:
    """What is known of a column. Only whole numbers can be row numbers: measured values are usually all different."""

    is_constant: bool
    is_copy: bool
    is_row_number: bool


def suspicious_columns(plan: TrainPlan, rows: DataFrame, count: int) -> list[str]:
    """A warning for each numeric column that has one value, is different in each row, or maps one-to-one to the label.

    :param rows: feature rows (rows.py).
    :param count: their number, which decides how they are counted.
    """
    if plan.features.kind != "columns":
        return []
    names = [column.text for column in plan.features.columns]
    measure = _of_few if count * len(names) <= _FEW_VALUES else _of_many
    measured = measure(plan, rows, len(names))
    return [s for name, column in zip(names, measured, strict=True) if (s := _sentence(plan, name, column))]


def _sentence(plan: TrainPlan, name: str, column: _Measured) -> str:
    if column.is_constant:
        return f"{name} has the same value in each row, so that nothing can be learned from it"
    if column.is_copy:
        what = "target" if plan.regression else "label"
        return f"{name} maps one-to-one to the {what} {plan.label.text}: is it a copy?"
    return f"{name} is different in each row: is it a row number?" if column.is_row_number else ""


def _of_few(plan: TrainPlan, rows: DataFrame, width: int) -> list[_Measured]:
    """In one pass, with all values of a task in memory."""
    statistics = [F.count(F.lit(1)).alias("rows")]
    if not plan.regression:
        statistics.append(_distinct("label_text").alias("labels"))
    for i in range(width):
        value = F.col("features")[i] + F.lit(0.0)  # -0.0 becomes 0.0, from which a set distinguishes it
        statistics += [_distinct(value).alias(f"values_{i}"), _is_whole(value).alias(f"whole_{i}")]
        statistics.append(
            _likeness(value).alias(f"like_{i}")
            if plan.regression
            else _distinct(F.struct(value, F.col("label_text"))).alias(f"pairs_{i}")
        )
    found = rows.select(*statistics).first()
    assert found is not None
    return [_measured(plan, found.asDict(), i) for i in range(width)]


def _distinct(value: Column | str) -> Column:
    return F.size(F.collect_set(value))


def _is_whole(value: Column) -> Column:
    return F.min(value == F.floor(value))


def _likeness(value: Column) -> Column:
    return F.abs(F.corr(value.cast("double"), F.col("target")))


def _measured(plan: TrainPlan, found: dict[str, Any], i: int) -> _Measured:
    """From exact counts."""
    values, rows = found[f"values_{i}"], found["rows"]
    is_copy = (found[f"like_{i}"] or 0) > _SAME if plan.regression else values == found[f"pairs_{i}"] == found["labels"]
    return _Measured(
        is_constant=values == 1 < rows,
        is_copy=values > 1 and is_copy,
        is_row_number=bool(found[f"whole_{i}"]) and values == rows > 2,
    )


def _of_many(plan: TrainPlan, rows: DataFrame, width: int) -> list[_Measured]:
    """Counts approximately in a first pass, and exactly in a second one where that is not enough."""
    found = _approximate(plan, rows, width)
    close = [i for i in range(width) if _may_be_row_number(found, i) or _may_be_copy(plan, found, i)]
    exact = _exact(rows, close) if close else {}
    return [
        _measured(plan, {**found, **exact}, i) if i in close else _Measured(found[f"values_{i}"] == 1, False, False)
        for i in range(width)
    ]


def _approximate(plan: TrainPlan, rows: DataFrame, width: int) -> dict[str, Any]:
    """In one pass over all columns: numbers of values, whether all are whole, correlation with the target."""
    statistics = [F.count(F.lit(1)).alias("rows"), F.approx_count_distinct("label_text", 0.03).alias("labels")]
    for i in range(width):
        value = F.col("features")[i]
        statistics.append(F.approx_count_distinct(value, 0.03).alias(f"values_{i}"))
        statistics.append(_is_whole(value).alias(f"whole_{i}"))
        if plan.regression:
            statistics.append(_likeness(value).alias(f"like_{i}"))
    found = rows.select(*statistics).first()
    assert found is not None
    return dict(found.asDict())


def _may_be_row_number(found: dict[str, Any], i: int) -> bool:
    return bool(found[f"whole_{i}"]) and found[f"values_{i}"] >= (1 - _CLOSE) * found["rows"]


def _may_be_copy(plan: TrainPlan, found: dict[str, Any], i: int) -> bool:
    if plan.regression:
        return bool((found[f"like_{i}"] or 0) > _SAME)
    values, labels = found[f"values_{i}"], found["labels"]
    return bool(values > 1 and abs(values - labels) <= _CLOSE * labels + 1)


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
