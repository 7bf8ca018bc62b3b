"""Models while another catalog is current, tables of another catalog as sources, and a catalog that cannot load."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from tests.support.results import one

JDBC = {
    "": "org.apache.spark.sql.execution.datasources.v2.jdbc.JDBCTableCatalog",
    ".url": "jdbc:derby:memory:other;create=true",
    ".driver": "org.apache.derby.jdbc.EmbeddedDriver",
}


@pytest.fixture(scope="module")
def other(spark: SparkSession) -> Iterator[SparkSession]:
    """Catalog `other` with the table S.t, and the model default.far that was trained on it."""
    for key, value in JDBC.items():
        spark.conf.set(f"spark.sql.catalog.other{key}", value)
    spark.conf.set("spark.sql.catalog.broken", "nosuch.Catalog")
    spark.sql("CREATE NAMESPACE other.S")
    spark.sql("CREATE TABLE other.S.t (x DOUBLE, y INT)")
    spark.sql("INSERT INTO other.S.t SELECT double(id), int(id % 2) FROM range(40)")
    spark.sql("TRAIN MODEL default.far FROM other.S.t FEATURES (x) LABEL y OPTIONS (epochs = 1)")
    yield spark
    spark.sql("USE spark_catalog.default")
    for model in ("far", "near"):
        spark.sql(f"DROP MODEL IF EXISTS default.{model}")


@pytest.fixture
def current(other: SparkSession) -> Iterator[SparkSession]:
    other.sql("USE other.S")
    yield other
    other.sql("USE spark_catalog.default")


@pytest.mark.parametrize("model", ["far", "default.far", "spark_catalog.default.far"])
def test_models_are_found_whatever_is_current(current: SparkSession, model: str) -> None:
    assert current.sql(f"SELECT classify('{model}', x) c FROM t").count() == 40
    assert one(current, f"EVALUATE MODEL {model} FROM t").rows_evaluated == 40
    assert current.sql(f"DESCRIBE MODEL {model}").count() > 1
    assert current.sql(f"SELECT * FROM sqlext_held_out('{model}')").count() > 0


def test_statements_while_another_catalog_is_current(current: SparkSession) -> None:
    assert "far" in [row.model for row in current.sql("SHOW MODELS").collect()]
    assert "far" in [row.model for row in current.sql("SHOW MODELS IN spark_catalog.default").collect()]
    assert one(current, "TRAIN MODEL near FROM t FEATURES (x) LABEL y OPTIONS (epochs = 1)").model == "default.near"
    assert one(current, "TRAIN MODEL near OPTIONS (epochs = 2)").version == 2
    assert "FROM `other`.`S`.t" in one(current, "SHOW CREATE MODEL near")[0]
    run = one(current, "TRAIN MODEL near FROM t FEATURES (x) LABEL y OPTIONS (epochs = 1, async = true)").run_id
    wait_for(current, run)
    current.sql("ALTER MODEL near RENAME TO nearer")
    current.sql("COMMENT ON MODEL nearer IS 'close'")
    current.sql("DROP MODEL nearer")


def test_a_training_is_repeated_where_its_source_was(other: SparkSession, current: SparkSession) -> None:
    """Unqualified names in the recorded statement belong to the catalog that was current then, not to today's."""
    assert one(current, "TRAIN MODEL near FROM t FEATURES (x) LABEL y OPTIONS (epochs = 1)").rows_trained > 0
    other.sql("USE spark_catalog.default")
    assert one(other, "TRAIN MODEL near").model == "default.near"


def test_a_catalog_that_cannot_load(other: SparkSession) -> None:
    for sql in ("TRAIN MODEL n FROM broken.d.t LABEL y", "EVALUATE MODEL default.far FROM broken.d.t"):
        with pytest.raises(AnalysisException) as caught:
            other.sql(sql).collect()
        assert caught.value.getErrorClass() == "SOURCE_NOT_FOUND"
        assert (
            "broken.d.t cannot be read: Cannot find catalog plugin class for catalog 'broken': nosuch.Catalog"
            in str(caught.value)
        )
        assert "Exception" not in str(caught.value)


def wait_for(spark: SparkSession, run: str) -> None:
    import time

    for _ in range(600):
        row = spark.sql("SHOW TRAINING RUNS").where(f"run_id = '{run}'").first()
        if row is not None and row.status not in ("RUNNING", "QUEUED"):
            assert row.status == "READY", row.error
            return
        time.sleep(0.1)
    raise AssertionError("the training did not end")
