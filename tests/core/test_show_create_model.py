"""SHOW CREATE MODEL: its text, run again, creates the same model."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from sqlext.catalog import ModelCatalog, ModelName
from tests.support.results import one


def shown(spark: SparkSession, model: str) -> str:
    row = one(spark, f"SHOW CREATE MODEL {model}")
    assert list(row.asDict()) == ["createmodel_stmt"]
    return str(row.createmodel_stmt)


def test_a_trained_model(spark: SparkSession, database: str) -> None:
    spark.sql(
        "CREATE TABLE t AS SELECT array(1.0D * (id % 3), sin(id), cos(id * id)) AS `the x`, cast(id % 3 AS STRING) AS y FROM range(90)"
    )
    first = one(
        spark,
        "TRAIN MODEL m FROM t LABEL y VALIDATE SPLIT 0.3 COMMENT 'it\\'s \\\\ mine' "
        "OPTIONS (optimizer = 'sgd', learning_rate = 3e-2, batch_size = 7, epochs = 4, promote = 'never', seed 9)",
    )
    spark.sql("ALTER MODEL m SET PROPERTIES (`team.a` = 'x y')")
    text = shown(spark, "m")
    assert text.startswith(
        f"TRAIN MODEL {database}.m\n  FROM {database}.t\n  FEATURES (`the x`)\n  LABEL y\n  USING linear\n"
    )
    assert "\n  VALIDATE SPLIT 0.3 SEED 9\n  COMMENT 'it\\'s \\\\ mine'\n  OPTIONS (\n    batch_size = 7,\n" in text
    assert text.endswith("\n  PROPERTIES (\n    'team.a' = 'x y')")
    assert "promote" not in text
    spark.sql("USE default")  # the text does not depend on the current database
    try:
        again = one(spark, text)
    finally:
        spark.sql(f"USE {database}")
    assert (again.model, again.version, again.rows_trained) == (f"{database}.m", 2, first.rows_trained)
    assert again.val_loss == pytest.approx(first.val_loss, abs=1e-6)
    assert (again.metric_value, again.epochs) == (first.metric_value, first.epochs)
    assert shown(spark, "m VERSION 2") == text
    versions = spark.sql("SHOW MODEL VERSIONS m").collect()
    assert len({v.validated_on.replace(f"{database}.", "") for v in versions}) == 1


def test_columns_weights_and_groups(spark: SparkSession, database: str) -> None:
    """Columns that were chosen by rule are listed; JSON and a group are preserved."""
    spark.sql("CREATE TABLE t AS SELECT id % 5 AS grp, sin(id) AS a, cos(id) * 1e3 AS b, id % 2 AS y FROM range(60)")
    first = one(
        spark,
        "TRAIN MODEL m FROM t LABEL y USING mlp VALIDATE SPLIT 0.2 TEST 0.2 GROUP grp "
        "OPTIONS (hidden = '4', epochs = 3, class_weights = '{\"0\": 2.0, \"1\": 1}', metric = 'f1_score')",
    )
    text = shown(spark, "m")
    for part in ("FEATURES (a, b)", "USING mlp", "SPLIT 0.2 TEST 0.2 GROUP grp SEED 42", "hidden = '4'", "f1_score"):
        assert part in text
    again = one(spark, text)
    for column in ("rows_trained", "rows_validated", "rows_tested", "metric_name"):
        assert again[column] == first[column], column
    assert again.val_loss == pytest.approx(first.val_loss, abs=1e-6)
    described = {r.col_name: (r.data_type, r.comment) for r in spark.sql("DESCRIBE MODEL EXTENDED m").collect()}
    assert [described[c][0] for c in ("a", "b")] == ["double", "double"]
    assert described["(1) Linear"] == ("(2 -> 4)", "12 trained parameters")
    assert described["(2) ReLU"] == ("", "")
    assert "bytes" in described[f"Table {database}.t"][1]


@pytest.mark.slow
def test_with_dropout_the_mean_of_five_runs_is_the_same(spark: SparkSession, database: str) -> None:
    spark.sql(
        "CREATE TABLE t AS SELECT array(u, v, u * v) AS x, IF(u * u + v * v + 0.4 * w > 1.4, 'out', 'in') AS y FROM "
        "(SELECT randn(1) AS u, randn(2) AS v, randn(3) AS w FROM range(0, 1600, 1, 1))"
    )
    written = (
        "TRAIN MODEL m FROM t LABEL y USING mlp VALIDATE SPLIT 0.5 "
        "OPTIONS (hidden = '32', dropout = 0.2, epochs = 8, batch_size = 32, early_stop = false, learning_rate = 0.02)"
    )
    first = [one(spark, written).metric_value for _ in range(5)]
    text = shown(spark, "m")
    assert "dropout = 0.2" in text and "hidden = '32'" in text
    again = [one(spark, text).metric_value for _ in range(5)]
    print(f"\nwith dropout, accuracies as written {first}, by SHOW CREATE MODEL's text {again}")
    assert sum(again) / 5 == pytest.approx(sum(first) / 5, abs=0.015)
    assert min(first) > 0.75  # the more frequent class is half of the rows


@pytest.mark.slow
def test_max_runtime_warm_start_comments_and_properties(spark: SparkSession, database: str) -> None:
    """The text has the epoch that was published, the version of warm_start, and the version's own comment and properties."""
    spark.sql("CREATE TABLE t AS SELECT array(rand(1), rand(2)) AS x, CAST(rand(5) > 0.5 AS INT) AS y FROM range(60)")
    spark.sql("TRAIN MODEL start FROM t LABEL y OPTIONS (epochs = 1)")
    row = one(
        spark,
        "TRAIN MODEL m FROM t LABEL y COMMENT 'first' PROPERTIES (release = 1.10) OPTIONS (warm_start = 'start', "
        "max_runtime = '1h', early_stop = true, learning_rate = 0.3)",
    )
    spark.sql("TRAIN MODEL start FROM t LABEL y OPTIONS (epochs = 2)")
    spark.sql("TRAIN MODEL m FROM t LABEL y COMMENT 'second' PROPERTIES (release = 007) OPTIONS (epochs = 1)")
    text = shown(spark, "m VERSION 1")
    assert row.best_epoch < row.epochs and f"    epochs = {row.best_epoch},\n" in text
    assert f"    warm_start = '{database}.start@1')" in text
    again = one(spark, text)
    assert (again.val_loss, again.epochs) == (pytest.approx(row.val_loss, abs=1e-6), row.best_epoch)
    described = {r.col_name: r.data_type for r in spark.sql("DESCRIBE MODEL EXTENDED m VERSION 2").collect()}
    titles = ("Comment", "Properties", "Version Comment", "Version Properties")
    assert [described[title] for title in titles] == ["first", "release = 1.10", "second", "release = 007"]
    text = shown(spark, "m VERSION 2")
    assert "\n  COMMENT 'second'\n" in text and "'007'" in text


@pytest.mark.slow
def test_a_regression(spark: SparkSession, database: str) -> None:
    spark.sql("CREATE TABLE t AS SELECT sin(id) AS a, id * 1.0D AS b, 2e5 + 1e3 * sin(id) AS price FROM range(40)")
    first = one(spark, "TRAIN MODEL m FROM t TARGET price VALIDATE NONE OPTIONS (epochs = 2)")
    text = shown(spark, "m")
    assert "\n  TARGET price\n" in text
    assert "\n  VALIDATE NONE\n" in text
    assert one(spark, text).loss == pytest.approx(first.loss, rel=1e-6)
    rows = [(r.col_name, r.data_type) for r in spark.sql("DESCRIBE MODEL m").collect()]
    assert rows == [("a", "double"), ("b", "double"), ("", ""), ("# Output", ""), ("value", "double")]


@pytest.mark.slow
def test_a_query_and_a_renamed_backbone(spark: SparkSession, database: str, shop: str) -> None:
    spark.sql("IMPORT MODEL bb FROM 'sqlext:small' FORMAT ONNX")
    first = one(
        spark,
        "CREATE MODEL m FEATURES features LABEL species BACKBONE bb VALIDATE FROM (SELECT * FROM shop.emb WHERE NOT train) "
        "OPTIONS (epochs = 2) AS SELECT * FROM shop.emb WHERE train",
    )
    spark.sql("ALTER MODEL bb RENAME TO other")
    text = shown(spark, "m VERSION 1")
    assert text.startswith(
        f"-- unqualified names in the query belong to database {database}\nTRAIN MODEL {database}.m\n"
    )
    assert f"\n  BACKBONE {database}.other VERSION 1\n" in text
    again = one(spark, text)
    assert (again.version, again.rows_validated) == (2, first.rows_validated)
    assert again.val_loss == pytest.approx(first.val_loss, abs=1e-6)


def test_an_imported_model(spark: SparkSession, database: str) -> None:
    sql = "IMPORT MODEL bb FROM 'sqlext:small' FORMAT ONNX COMMENT 'tried out' OPTIONS (resize = 'squash:70')"
    spark.sql(sql)
    version = one(spark, "SHOW MODEL VERSIONS bb")
    assert (version.statement, version.comment, version.rows_trained) == (sql, "tried out", None)
    assert spark.sql("SHOW TRAINING HISTORY MODEL bb").collect() == []
    text = shown(spark, "bb")
    assert text.startswith(
        f"IMPORT MODEL {database}.bb\n  FROM 'sqlext:small'\n  FORMAT ONNX\n  COMMENT 'tried out'\n  OPTIONS (\n"
    )
    again = one(spark, text)
    assert (again.status, again.version) == ("EXISTS", 1)  # the same content and options
    entry = ModelCatalog(spark).get(ModelName(database, "bb"))
    other = one(spark, text.replace(f"{database}.bb", "copy"))
    copy = ModelCatalog(spark).get(ModelName(database, "copy"))
    assert (other.status, copy.default.parameters["sqlext.content"]) == (
        "IMPORTED",
        entry.default.parameters["sqlext.content"],
    )


def test_errors(spark: SparkSession, database: str) -> None:
    with pytest.raises(AnalysisException, match=r"MODEL_NOT_FOUND.*line 1 pos 18"):
        spark.sql("SHOW CREATE MODEL nobody")
    spark.sql("CREATE TABLE model (a INT)")
    assert spark.sql("SHOW CREATE TABLE model").columns == ["createtab_stmt"]
