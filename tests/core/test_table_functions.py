"""Table functions: the columns of the SHOW statements, all databases, views, joins, and new rows for each query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from sqlext.catalog import ModelCatalog, ModelName, RunStore
from sqlext.server import make_views
from sqlext.udfs import TABLE_FUNCTIONS
from tests.support.catalog_models import publish
from tests.support.results import one


@pytest.fixture(scope="module")
def registers(spark: SparkSession) -> Iterator[SparkSession]:
    """Databases `here` and `there`, each with a model `m`; here.m has two versions, the second with held-out rows."""
    for database in ("here", "there"):
        spark.sql(f"CREATE DATABASE {database}")
        publish(ModelCatalog(spark), ModelName(database, "m"), metric_name="accuracy", metric_value="0.5")
    catalog = ModelCatalog(spark)
    with catalog.draft(ModelName("here", "m"), "classifier") as draft:
        held_out(draft.local)
        catalog.publish(draft, [], {"labels": ["ant", "bee"]})
    yield spark
    spark.sql("USE default")
    for database in ("here", "there"):
        spark.sql(f"DROP DATABASE {database} CASCADE")


def held_out(folder: Path) -> None:
    """Writes held-out rows as a training does, without the columns of a regression."""
    rows = {"split": ["validation", "test"], "row_hash": [2**60 + 1, -5], "label": ["ant", "bee"]}
    pd.DataFrame(
        {**rows, "predicted_label": ["bee", "bee"], "score": [0.7, 0.9], "scores": [[0.3, 0.7], [0.1, 0.9]]}
    ).to_parquet(folder / "held_out.parquet", index=False)


def test_columns_are_fixed(registers: SparkSession) -> None:
    for function in TABLE_FUNCTIONS:
        call = "sqlext_held_out('here.m')" if function.name == "sqlext_held_out" else f"{function.name}()"
        schema = registers.sql(f"SELECT * FROM {call} LIMIT 0").schema
        assert [(f.name, f.dataType.simpleString().upper()) for f in schema] == list(function.OUTPUT.items())


def test_models_of_every_database(registers: SparkSession) -> None:
    rows = registers.sql("SELECT * FROM sqlext_models() WHERE model = 'm' ORDER BY namespace").collect()
    shown = [registers.sql(f"SHOW MODELS IN {database}").first() for database in ("here", "there")]
    assert rows == shown
    assert [(row.namespace, row.versions) for row in rows] == [("here", 2), ("there", 1)]


def test_versions_and_runs_of_every_database(registers: SparkSession) -> None:
    name = ModelName("there", "m")
    store = RunStore(registers)
    store.finish(store.start(name).run_id, "FAILED", error="on purpose")
    versions = registers.sql("SELECT * FROM sqlext_model_versions() WHERE model = 'm' AND namespace = 'here'").collect()
    assert versions == registers.sql("SHOW MODEL VERSIONS here.m").collect()
    assert [(row.version, row.is_default) for row in versions] == [(2, True), (1, False)]
    runs = registers.sql("SELECT * FROM sqlext_training_runs() WHERE namespace = 'there'").collect()
    assert runs == registers.sql("SHOW TRAINING RUNS IN there").collect()
    assert [(row.status, row.error) for row in runs] == [("FAILED", "on purpose")]


def test_views_joins_and_new_rows(registers: SparkSession, database: str) -> None:
    registers.sql(f"CREATE VIEW {database}.seen AS SELECT namespace, model, versions FROM sqlext_models()")
    sql = f"SELECT count(*) AS n, sum(versions) AS v FROM {database}.seen WHERE namespace = 'there'"
    assert one(registers, sql) == (1, 1)
    publish(ModelCatalog(registers), ModelName("there", "m"))
    assert one(registers, sql) == (1, 2)
    same = (
        "SELECT count(*) AS n FROM sqlext_models() a JOIN sqlext_models() b USING (namespace, model) WHERE model = 'm'"
    )
    assert one(registers, same).n == 2
    assert "sqlext_models" in one(registers, "EXPLAIN SELECT * FROM sqlext_models()").plan


def test_held_out_rows(registers: SparkSession) -> None:
    rows = registers.sql("SELECT * FROM sqlext_held_out('here.m@2') ORDER BY row_hash").collect()
    assert rows[1] == ("here", "m", 2, "validation", 2**60 + 1, "ant", "bee", 0.7, None, None)
    assert rows[0].split == "test"
    assert registers.sql("SELECT * FROM sqlext_held_out('here.m@1')").collect() == []


def test_held_out_rows_are_scanned(registers: SparkSession) -> None:
    """Spark scans the file like a table: on the executors, and only the columns that are needed."""
    counted = registers.sql("SELECT label, count(*) AS n FROM sqlext_held_out('here.m') GROUP BY label ORDER BY 1")
    assert counted.collect() == [("ant", 1), ("bee", 1)]
    plan = str(counted._jdf.queryExecution().executedPlan().toString())
    assert "FileScan parquet" in plan
    assert "ReadSchema: struct<label:string>" in plan
    joined = (
        "SELECT a.version, b.target FROM sqlext_held_out('here.m') a JOIN sqlext_held_out('here.m') b USING (row_hash)"
    )
    assert registers.sql(joined).collect() == [(2, None), (2, None)]
    aliased = "SELECT t.m, t.p FROM sqlext_held_out('here.m') AS t(n, m, v, s, h, l, p, c, e, f) WHERE h < 0"
    assert registers.sql(aliased).collect() == [("m", "bee")]


def test_a_view_keeps_its_database(registers: SparkSession) -> None:
    registers.sql("USE here")
    registers.sql(
        "CREATE VIEW there.mistakes AS SELECT namespace, version FROM sqlext_held_out('m') WHERE label <> predicted_label"
    )
    registers.sql("USE there")
    assert one(registers, "SELECT * FROM mistakes") == ("here", 2)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("sqlext_held_out('here.n')", "MODEL_NOT_FOUND.*here.n.*here.m"),
        ("sqlext_held_out('here.m@7')", "MODEL_VERSION_NOT_FOUND"),
        ("sqlext_held_out()", r"INVALID_ARGUMENTS.*sqlext_held_out\(model\) takes 1 argument, got 0"),
        ("sqlext_held_out(3)", "INVALID_ARGUMENTS.*constant string"),
        ("sqlext_models('x')", r"INVALID_ARGUMENTS.*sqlext_models\(\) takes no argument, got 1"),
    ],
)
def test_wrong_arguments(registers: SparkSession, call: str, says: str) -> None:
    with pytest.raises(AnalysisException, match=says):
        registers.sql(f"SELECT * FROM {call}")


def test_a_server_creates_the_views_once(registers: SparkSession) -> None:
    make_views(registers)
    views = registers.sql("SHOW VIEWS IN sqlext").where("NOT isTemporary").collect()  # other tests leave temporary ones
    assert [row.viewName for row in views] == ["model_versions", "models", "training_runs"]
    registers.sql("ALTER VIEW sqlext.models AS SELECT 1 AS changed")
    make_views(registers)
    assert registers.table("sqlext.models").columns == ["changed"]
    registers.sql("DROP DATABASE sqlext CASCADE")
