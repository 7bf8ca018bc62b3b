"""Describes the rows that cannot be used: the reasons, and the SELECT that lists the rows."""

from __future__ import annotations

from collections import Counter

from pyspark.sql.types import DoubleType, FloatType

from sqlext.networks.head import TOO_LARGE
from sqlext.sources import ColumnOf
from sqlext.spark.types import is_vector
from sqlext.text import string_literal
from sqlext.training.features import NO_NUMBER, NULL_LABEL, too_large
from sqlext.training.plan import TrainPlan


def reasons(why: Counter[str]) -> str:
    """'3 x no image, 1 x truncated file': the three most frequent reasons."""
    return ", ".join(f"{count} x {reason}" for reason, count in why.most_common(3))


def bad_rows_query(plan: TrainPlan, why: Counter[str], width: int, model: str = "") -> str:
    """The SELECT that lists the bad rows, including those of VALIDATE FROM.

    :param width: the number of features of a good row.
    :param model: the trained version, which knows what is too large for it.
    """
    tests = []
    if TOO_LARGE in why:
        features = ", ".join(column.text for column in plan.features.columns)
        tests.append(f"predict_error({string_literal(model)}, {features}) IS NOT NULL")
    elif set(why) - {NULL_LABEL, NO_NUMBER}:
        tests.append(_bad_features(plan, width))
    if NO_NUMBER in why:
        tests.append(_bad_number(plan.label, as_double=True))
    elif NULL_LABEL in why:
        tests.append(f"{plan.label.text} IS NULL")
    return _from_all(plan, f" WHERE {' OR '.join(tests)}")


def largest_rows_query(plan: TrainPlan, rows: int) -> str:
    """The SELECT that lists the rows with the largest features."""
    columns = plan.features.columns
    if plan.features.kind == "columns":
        values = f"array({', '.join(f'double({column.text})' for column in columns)})"
    else:
        values = _array(columns[0])
    order = f"array_max(transform({values}, x -> abs(x)))"
    return f"SELECT * FROM ({_from_all(plan, '')}) ORDER BY {order} DESC LIMIT {rows}"


def _from_all(plan: TrainPlan, condition: str) -> str:
    """The rows of FROM and of VALIDATE FROM that fulfil a condition."""
    columns, sources = "*", [plan.source_text]
    if plan.validation_rows is not None and plan.validation.source is not None:
        sources.append(plan.validation.source.text)
        if plan.source.dtypes != plan.validation_rows.dtypes:
            columns = ", ".join(column.text for column in (plan.label, *plan.features.columns))
    return " UNION ALL ".join(f"SELECT {columns} FROM {source}{condition}" for source in sources)


def _bad_features(plan: TrainPlan, width: int) -> str:
    features = plan.features
    if features.kind == "columns":
        return " OR ".join(_bad_number(column, as_double=plan.embedder.as_double) for column in features.columns)
    name = features.columns[0].text
    if features.kind == "image":
        return f"image_error({name}) IS NOT NULL"
    values = _array(features.columns[0])
    wrong = f"x IS NULL OR isnan(x) OR {too_large('x', as_double=plan.embedder.as_double)}"
    return f"{name} IS NULL OR size({values}) <> {width} OR exists({values}, x -> {wrong})"


def _array(column: ColumnOf) -> str:
    return f"sqlext_vector_to_array({column.text})" if is_vector(column.type) else column.text


def _bad_number(column: ColumnOf, *, as_double: bool) -> str:
    name = column.text
    # Other types have neither NaN nor infinity, and none of their values is too large for a FLOAT.
    if not isinstance(column.type, (FloatType, DoubleType)):
        return f"{name} IS NULL"
    return f"{name} IS NULL OR isnan({name}) OR {too_large(name, as_double=as_double)}"
