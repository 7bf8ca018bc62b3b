"""EVALUATE, SHOW, DESCRIBE and DROP on models that TRAIN and IMPORT made."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from sqlext.catalog import ModelCatalog
from sqlext.statements.evaluate_model import EvaluateModel
from sqlext.statements.show_models import ShowModels
from tests.support.results import one


def test_evaluate_equals_the_query(spark: SparkSession, flowers: Row) -> None:
    row = one(spark, "EVALUATE MODEL shop.flowers FROM shop.holdout")
    assert tuple(row.asDict()) == tuple(EvaluateModel.OUTPUT)
    average = one(spark, "SELECT avg(if(classify('shop.flowers', image) = species, 1, 0)) AS a FROM shop.holdout").a
    assert row.accuracy == pytest.approx(average, abs=1e-12)
    assert (row.model, row.version, row.source, row.split) == ("shop.flowers", 1, "shop.holdout", "given")
    assert (row.rows_evaluated, row.rows_skipped, row.rows_unknown_label) == (40, 0, 0)
    assert row.baseline_value == pytest.approx(0.2)
    assert row.log_loss == pytest.approx(flowers.val_loss, abs=0.05)
    assert 0.8 < row.roc_auc <= 1
    assert (row.top_5_accuracy, row.rmse, row.mae, row.r2) == (None, None, None, None)


def test_evaluate_without_from_needs_no_source(spark: SparkSession, database: str) -> None:
    spark.sql("CREATE TABLE t AS SELECT array(1.0D * (id % 2), 1e-3 * id) AS x, id % 2 AS y FROM range(40)")
    trained = one(spark, "TRAIN MODEL m FROM t LABEL y OPTIONS (epochs = 5)")
    spark.sql("DROP TABLE t")
    row = one(spark, "EVALUATE MODEL m")
    assert (row.split, row.rows_evaluated, row.accuracy) == ("validation", 8, trained.metric_value)
    assert row.log_loss == pytest.approx(trained.val_loss, abs=1e-6)


def test_evaluate_counts_unknown_labels_and_skipped_rows(spark: SparkSession, flowers: Row) -> None:
    source = (
        "(SELECT image, species FROM shop.holdout UNION ALL SELECT image, 'orchid' FROM shop.holdout WHERE species = 'daisy' "
        "UNION ALL SELECT CAST('x' AS BINARY), 'daisy' UNION ALL SELECT image, NULL FROM shop.holdout WHERE species = 'daisy')"
    )
    row = one(spark, f"EVALUATE MODEL shop.flowers FROM {source}")
    assert (row.rows_evaluated, row.rows_unknown_label, row.rows_skipped) == (48, 8, 9)


def test_show_models(spark: SparkSession, flowers: Row) -> None:
    rows = spark.sql("SHOW MODELS IN shop LIKE 'flow*'").collect()
    assert tuple(rows[0].asDict()) == tuple(ShowModels.OUTPUT)
    row = rows[0]
    assert (row.namespace, row.model, row.version, row.versions, row.kind) == ("shop", "flowers", 1, 1, "classifier")
    assert (row.backbone, row.label_column, row.metric_name) == ("models.small@1", "species", "accuracy")
    assert (row.metric_value, row.comment, row.latest_version, row.is_pinned) == (
        flowers.metric_value,
        "flowers of the shop",
        1,
        False,
    )
    assert [r.model for r in spark.sql("SHOW MODELS IN models 'sm%'").collect()] == ["small"]
    assert spark.sql("SHOW MODELS IN default").collect() == []
    with pytest.raises(AnalysisException, match="DATABASE_NOT_FOUND"):
        spark.sql("SHOW MODELS IN nowhere")


def test_describe_model(spark: SparkSession, flowers: Row) -> None:
    short = spark.sql("DESCRIBE MODEL shop.flowers").collect()
    assert short[0].col_name == "image"
    assert "3x64x64" in short[0].comment
    assert [r.col_name for r in short[1:]] == ["", "# Output", "label", "score"]
    extended = {
        r.col_name: (r.data_type, r.comment) for r in spark.sql("DESC MODEL EXTENDED shop.flowers VERSION 1").collect()
    }
    assert extended["daisy"] == ("16 training rows", "8 held-out rows")
    details = {name: value for name, (value, _) in extended.items()}
    assert details["Backbone"] == "models.small@1"
    assert details["Source"] == "shop.images"
    assert extended["(1) models.small@1"] == ("(3x64x64 -> 160)", "frozen")
    assert extended["(2) Linear"] == ("(160 -> 5)", "805 trained parameters")
    assert extended["(3) LogSoftMax"] == ("", "")
    assert (details["Is Default"], details["Rows Trained"], details["Rows Validated"]) == ("true", "80", "40")
    assert [name for name in extended if name.startswith("#")] == [
        "# Output",
        "# Classes",
        "# Layers",
        "# Detailed Model Information",
    ]
    assert "Linear(160 -> 5)" in details["Layers"]
    assert "epochs = 15" in details["Options"]
    assert details["Reproducible"] == "true"
    assert len(extended["File head.onnx"][1]) == len("sha256 ") + 64
    backbone = {r.col_name: r.data_type for r in spark.sql("DESCRIBE MODEL EXTENDED models.small").collect()}
    assert "Conv" in backbone["Network"]
    assert "openvino" in backbone["Engines"]


def test_describe_table_called_model_stays_sparks(spark: SparkSession, database: str) -> None:
    spark.sql("CREATE TABLE model (a INT)")
    assert spark.sql("DESCRIBE MODEL").collect()[0].col_name == "a"
    assert spark.sql("DESCRIBE TABLE model").collect()[0].col_name == "a"


def test_drop(spark: SparkSession, database: str, shop: str) -> None:
    spark.sql("IMPORT MODEL bb FROM 'sqlext:small' FORMAT ONNX")
    train = "TRAIN MODEL m FROM shop.emb FEATURES features LABEL species BACKBONE bb OPTIONS (epochs = 1)"
    spark.sql(train)
    spark.sql(train)
    with pytest.raises(AnalysisException, match=f"BACKBONE_IN_USE.*{database}.m"):
        spark.sql("DROP MODEL bb")
    with pytest.raises(AnalysisException, match="DEFAULT_VERSION_DROP"):
        spark.sql("DROP MODEL m VERSION 2")
    row = one(spark, "DROP MODEL m VERSION 1")
    assert (row.model, row.version, row.status) == (f"{database}.m", 1, "DROPPED")
    assert row.size_bytes > 0
    row = one(spark, "DROP MODEL m")
    assert (row.version, row.status) == (None, "DROPPED")
    assert one(spark, "DROP MODEL bb").status == "DROPPED"
    assert one(spark, "DROP MODEL IF EXISTS bb").status == "NOT_FOUND"
    with pytest.raises(AnalysisException, match="MODEL_NOT_FOUND"):
        spark.sql("DROP MODEL bb")
    with pytest.raises(AnalysisException, match="NOT_A_MODEL"):
        spark.sql("DROP MODEL shop.images")
    assert ModelCatalog(spark).list(database) == []


def test_explain_and_plans_hide_nothing_and_run_nothing(spark: SparkSession, flowers: Row) -> None:
    text = one(spark, "EXPLAIN FORMATTED SELECT classify('shop.flowers', image) FROM shop.holdout")[0]
    assert "Scoring" in text
    assert "shop.flowers@1" in text
    assert (
        "TRAIN MODEL"
        in one(spark, "EXPLAIN TRAIN MODEL shop.never FROM shop.images LABEL species BACKBONE models.small")[0]
    )
    with pytest.raises(AnalysisException, match="MODEL_NOT_FOUND"):
        spark.sql("DESCRIBE MODEL shop.never")
