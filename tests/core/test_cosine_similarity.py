"""cosine_similarity: the JVM's own function, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

# SQL arguments -> value
CASES = {
    "array(1.0F, 0.0F), array(0.0F, 2.0F)": 0.0,
    "array(1.0F, 2.0F), array(2.0F, 4.0F)": 1.0,
    "array(1.0D, 2.0D), array(-1.0D, -2.0D)": -1.0,
    "array(3.0F, 4.0F), array(4.0D, 3.0D)": 0.96,
    "array(3, 4), array(4L, 3L)": 0.96,
    "array(3.0BD, 4.0BD), array(4.0F, 3.0F)": 0.96,
    "array(1e150D, 0D), array(1e150D, 1e150D)": math.sqrt(0.5),
    "array(1e-150D, 0D), array(1e-150D, 1e-150D)": math.sqrt(0.5),
    "NULL, array(1.0F)": None,
    "array(1.0F), CAST(NULL AS ARRAY<FLOAT>)": None,
    "array(1.0F), array(1.0F, 2.0F)": None,
    "array(1.0F, NULL), array(1.0F, 2.0F)": None,
    "array(0.0F, 0.0F), array(1.0F, 2.0F)": None,
    "array(float('NaN'), 1F), array(1.0F, 2.0F)": None,
    "array(double('Infinity'), 1D), array(1.0D, 2.0D)": None,
    "array(), array()": None,
}


@pytest.mark.parametrize("codegen", ["CODEGEN_ONLY", "NO_CODEGEN"])
def test_cases(spark: SparkSession, codegen: str) -> None:
    spark.conf.set("spark.sql.codegen.factoryMode", codegen)
    try:
        columns = ", ".join(f"cosine_similarity({arguments})" for arguments in CASES)
        found = list(spark.sql(f"SELECT {columns}").first() or ())
    finally:
        spark.conf.unset("spark.sql.codegen.factoryMode")
    assert found == [None if v is None else pytest.approx(v, abs=1e-15) for v in CASES.values()]


def test_agrees_with_numpy(spark: SparkSession) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 2, 64)).astype(np.float32)
    frame = spark.createDataFrame([(a.tolist(), b.tolist()) for a, b in rows], "a ARRAY<FLOAT>, b ARRAY<FLOAT>")
    found = [row.c for row in frame.selectExpr("cosine_similarity(a, b) AS c").collect()]
    a, b = rows[:, 0].astype(float), rows[:, 1].astype(float)
    assert found == pytest.approx((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1), abs=1e-12)


@pytest.mark.parametrize(
    "arguments", ["array(1.0F)", "array(1.0F), 'text'", "array(1.0F), 1", "array(1.0F), array(true)"]
)
def test_wrong_arguments_fail_at_analysis(spark: SparkSession, arguments: str) -> None:
    with pytest.raises(AnalysisException, match="cosine_similarity"):
        spark.sql(f"SELECT cosine_similarity({arguments})")
