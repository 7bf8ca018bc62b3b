"""Features of all kinds, for classifiers and regressors: arrays, ML vectors, structs, columns, and those that do not fit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.errors import AnalysisException
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.mllib.linalg import Vectors as OldVectors
from pyspark.sql import SparkSession

from tests.support.results import one
from tests.support.tiny_models import publish, publish_columns


@pytest.fixture(scope="module")
def tiny(spark: SparkSession) -> Iterator[SparkSession]:
    """Database `tiny`: models cols (two columns), price (a regressor on the same columns) and arrays (three numbers)."""
    spark.sql("CREATE DATABASE tiny")
    spark.sql("USE tiny")
    publish_columns(spark)
    publish(spark, "arrays", [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0])
    yield spark
    spark.sql("USE default")
    spark.sql("DROP DATABASE tiny CASCADE")


@pytest.mark.parametrize(
    "features",
    [
        "a, b",
        "CAST(a AS FLOAT), CAST(b AS DECIMAL(9, 2))",
        "struct(a, b)",
        "struct(b, 'more' AS other, a)",
        "named_struct('B', b, 'A', a)",
        "array(a, b)",
    ],
)
def test_columns_structs_and_arrays_predict_the_same(tiny: SparkSession, features: str) -> None:
    row = one(
        tiny,
        f"SELECT classify('cols', {features}) AS label, classify_score('cols', {features}) AS score, "
        f"classify_score_of('cols', 'c0', {features}) AS other, predict('price', {features}).value AS value, "
        f"predict('cols', {features}).error AS error FROM (SELECT 1.5D AS a, 3 AS b)",
    )
    assert (row.label, row.value, row.error) == ("c1", 200_000.0, None)
    assert row.score == pytest.approx(0.8175745)
    assert row.score + row.other == pytest.approx(1)


def test_topk_value_and_error(tiny: SparkSession) -> None:
    row = one(
        tiny,
        "SELECT classify_topk('arrays', array(1, 3, 2), 2) AS two, classify_topk('arrays', array(0, 0, 0), 9) AS equal, "
        "classify_topk('cols', a, b, 1) AS of_columns, classify_topk('arrays', array(1), 2) AS none, "
        "predict_value('price', a, b) AS value, predict_error('price', a, b) AS well, "
        "predict_error('cols', struct(a, NULL AS b)) AS why FROM (SELECT 1.5D AS a, 3 AS b)",
    )
    assert [pair.label for pair in row.two] == ["c1", "c2"]
    assert [pair.score for pair in row.two] == pytest.approx([0.6652, 0.2447], abs=1e-4)
    assert [pair.label for pair in row.equal] == ["c0", "c1", "c2"]
    assert [pair.label for pair in row.of_columns] == ["c1"]
    assert row.none is None
    assert (row.value, row.well, row.why) == (200_000.0, None, "NULL, NaN or infinite value in b")
    schema = tiny.sql("SELECT classify_topk('cols', 1, 2, 1) AS t, predict_value('price', 1, 2) AS v").schema
    assert schema.simpleString() == "struct<t:array<struct<label:string,score:double>>,v:double>"


def test_vectors_are_arrays(tiny: SparkSession) -> None:
    rows = [(Vectors.dense(1, 5, 2),), (Vectors.sparse(3, {2: 4.0}),), (Vectors.dense(1, 2),), (None,)]
    tiny.createDataFrame(rows, _vector_schema()).createOrReplaceTempView("vectors")
    found = tiny.sql("SELECT predict('arrays', v) AS p FROM vectors").collect()
    assert [row.p.label for row in found] == ["c1", "c2", None, None]
    assert [row.p.error for row in found[2:]] == ["expected 3 values, got 2", "no features"]
    old = tiny.createDataFrame([(OldVectors.sparse(3, {0: 7.0}),)], ["v"])
    assert old.selectExpr("classify('arrays', v) AS l").first() == ("c0",)


def _vector_schema() -> object:
    from pyspark.sql.types import StructField, StructType

    return StructType([StructField("v", VectorUDT())])


def test_a_missing_number_is_reported_and_fails_no_query(tiny: SparkSession) -> None:
    rows = tiny.sql(
        "SELECT predict('cols', a, b) AS p, classify('cols', a, b) AS label, predict('price', struct(a, b)) AS r "
        "FROM VALUES (1D, 2), (NULL, 2), (double('NaN'), NULL) AS t(a, b)"
    ).collect()
    assert [row.label for row in rows] == ["c1", None, None]
    reasons = [None, "NULL, NaN or infinite value in a", "NULL, NaN or infinite value in a, b"]
    assert [row.p.error for row in rows] == [row.r.error for row in rows] == reasons
    assert [row.r.value for row in rows] == [200_000.0, None, None]
    none = one(
        tiny, "SELECT predict('cols', CAST(NULL AS STRUCT<a: DOUBLE, b: INT>)) AS p, classify('cols', NULL) AS c"
    )
    assert (none.p.error, none.c) == ("no features", None)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            "classify('cols', a)",
            r"FEATURES_MISMATCH.*columns \(a DOUBLE, b INT\).*not double.*classify\(model, features",
        ),
        ("classify('cols', a, b, a)", r"FEATURES_MISMATCH.*\(a DOUBLE, b INT\).*not double, int, double"),
        ("classify('cols', a, 'x')", "FEATURES_MISMATCH.*not double, string"),
        ("classify('cols', struct(a))", "FEATURES_MISMATCH.*a STRUCT without b"),
        ("classify('cols', struct('x' AS a, b))", "FEATURES_MISMATCH.*columns"),
        ("classify('arrays', a, a, a)", "FEATURES_MISMATCH.*an array of 3 numbers"),
        ("classify('arrays', CAST('x' AS BINARY))", "FEATURES_MISMATCH.*BACKBONE.*not binary"),
        ("classify('arrays', 'x.jpg')", r"FEATURES_MISMATCH.*not string \(read_image\(path\)"),
        (
            "classify('price', a, b)",
            r"WRONG_KIND_OF_MODEL.*classifier.*tiny.price is a regressor.*predict_value\('price'",
        ),
        ("predict_value('cols', a, b)", r"WRONG_KIND_OF_MODEL.*regressor.*tiny.cols is a classifier.*classify\('cols'"),
        (
            "classify_topk('arrays', array(a, a, a), 0)",
            r"INVALID_ARGUMENTS.*classify_topk\(model, features, k\).*from 1",
        ),
        ("classify_topk('arrays', array(a, a, a), b + rand())", "INVALID_ARGUMENTS.*constant whole number"),
        ("classify_score_of('price', 'c0', a, b)", "WRONG_KIND_OF_MODEL.*predict_value"),
        ("classify_score_of('cols', 'c9', a, b)", "UNKNOWN_LABEL.*c0"),
        ("classify_score_of('cols', 'c0')", "INVALID_ARGUMENTS.*at least 3 arguments, got 2"),
    ],
)
def test_wrong_features_are_refused(tiny: SparkSession, call: str, says: str) -> None:
    with pytest.raises(AnalysisException, match=says):
        tiny.sql(f"SELECT {call} FROM (SELECT 1D AS a, 2 AS b)")


def test_a_constant_label_of_any_type_is_compared_as_its_text(tiny: SparkSession) -> None:
    constants = {
        "true": "true",
        "1.10BD": "1.10",
        "7L": "7",
        "DATE '2024-01-02'": "2024-01-02",
        "TIMESTAMP '2024-01-02 03:04:05'": "2024-01-02 03:04:05",
        "concat('a', 'b')": "ab",
    }
    weights = [[float(i), 0.0, 0.0] for i in range(len(constants))]
    publish(tiny, "typed", weights, [0.0] * len(constants), labels=list(constants.values()))
    calls = ", ".join(f"classify_score_of('typed', {c}, x)" for c in [*constants, "CAST(NULL AS BOOLEAN)"])
    row = one(tiny, f"SELECT {calls} FROM (SELECT array(1D, 0D, 0D) AS x)")
    assert list(row)[:-1] == sorted(list(row)[:-1])
    assert sum(list(row)[:-1]) == pytest.approx(1)
    assert row[-1] is None
    with pytest.raises(AnalysisException, match=r"UNKNOWN_LABEL.*'false'.*Available: true, 1\.10, 7, 2024-01-02"):
        tiny.sql("SELECT classify_score_of('typed', false, array(1D, 0D, 0D))")
