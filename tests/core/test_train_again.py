"""TRAIN MODEL m without FROM: repeats the statement of the default version."""

from __future__ import annotations

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from sqlext.catalog import ModelCatalog, ModelRef
from tests.support.results import one


def test_training_without_from_repeats_the_statement(spark: SparkSession, database: str) -> None:
    spark.sql("CREATE TABLE t AS SELECT array(1.0D * (id % 2), 1e-3 * id) AS x, id % 2 AS y FROM range(40)")
    made = one(
        spark,
        "CREATE MODEL m LABEL y COMMENT 'made' OPTIONS (epochs = 2, early_stop = false) AS SELECT * FROM t -- all of it",
    )
    spark.sql("USE default")  # `t` means the table of the database in which the statement was written
    spark.sql("INSERT INTO " + database + ".t SELECT array(0.0D, 5e-3), 0 FROM range(2)")
    more = one(spark, f"TRAIN MODEL {database}.m")
    assert (more.version, more.status, more.epochs, more.rows_trained) == (2, "READY", 2, made.rows_trained + 2)
    text = one(spark, f"EXPLAIN TRAIN MODEL {database}.m OPTIONS (epochs = 3)").plan
    assert "epochs = 3" in text
    assert "(SELECT * FROM t)" in text
    third = one(spark, f"TRAIN MODEL {database}.m OPTIONS (epochs = 3, promote = 'never') COMMENT 'third'")
    assert (third.version, third.epochs, third.is_default) == (3, 3, False)
    fourth = one(spark, f"TRAIN OR REPLACE MODEL {database}.m")
    assert (fourth.version, fourth.epochs, fourth.is_default) == (4, 2, True)  # like version 2, which was the default
    assert fourth.val_loss == pytest.approx(more.val_loss, abs=1e-6)
    assert one(spark, f"TRAIN MODEL IF NOT EXISTS {database}.m").status == "EXISTS"
    catalog = ModelCatalog(spark)
    manifest = catalog.read_manifest(catalog.resolve(ModelRef.parse(f"{database}.m", "default")))
    assert "FROM (SELECT * FROM t)" in manifest["statement"]
    assert spark.catalog.currentDatabase() == "default"


def assert_shows_what_created(spark: SparkSession, model: str, error: AnalysisException) -> None:
    """The message contains the text of SHOW CREATE MODEL, which has every clause."""
    text = one(spark, f"SHOW CREATE MODEL {model}").createmodel_stmt
    assert "\n  OPTIONS (\n" in text
    assert f"SHOW CREATE MODEL:\n{text}" in str(error)


@pytest.mark.slow
def test_what_cannot_be_trained_again_shows_its_statement(spark: SparkSession, database: str, shop: str) -> None:
    spark.sql("CREATE TEMP VIEW passing AS SELECT array(1.0D * (id % 2), 1e-3 * id) AS x, id % 2 AS y FROM range(40)")
    train = "TRAIN MODEL m FROM passing LABEL y OPTIONS (epochs = 1)"
    spark.sql(train)
    assert one(spark, "TRAIN MODEL m").version == 2  # the clone of the session has its views
    spark.sql("DROP VIEW passing")
    for sql in ("TRAIN MODEL m", "EXPLAIN TRAIN MODEL m"):
        with pytest.raises(AnalysisException, match=r"SOURCE_NOT_FOUND.*passing") as caught:
            spark.sql(sql)
        assert_shows_what_created(spark, "m", caught.value)
    with pytest.raises(AnalysisException, match="CANNOT_TRAIN_AGAIN.*but not LABEL") as caught:
        spark.sql("TRAIN MODEL m LABEL y")
    assert "line 1 pos 14" in str(caught.value)
    assert_shows_what_created(spark, "m", caught.value)
    with pytest.raises(AnalysisException, match="CANNOT_TRAIN_AGAIN.*imported") as caught:
        spark.sql("TRAIN MODEL models.small")
    assert_shows_what_created(spark, "models.small", caught.value)
    with pytest.raises(AnalysisException, match="MODEL_NOT_FOUND.*a new model needs FROM"):
        spark.sql("TRAIN MODEL nothing OPTIONS (epochs = 1)")
