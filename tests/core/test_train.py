"""TRAIN MODEL end to end: result columns, history, split, promotion, skipped rows, reproducibility."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from sqlext.catalog import ModelCatalog, ModelRef
from sqlext.networks.head import Head, softmax
from sqlext.statements.train_model import TrainModel
from tests.support.results import one


def test_result_row(spark: SparkSession, flowers: Row) -> None:
    assert tuple(flowers.asDict()) == tuple(TrainModel.OUTPUT)
    assert (flowers.model, flowers.version, flowers.status, flowers.task) == (
        "shop.flowers",
        1,
        "READY",
        "classification",
    )
    assert (flowers.rows_trained, flowers.rows_validated, flowers.rows_tested, flowers.rows_skipped) == (80, 40, 0, 0)
    assert (flowers.classes, flowers.batch_size, flowers.epochs, flowers.best_epoch) == (5, 16, 15, 15)
    assert flowers.metric_name == "accuracy"
    assert flowers.metric_value > 0.8
    assert flowers.baseline_value == pytest.approx(0.2)
    assert flowers.is_default
    assert f"accuracy {flowers.metric_value:.3f} on 40 rows" in flowers.message
    assert "trained on 1 executor" in flowers.message


def test_model_is_a_table_of_its_history(spark: SparkSession, flowers: Row) -> None:
    rows = spark.sql("SELECT * FROM shop.flowers WHERE version = 1 ORDER BY epoch").collect()
    assert [r.epoch for r in rows] == list(range(1, 16))
    assert rows[-1].loss == flowers.loss < rows[0].loss
    assert rows[-1].val_loss == flowers.val_loss
    assert {r.run_id for r in rows} == {flowers.run_id}
    assert rows[-1].metric_value == pytest.approx(flowers.metric_value)


def test_losses_are_those_of_the_published_weights(spark: SparkSession, flowers: Row) -> None:
    catalog = ModelCatalog(spark)
    version = catalog.resolve(ModelRef.parse("shop.flowers@1", "default"))
    labels = catalog.read_manifest(version)["labels"]
    head = Head.from_onnx(catalog.read_bytes(version, "head.onnx"))
    for train, expected in ((True, flowers.loss), (False, flowers.val_loss)):
        rows = spark.sql(f"SELECT species, features FROM shop.emb WHERE train = {train}").collect()
        scores = softmax(head.logits(np.array([r.features for r in rows], dtype=np.float32)))
        nll = -np.log(scores[np.arange(len(rows)), [labels.index(r.species) for r in rows]]).mean()
        assert nll == pytest.approx(expected, abs=1e-4)


def test_images_and_their_embeddings_train_the_same_head(spark: SparkSession, flowers: Row) -> None:
    row = one(
        spark,
        "TRAIN MODEL shop.from_emb FROM (SELECT species, features FROM shop.emb WHERE train) FEATURES (features) LABEL species "
        "BACKBONE models.small VALIDATE FROM (SELECT species, features FROM shop.emb WHERE NOT train) "
        "OPTIONS (epochs = 15, learning_rate = 0.01, batch_size = 16)",
    )
    assert row.metric_value == pytest.approx(flowers.metric_value, abs=0.026)
    both = spark.sql(
        "SELECT classify('shop.from_emb', image) AS a, classify('shop.from_emb', embed('models.small', image)) AS b FROM shop.holdout"
    ).collect()
    assert [r.a for r in both] == [r.b for r in both]


def test_same_seed_same_model(spark: SparkSession, shop: str) -> None:
    sql = "TRAIN MODEL shop.again FROM shop.emb FEATURES features LABEL species BACKBONE models.small OPTIONS (epochs = 3, seed = {})"
    first, second, other = (one(spark, sql.format(seed)) for seed in (5, 5, 6))
    assert first.val_loss == pytest.approx(second.val_loss, abs=1e-6)
    assert first.val_loss != pytest.approx(other.val_loss, abs=1e-6)
    assert (first.version, second.version, other.version) == (1, 2, 3)
    assert (first.rows_trained, first.rows_validated) == (95, 25)  # 24 per class; round(0.2 * 24) = 5 of each validate


def test_without_clauses_the_only_array_is_used_and_standardised(spark: SparkSession, database: str) -> None:
    spark.sql(
        "CREATE TABLE numbers AS SELECT array(1e5 * (id % 3) + id, 1.0D * (id % 7), 4.0D) AS x, id % 3 AS y FROM range(90)"
    )
    row = one(spark, "TRAIN MODEL m FROM numbers LABEL y")
    assert row.metric_value == 1.0
    assert row.classes == 3
    assert row.best_epoch <= row.epochs <= 100  # early_stop is on without a backbone
    answer = one(spark, "SELECT classify('m', array(2e5, 1.0D, 4.0D)) a, classify('m', array(1.0D)) b")
    assert (answer.a, answer.b) == ("2", None)
    manifest = ModelCatalog(spark).read_manifest(ModelCatalog(spark).resolve(ModelRef.parse("m", database)))
    assert manifest["label_type"] == "bigint"


@pytest.mark.parametrize(
    ("label", "names"),
    [
        pytest.param("id % 2 = 0", ["false", "true"], marks=pytest.mark.slow),
        pytest.param("date'2024-01-09' + cast(id % 2 AS INT)", ["2024-01-09", "2024-01-10"], marks=pytest.mark.slow),
        ("9 + id % 2", ["9", "10"]),  # sorted as numbers, not as text
        pytest.param("cast(id % 2 AS DOUBLE)", ["0.0", "1.0"], marks=pytest.mark.slow),
    ],
)
def test_labels_of_any_type(spark: SparkSession, database: str, label: str, names: list[str]) -> None:
    spark.sql(f"CREATE TABLE t AS SELECT array(1.0D * (id % 2), 1e-3 * id) AS x, {label} AS y FROM range(40)")
    row = one(spark, "TRAIN MODEL m FROM t LABEL y OPTIONS (epochs = 100, learning_rate = 0.1, early_stop = false)")
    assert row.metric_value == 1.0
    manifest = ModelCatalog(spark).read_manifest(ModelCatalog(spark).resolve(ModelRef.parse("m", database)))
    assert manifest["labels"] == names


def test_bad_rows_are_skipped_counted_and_listed(spark: SparkSession, database: str, shop: str) -> None:
    spark.sql(
        "CREATE TABLE mixed STORED AS PARQUET AS SELECT image, species FROM shop.images "
        "UNION ALL SELECT CAST('no picture' AS BINARY), 'daisy' UNION ALL SELECT CAST(NULL AS BINARY), 'daisy' "
        "UNION ALL SELECT substring(image, 1, 900), 'daisy' FROM shop.images WHERE id = 'daisy_000.jpg' "
        "UNION ALL SELECT image, NULL FROM shop.images WHERE id = 'daisy_000.jpg'"
    )
    row = one(spark, "TRAIN MODEL m FROM mixed LABEL species BACKBONE models.small OPTIONS (epochs = 2)")
    assert (row.rows_skipped, row.rows_trained + row.rows_validated) == (4, 80)
    query = row.message[row.message.index("SELECT") :]
    assert len(spark.sql(query).collect()) == 4
    with pytest.raises(AnalysisException, match="TOO_MANY_BAD_ROWS.*4 of 84 rows.*SELECT.*line 1 pos 19") as caught:
        spark.sql("TRAIN MODEL m FROM mixed LABEL species BACKBONE models.small OPTIONS (max_bad_fraction = 0.01)")
    assert "image_error" in str(caught.value)
    with pytest.raises(AnalysisException, match="TOO_MANY_BAD_ROWS"):
        spark.sql("TRAIN MODEL m FROM mixed LABEL species BACKBONE models.small OPTIONS (on_bad_row = 'fail')")
    entry = ModelCatalog(spark).get(ModelRef.parse("m", database).name)
    assert [v.version for v in entry.versions] == [1]


def test_the_select_of_skipped_rows_lists_them_all(spark: SparkSession, database: str) -> None:
    """Features of other lengths, infinite values, NaN labels, vectors, rows of VALIDATE FROM, a column name in quotes."""
    from pyspark.ml.linalg import Vectors

    good = "SELECT array(1.0D * (id % 2), 1e-3 * id) AS `the x`, 1.0D * (id % 2) AS y, id FROM range(40)"
    odd = ("array(1D)", "array(1D, double('inf'))", "array(1D, NULL)", "array()", "NULL")
    bad = " UNION ALL ".join(f"SELECT CAST({x} AS ARRAY<DOUBLE>), 1D, -1L" for x in odd)
    spark.sql(f"CREATE TABLE t AS {good} UNION ALL {bad} UNION ALL SELECT array(1D, 1D), double('NaN'), -2L")
    train = "TRAIN MODEL m FROM t FEATURES (`the x`) LABEL y OPTIONS (epochs = 1, max_bad_fraction = 0.2)"
    row = one(spark, f"{train} TUNE (learning_rate IN (0.1, 0.2))")
    assert (row.rows_skipped, row.classes) == (6, 2)
    assert spark.sql(row.message[row.message.index("SELECT") :]).count() == 6
    row = one(spark, f"{train} VALIDATE FROM (SELECT `the x`, y FROM t)")
    assert row.rows_skipped == spark.sql(row.message[row.message.index("SELECT") :]).count() == 12
    wrong = [Vectors.dense(1.0), Vectors.sparse(3, [0], [1.0]), Vectors.sparse(2, [1], [float("nan")]), None]
    vectors = [(Vectors.dense(1.0 * (i % 2), 0.5), i % 2) for i in range(40)] + [(v, 1) for v in wrong]
    spark.createDataFrame(vectors, ["v", "y"]).createOrReplaceTempView("vectors")
    row = one(spark, "TRAIN MODEL v FROM vectors LABEL y OPTIONS (epochs = 1, max_bad_fraction = 0.2)")
    assert row.rows_skipped == spark.sql(row.message[row.message.index("SELECT") :]).count() == 4


@pytest.mark.slow
def test_large_numbers_are_listed_only_if_they_are_skipped(spark: SparkSession, database: str) -> None:
    """Any finite DOUBLE can be a class or a feature that is scaled."""
    spark.sql(
        "CREATE TABLE t AS SELECT id, id % 2 AS x, 3.4028235e38D * (id % 2) AS z, IF(id % 2 = 0, 1e39D, 2D) AS y FROM range(40) "
        "UNION ALL SELECT -1, 1, 1D, double('inf') UNION ALL SELECT -2, 1, -1e39D, 2D UNION ALL SELECT -3, 1, 3.41e38D, 2D"
    )
    for features in ("(x, z)", "(a)"):
        row = one(
            spark,
            f"TRAIN MODEL m FROM (SELECT *, array(x, z) AS a FROM t) FEATURES {features} LABEL y OPTIONS (epochs = 1)",
        )
        assert (row.classes, row.rows_trained + row.rows_validated, row.rows_skipped) == (2, 42, 1)
        listed = spark.sql(row.message[row.message.index("SELECT") :]).collect()
        assert {r.id for r in listed} == {-1}


def test_versions_promotion_and_replacement(spark: SparkSession, database: str) -> None:
    spark.sql("CREATE TABLE t AS SELECT array(1.0D * (id % 2), 1e-3 * id) AS x, id % 2 AS y FROM range(40)")
    train = "TRAIN MODEL m FROM t LABEL y OPTIONS (epochs = 2, early_stop = false{})"
    assert one(spark, train.format("")).is_default
    second = one(spark, train.format(", promote = 'never'"))
    assert not second.is_default
    assert "default stays 1: promote = 'never'" in second.message
    assert one(
        spark, "SELECT predict('m', array(1.0, 0.5)).version v, predict('m@2', array(1.0, 0.5)).version w"
    ) == Row(v=1, w=2)
    exists = one(spark, "TRAIN MODEL IF NOT EXISTS m FROM t LABEL y")
    assert (exists.status, exists.version) == ("EXISTS", 1)
    replaced = one(spark, "TRAIN OR REPLACE MODEL m FROM t LABEL y OPTIONS (epochs = 2)")
    assert (replaced.version, replaced.is_default) == (3, True)
    assert [r.version for r in spark.sql("SELECT DISTINCT version FROM m").collect()] == [3]
    better = one(
        spark, train.format(", promote = 'if_better', metric = 'log_loss', learning_rate = 0.3, batch_size = 500")
    )
    assert (better.version, better.is_default, better.batch_size) == (4, True, 32)
    assert better.message.startswith("is now the default: version 3 scores ")
    assert "batch_size lowered from 500 to 32, the number of training rows" in better.message
    (run,) = (r for r in spark.sql("SHOW TRAINING RUNS FOR MODEL m").collect() if r.version == 4)
    assert (run.metric_name, run.metric_value) == ("log_loss", better.metric_value)
    spark.sql("ALTER MODEL m SET ALIAS prod = 3")
    spark.sql("ALTER MODEL m SET DEFAULT VERSION 4")
    assert one(spark, train.format("")).message.startswith("default stays 4: pinned (ALTER MODEL")
    assert one(spark, "TRAIN OR REPLACE MODEL m FROM t LABEL y OPTIONS (epochs = 1)").version == 6
    assert [r.version for r in spark.sql("SHOW MODEL VERSIONS m").collect()] == [6, 4, 3]
    described = spark.sql("DESCRIBE MODEL m ALIAS Prod").collect()
    assert described == spark.sql("DESCRIBE MODEL m VERSION 3").collect()
    assert one(spark, "EVALUATE MODEL m ALIAS LATEST").version == 6
    assert one(spark, "EVALUATE MODEL m ALIAS DEFAULT").version == 4


def test_validate_none_and_split_above_half(spark: SparkSession, database: str) -> None:
    spark.sql("CREATE TABLE t AS SELECT array(1.0D * (id % 2), 1.0D * id) AS x, id % 2 AS y FROM range(40)")
    row = one(spark, "TRAIN MODEL m FROM t LABEL y VALIDATE NONE OPTIONS (epochs = 2)")
    assert (row.rows_trained, row.rows_validated, row.val_loss, row.metric_value, row.baseline_value) == (
        40,
        0,
        None,
        None,
        None,
    )
    with pytest.raises(AnalysisException, match="NO_HELD_OUT_ROWS"):
        spark.sql("EVALUATE MODEL m")
    with pytest.raises(AnalysisException, match="early_stop"):
        spark.sql("TRAIN MODEL m FROM t LABEL y VALIDATE NONE OPTIONS (early_stop = true)")
    row = one(spark, "TRAIN MODEL n FROM t LABEL y VALIDATE SPLIT 0.75 OPTIONS (epochs = 2)")
    assert (row.rows_trained, row.rows_validated) == (10, 30)
    assert "only 0.25 of the rows trained" in row.message


def test_early_stop_publishes_the_best_epoch(spark: SparkSession, database: str) -> None:
    spark.sql(
        "CREATE TABLE t AS SELECT array(rand(1), rand(2), rand(3), rand(4)) AS x, CAST(rand(5) > 0.5 AS INT) AS y FROM range(60)"
    )
    row = one(spark, "TRAIN MODEL m FROM t LABEL y OPTIONS (epochs = 200, learning_rate = 0.3, early_stop = true)")
    history = spark.sql("SELECT epoch, loss, val_loss FROM m ORDER BY epoch").collect()
    best = min(history, key=lambda r: r.val_loss)
    assert (row.best_epoch, row.val_loss, row.loss) == (best.epoch, best.val_loss, best.loss)
    assert row.epochs == row.best_epoch + 3 < 200


def test_a_run_is_recorded(spark: SparkSession, flowers: Row) -> None:
    from sqlext.catalog import RunStore

    run = RunStore(spark).find(flowers.run_id)
    assert (run.status, run.version, run.epoch, run.epochs) == ("READY", 1, 15, 15)
    assert json.loads(run.options or "{}")["batch_size"] == 16
    assert len(run.history) == 15


@pytest.mark.slow
def test_partitioned_table_orc_view_and_files(
    spark: SparkSession, database: str, shop: str, flower_files: object
) -> None:
    spark.sql("CREATE TABLE parts (image BINARY) PARTITIONED BY (species STRING) STORED AS PARQUET")
    spark.sql("SET hive.exec.dynamic.partition.mode=nonstrict")
    spark.sql("INSERT INTO parts PARTITION (species) SELECT image, species FROM shop.images")
    spark.sql("CREATE TABLE orc_table STORED AS ORC AS SELECT image, species FROM shop.images")
    spark.sql("CREATE VIEW a_view AS SELECT image, species FROM shop.images")
    query = f"(SELECT content AS image, element_at(split(path, '/'), -2) AS species FROM binaryFile.`{flower_files}/train/*`)"
    values = set()
    for source in ("parts", "orc_table", "a_view", query):
        row = one(spark, f"TRAIN MODEL m FROM {source} LABEL species BACKBONE models.small OPTIONS (epochs = 3)")
        assert row.rows_trained == 65
        values.add(round(row.val_loss, 5))
    assert len(values) == 1  # the same rows give the same split and model from any kind of source
    count = one(spark, f"SELECT count(classify('m', content)) AS n FROM binaryFile.`{flower_files}/val/*`")
    assert count.n == 40
