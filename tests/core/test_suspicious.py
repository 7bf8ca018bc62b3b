"""Columns that are probably not features are found by both ways of counting, exactly or approximately first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import SparkSession

from sqlext.training import suspicious

ROWS = 60
# Name -> SQL of the value in row id; then whether a sentence about it is expected when y is id % 3 as a label, or as a target.
COLUMNS = {
    "constant": ("5", "same value", "same value"),
    "zero": ("IF(id < 9, -0.0D, 0.0D)", "same value", "same value"),
    "number": ("id", "row number", "row number"),
    "measured": ("id + 0.25", "", ""),
    "copy": ("7 - (id % 3) * 2", "label y", "target y"),
    "signed": ("IF(id % 3 = 0, IF(id < 9, -0.0D, 0.0D), id % 3)", "label y", "target y"),
    "many_to_one": ("id % 6", "", ""),
    "one_to_many": ("IF(id % 3 = 0, 0, 1)", "", ""),
}


@pytest.mark.parametrize("few_values", [10_000, 0])
@pytest.mark.parametrize("regression", [False, True])
def test_what_is_said(spark: SparkSession, monkeypatch: pytest.MonkeyPatch, few_values: int, regression: bool) -> None:
    monkeypatch.setattr(suspicious, "_FEW_VALUES", few_values)
    values = ", ".join(f"float({sql})" for sql, *_ in COLUMNS.values())
    rows = spark.sql(
        f"SELECT array({values}) AS features, string(id % 3) AS label_text, double(id % 3) AS target FROM range({ROWS})"
    )
    plan: Any = SimpleNamespace(
        regression=regression,
        label=SimpleNamespace(text="y"),
        features=SimpleNamespace(kind="columns", columns=[SimpleNamespace(text=name) for name in COLUMNS]),
    )
    said = dict(sentence.split(" ", 1) for sentence in suspicious.suspicious_columns(plan, rows, ROWS))
    expected = {name: column[2 if regression else 1] for name, column in COLUMNS.items()}
    assert said.keys() == {name for name, words in expected.items() if words}
    assert all(expected[name] in sentence for name, sentence in said.items())
