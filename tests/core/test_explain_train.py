"""EXPLAIN TRAIN MODEL and EXPLAIN CREATE MODEL: what would be trained, and planning errors with their positions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from tests.support.results import one

SECTIONS = ("Source", "Columns", "Classes", "Network", "Batch", "Memory", "Options")


@pytest.fixture(scope="module")
def db(spark: SparkSession) -> Iterator[str]:
    """Database `plans` with t (60 rows, three of them bad); it is not the current database."""
    spark.sql("CREATE DATABASE plans")
    spark.sql(
        "CREATE TABLE plans.t AS SELECT id, IF(id = 7, NULL, array(1.0D * (id % 2), 1e-3 * id)) AS x, "
        "IF(id < 2, NULL, id % 3) AS y FROM range(60)"
    )
    yield "plans"
    spark.sql("DROP DATABASE plans CASCADE")


def plan(spark: SparkSession, sql: str) -> str:
    row = one(spark, sql)
    assert list(row.asDict()) == ["plan"]
    return str(row.plan)


def section(text: str, title: str) -> dict[str, str]:
    """The keys and values of a section."""
    body = text.split(f"== {title} ==\n")[1].split("\n\n")[0]
    return {line.split("  ")[0].strip(): line.split("  ", 1)[1].strip() for line in body.splitlines()}


def jobs(spark: SparkSession, sql: str) -> int:
    """The number of Spark jobs that a statement runs."""
    context = spark.sparkContext
    context.setJobGroup("explained", "explained")
    spark.sql(sql).collect()
    context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
    return len(context.statusTracker().getJobIdsForGroup("explained"))


def test_the_short_form_says_what_would_happen_and_runs_no_job(spark: SparkSession, db: str) -> None:
    sql = f"EXPLAIN TRAIN MODEL {db}.m FROM {db}.t FEATURES x LABEL y OPTIONS (epochs = 7)"
    found = section(plan(spark, sql), "TRAIN MODEL")
    assert found["model"] == "plans.m: version 1 of a new model"
    assert (found["source"], found["features"], found["label"]) == ("plans.t", "x, standardised", "y")
    assert "epochs = 7, optimizer = adam, learning_rate = 0.01, early_stop = true" in found["options"]
    assert jobs(spark, sql) == 0


def test_formatted_adds_its_sections(spark: SparkSession, db: str) -> None:
    text = plan(
        spark, f"EXPLAIN FORMATTED TRAIN MODEL {db}.m FROM {db}.t LABEL y OPTIONS (epochs = 7, batch_size = 10)"
    )
    assert [line[3:-3] for line in text.splitlines() if line.startswith("==")] == ["TRAIN MODEL", *SECTIONS]
    assert section(text, "Source")["rows"] == "60"
    assert section(text, "Source")["unusable rows"] == "3 of the first 60: 2 x NULL label, 1 x no features"
    assert section(text, "Columns")["left out"] == "id"
    classes = section(text, "Classes")
    assert (classes["classes"], classes["0"], classes["1"], classes["2"]) == ("3", "19 rows", "19 rows", "20 rows")
    assert classes["NULL"] == "2 rows, skipped"
    network = section(text, "Network")
    assert network["Linear(2 -> 3)"] == "9 parameters, trainable"
    batch = section(text, "Batch")
    assert (batch["rows"], batch["batch_size"]) == ("about 46 train, 12 validate, 0 test", "10")
    assert batch["steps"] == "5 per epoch, at most 35 in 7 epochs"
    options = section(text, "Options")
    assert options["epochs"] == "7  (in OPTIONS; default auto)"
    assert (options["seed"], options["optimizer"], options["max_runtime"]) == ("42", "adam", "not set")
    assert spark.sql(f"SHOW MODELS IN {db}").count() == 0
    extended = plan(spark, f"EXPLAIN EXTENDED TRAIN MODEL {db}.m FROM {db}.t LABEL y")
    assert "== Memory ==" in extended


def test_columns_and_a_target(spark: SparkSession, db: str) -> None:
    source = "(SELECT id, cos(id) AS c, 2.0D * id AS z, 'x' AS note FROM range(50))"
    text = plan(
        spark,
        f"EXPLAIN FORMATTED TRAIN MODEL {db}.r FROM {source} FEATURES (id, c) TARGET z USING mlp OPTIONS (hidden = '4')",
    )
    assert section(text, "Target")["mean"] == "49"
    columns = section(text, "Columns")
    assert (columns["target"], columns["warning"]) == ("z double", "id maps one-to-one to the target z: is it a copy?")
    assert "note" in columns["left out"]
    network = section(text, "Network")
    assert (network["Linear(2 -> 4)"], network["Linear(4 -> 1)"]) == (
        "12 parameters, trainable",
        "5 parameters, trainable",
    )
    assert network["criterion"] == "mean squared error"


@pytest.mark.parametrize(("epochs", "pairs"), [(500, 100), (7, 7)])
def test_the_memory_of_lbfgs(spark: SparkSession, db: str, epochs: int, pairs: int) -> None:
    """BigDL stores two arrays of all weights for each of the last 100 steps, and three more; weight and gradient are two."""
    text = plan(
        spark,
        f"EXPLAIN FORMATTED TRAIN MODEL {db}.m FROM (SELECT sequence(1, 1000) AS x, id % 2 AS y FROM range(60)) LABEL y "
        f"USING mlp OPTIONS (hidden = '256', optimizer = 'lbfgs', epochs = {epochs})",
    )
    weights = 4 * (1001 * 256 + 257 * 2) * (2 * pairs + 3 + 2)
    assert section(text, "Memory")["training"].startswith(f"about {weights / 2**20:.0f} MB of heap")


def test_images_show_their_backbone_and_the_undecodable_rows(spark: SparkSession, shop: str) -> None:
    source = "(SELECT image, species FROM shop.images UNION ALL SELECT CAST('no' AS BINARY), 'daisy')"
    text = plan(spark, f"EXPLAIN FORMATTED TRAIN MODEL {shop}.m FROM {source} LABEL species BACKBONE models.small")
    assert section(text, "Source")["unusable rows"].startswith("1 of the first 81: 1 x ")
    network = section(text, "Network")
    assert network["backbone"].startswith("models.small@1: ")
    assert network["backbone"].endswith("parameters, frozen")
    assert network["Linear(160 -> 5)"] == "805 parameters, trainable"


@pytest.mark.parametrize(
    ("sql", "error", "at"),
    [
        ("EXPLAIN TRAIN MODEL m FROM plans.t LABEL z", "COLUMN_NOT_FOUND", "line 1 pos 41"),
        ("EXPLAIN FORMATTED TRAIN MODEL m\nFROM plans.tt LABEL y", "SOURCE_NOT_FOUND", "line 2 pos 5"),
        ("EXPLAIN TRAIN MODEL m FROM plans.t LABEL y BACKBONE no.such", "BACKBONE_NOT_FOUND", "line 1 pos 52"),
        ("EXPLAIN CREATE MODEL m LABEL z AS SELECT * FROM plans.t", "COLUMN_NOT_FOUND", "line 1 pos 29"),
    ],
)
def test_planning_errors_come_with_their_position(
    spark: SparkSession, shop: str, db: str, sql: str, error: str, at: str
) -> None:
    with pytest.raises(AnalysisException, match=error) as caught:
        spark.sql(sql)
    assert at in str(caught.value)


def test_existing_models(spark: SparkSession, db: str) -> None:
    create = f"CREATE MODEL {db}.made LABEL y OPTIONS (epochs = 1) AS SELECT x, y FROM {db}.t"
    row = one(spark, create)
    assert (row.model, row.version, row.status, row.rows_skipped) == ("plans.made", 1, "READY", 3)
    for sql in (create, f"EXPLAIN {create}"):
        with pytest.raises(AnalysisException, match=r"MODEL_ALREADY_EXISTS.*CREATE OR REPLACE MODEL"):
            spark.sql(sql)
    exists = one(spark, f"CREATE MODEL IF NOT EXISTS {db}.made LABEL y AS (SELECT x, y FROM {db}.t)")
    assert (exists.status, exists.version) == ("EXISTS", 1)
    text = plan(spark, f"EXPLAIN CREATE OR REPLACE MODEL {db}.made LABEL y AS SELECT x, y FROM {db}.t")
    assert section(text, "CREATE MODEL")["model"].startswith(
        "plans.made: a new version after 1; older versions are removed"
    )
    assert "version 1; nothing would be trained" in plan(
        spark, f"EXPLAIN TRAIN MODEL IF NOT EXISTS {db}.made FROM {db}.t LABEL y"
    )
    replaced = one(
        spark, f"CREATE OR REPLACE MODEL {db}.made LABEL y OPTIONS (epochs = 1) AS (SELECT x, y FROM {db}.t)"
    )
    assert replaced.version == 2
    assert [r.version for r in spark.sql(f"SELECT DISTINCT version FROM {db}.made").collect()] == [2]
