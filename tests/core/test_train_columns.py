"""TRAIN MODEL on numeric columns and ML vectors: which columns are used, how they are scaled, what message reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from sqlext.catalog import ModelCatalog, ModelRef
from tests.support.results import one

# Three columns of scales 1, 1e2 and 1e5. 8 of 100 labels are wrong: 0.92 is what a perfect model reaches.
SCALES = """SELECT a, b * 1e2 AS b, c * 1e5 AS c, IF(rand({seed} + 90) < 0.08, a + b + c <= 0, a + b + c > 0) AS y
  FROM (SELECT randn({seed}) AS a, randn({seed} + 30) AS b, randn({seed} + 60) AS c FROM range(0, 1000, 1, 1))"""


@pytest.fixture(scope="module")
def numbers(spark: SparkSession) -> Iterator[str]:
    """Database `numbers` with a table of columns of every kind (200 rows)."""
    spark.sql("CREATE DATABASE numbers")
    spark.sql("USE numbers")
    spark.sql(
        "CREATE TABLE t STORED AS PARQUET AS SELECT id AS n, CAST(id AS DOUBLE) AS row_number, a, CAST(b AS DECIMAL(20, 6)) AS b, "
        "id % 7 AS whole, a > 0 AS flag, 4.5D AS constant, 10D + IF(a + b > 0, 1, 0) AS copy, 'x' AS path, "
        "IF(a + b > 0, 'yes', IF(id % 50 = 2, ' Yes', 'no')) AS y, id % 10 AS shop, "
        "CASE id % 5 WHEN 0 THEN 'validation' WHEN 1 THEN 'test' ELSE 'TRAIN' END AS part, id % 4 = 0 AS held "
        "FROM (SELECT id, randn(1) AS a, randn(2) * 1e5 AS b FROM range(0, 200, 1, 1))"
    )
    yield "numbers"
    spark.sql("USE default")
    spark.sql("DROP DATABASE numbers CASCADE")


def manifest(spark: SparkSession, model: str) -> dict[str, Any]:
    catalog = ModelCatalog(spark)
    return catalog.read_manifest(catalog.resolve(ModelRef.parse(model, "numbers")))


def error(spark: SparkSession, sql: str) -> str:
    with pytest.raises(AnalysisException) as caught:
        spark.sql(sql)
    return str(caught.value)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4, 5))])
def test_columns_of_any_scale_train_without_options(spark: SparkSession, numbers: str, seed: int) -> None:
    row = one(spark, f"TRAIN MODEL scales FROM ({SCALES.format(seed=seed)}) LABEL y")
    assert (row.rows_trained, row.rows_validated) == (800, 200)
    assert row.metric_value >= 0.88
    assert "features: a, b, c" in row.message


@pytest.fixture(scope="module")
def trained(spark: SparkSession, numbers: str) -> Row:
    """A model without FEATURES: the FLOAT, DOUBLE and DECIMAL columns except label and split."""
    return one(spark, "TRAIN MODEL m FROM t LABEL y VALIDATE BY part COMMENT 'c' PROPERTIES (Team = 'fruit')")


def test_without_features_columns_are_chosen_by_rule_and_named(spark: SparkSession, trained: Row) -> None:
    assert "features: row_number, a, b, constant, copy (left out: n, whole, flag, path, shop, held)" in trained.message
    assert "row_number is different in each row: is it a row number?" in trained.message
    assert "labels that look alike: ' Yes', 'yes'" in trained.message
    assert " a is different" not in trained.message  # measured values are usually all different
    saved = manifest(spark, "m")
    assert saved["input"]["kind"] == "columns"
    assert saved["input"]["columns"][2] == {"name": "b", "type": "decimal(20,6)"}
    assert (saved["width"], saved["task"], saved["kind"]) == (5, "classification", "classifier")


def test_validate_by_a_column(spark: SparkSession, trained: Row, numbers: str) -> None:
    assert (trained.rows_trained, trained.rows_validated, trained.rows_tested) == (120, 40, 40)
    row = one(
        spark, "TRAIN MODEL by_flag FROM t FEATURES (a, whole, flag) LABEL y VALIDATE BY held OPTIONS (epochs = 1)"
    )
    assert (row.rows_trained, row.rows_validated, row.rows_tested) == (150, 50, 0)
    assert "left out: n, row_number, b, constant, copy, path, shop, part)" in row.message
    sides = "(SELECT *, IF(n = 3, NULL, IF(n < 9, 'valid', part)) AS side FROM t)"
    assert "it holds 'valid', NULL" in error(spark, f"TRAIN MODEL x FROM {sides} FEATURES (a) LABEL y VALIDATE BY side")
    assert "INVALID_VALIDATION_COLUMN" in error(spark, "TRAIN MODEL x FROM t FEATURES (a) LABEL y VALIDATE BY n")


def test_held_out_rows_have_their_split(spark: SparkSession, trained: Row, numbers: str) -> None:
    catalog = ModelCatalog(spark)
    version = catalog.resolve(ModelRef.parse("numbers.m@1", "default"))
    rows = spark.read.parquet(f"{version.model_folder}/held_out.parquet")
    assert {r.split: r["count"] for r in rows.groupBy("split").count().collect()} == {"validation": 40, "test": 40}
    key = "xxhash64(row_number, a, b, constant, copy)"
    spark.sql(f"SELECT {key} AS row_hash, lower(part) AS part, y FROM t").createOrReplaceTempView("hashes")
    joined = rows.join(spark.table("hashes"), "row_hash")
    assert joined.where("split = part AND label = y").count() == 80
    right = rows.where("split = 'validation' AND label = predicted_label").count()
    assert trained.metric_value == right / 40  # the test rows do not count
    evaluated = one(spark, "EVALUATE MODEL m")
    right = rows.where("split = 'test' AND label = predicted_label").count()
    assert (evaluated.split, evaluated.rows_evaluated, evaluated.accuracy) == ("test", 40, right / 40)


def test_groups_stay_together(spark: SparkSession, numbers: str) -> None:
    row = one(
        spark,
        "TRAIN MODEL grouped FROM t FEATURES (a, b) LABEL y VALIDATE SPLIT 0.2 TEST 0.2 GROUP shop SEED 3 OPTIONS (epochs = 1)",
    )
    assert row.rows_trained % 20 == row.rows_validated % 20 == row.rows_tested % 20 == 0  # shops have 20 rows each
    assert row.rows_validated >= 20 <= row.rows_tested
    assert row.rows_trained + row.rows_validated + row.rows_tested == 200


@pytest.mark.parametrize(
    ("features", "rows"), [("a", 10), pytest.param("array(a)", 300, marks=pytest.mark.slow)]
)  # in one partition; spread
def test_classes_that_share_a_group_have_training_rows(
    spark: SparkSession, numbers: str, features: str, rows: int
) -> None:
    """Class no has the groups that rank first and second, class yes those that rank second and third.

    Each class would hold out its first group: class no would train on none.
    """
    ranked = [r.id for r in spark.sql("SELECT id FROM range(3) ORDER BY xxhash64(42, xxhash64(id))").collect()]
    values = ", ".join(f"({ranked[i]}L, '{y}')" for i, y in ((0, "no"), (1, "no"), (1, "yes"), (2, "yes")))
    source = f"SELECT shop, y, {features} AS x FROM VALUES {values} AS t(shop, y) CROSS JOIN (SELECT randn(1) AS a FROM range({rows}))"
    row = one(
        spark, f"TRAIN MODEL shared FROM ({source}) LABEL y VALIDATE SPLIT 0.5 GROUP shop SEED 42 OPTIONS (epochs = 1)"
    )
    assert (row.rows_trained, row.rows_validated, row.rows_tested) == (2 * rows, 2 * rows, 0)
    held_out = spark.sql("SELECT label, count(*) AS n FROM sqlext_held_out('numbers.shared') GROUP BY label")
    assert {r.label: r.n for r in held_out.collect()} == {"no": rows, "yes": rows}


def test_copies_of_the_label_are_named(spark: SparkSession, numbers: str) -> None:
    row = one(
        spark,
        "TRAIN MODEL copies FROM (SELECT copy, a, copy > 10 AS y FROM t) FEATURES (copy, a) LABEL y OPTIONS (epochs = 1)",
    )
    assert "copy maps one-to-one to the label y: is it a copy?" in row.message
    assert " a maps one-to-one" not in row.message


def test_an_ml_vector(spark: SparkSession, numbers: str) -> None:
    from pyspark.ml.linalg import Vectors

    rows = [
        (
            Vectors.sparse(4, [i % 2], [9.0]) if i % 3 else Vectors.dense(9.0 * (i % 2 == 0), 9.0 * (i % 2), 0, 0),
            i % 2,
            i,
        )
        for i in range(40)
    ]
    spark.createDataFrame(rows, ["v", "y", "d"]).createOrReplaceTempView("vectors")
    row = one(spark, "TRAIN MODEL vector FROM vectors LABEL y OPTIONS (epochs = 40)")
    assert row.metric_value == 1.0
    assert "features: v (left out: d)" in row.message
    assert manifest(spark, "vector")["input"]["kind"] == "array"


@pytest.mark.parametrize(
    ("clauses", "says"),
    [
        ("FEATURES (path) LABEL y", "read_image(path)"),
        ("FEATURES (a, path) LABEL y", "string is neither"),
        ("FEATURES (a, y) LABEL y", "the column that the model predicts"),
        ("FEATURES (a, A) LABEL y", "names it twice"),
        ("FEATURES (a, array_column) LABEL y", "COLUMN_NOT_FOUND"),
        ("FEATURES (a) LABEL b", "write TARGET b instead of LABEL"),
        ("FEATURES (a) TARGET y", "use LABEL y to predict classes"),
        ("FEATURES (a) LABEL y BACKBONE models.small", "BACKBONE_WITHOUT_IMAGE"),
        (
            'FEATURES (a) LABEL y OPTIONS (class_weights = \'{"no": 1, "maybe": 2}\')',
            "no weight for ' Yes', 'yes'; no such label: 'maybe'",
        ),
        ("FEATURES (a) LABEL y OPTIONS (warm_start = 'm@1')", "WARM_START_MISMATCH"),
    ],
)
def test_errors_say_what_to_write(spark: SparkSession, trained: Row, clauses: str, says: str) -> None:
    assert says in error(spark, f"TRAIN MODEL x FROM t {clauses}")


def test_columns_are_not_clear(spark: SparkSession, numbers: str) -> None:
    message = error(spark, "TRAIN MODEL x FROM (SELECT n, path, y FROM t) LABEL y")
    assert "FEATURES_NOT_CLEAR" in message
    assert "n bigint, path string; if path holds paths of image files" in message
    assert "FROM (SELECT read_image(path) AS image, .. FROM ..)" in message
    many = "(SELECT id AS y, array(1D * id) AS x FROM range(10001))"
    assert "more than 10,000 distinct values" in error(spark, f"TRAIN MODEL x FROM {many} LABEL y")
    assert "several array columns (u, v); name one in FEATURES" in error(
        spark, "TRAIN MODEL x FROM (SELECT array(a) u, array(a) v, y FROM t) LABEL y"
    )
    images = "(SELECT CAST('x' AS BINARY) AS image, a, y FROM t)"
    assert "an image must be the only feature column" in error(
        spark, f"TRAIN MODEL x FROM {images} FEATURES (image, a) LABEL y"
    )
