"""ALTER MODEL, COMMENT ON MODEL, CANCEL TRAINING and the rules of versions, on models with weights chosen by hand."""

from __future__ import annotations

import pytest
from pyspark import InheritableThread
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from sqlext.catalog import ModelCatalog, ModelName, RunStore, alter
from sqlext.statements.base import CHANGED
from tests.support.results import one
from tests.support.tiny_models import publish

FIRST, SECOND = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]  # the second model answers the opposite
CLASSIFY = "SELECT classify('{model}', array(1.0, 0.0)) AS label"


def label(spark: SparkSession, model: str) -> str:
    return str(one(spark, CLASSIFY.format(model=model)).label)


@pytest.fixture
def m(spark: SparkSession, database: str) -> str:
    """Model m with version 1 (answers c0) and version 2 (answers c1)."""
    publish(spark, "m", FIRST, [0, 0])
    publish(spark, "m", SECOND, [0, 0])
    return f"{database}.m"


def test_default_version(spark: SparkSession, m: str) -> None:
    row = one(spark, "ALTER MODEL m SET DEFAULT VERSION 1")
    assert tuple(row.asDict()) == tuple(CHANGED)
    assert (row.model, row.version, row.status) == (m, 1, "ALTERED")
    assert row.message == "the default is pinned to version 1; it was version 2"
    assert label(spark, "m") == "c0"
    publish(spark, "m", SECOND, [0, 0])
    assert label(spark, "m") == "c0"  # still pinned
    versions = spark.sql("SHOW MODEL VERSIONS m").collect()
    assert [(v.version, v.is_default, v.is_pinned) for v in versions] == [
        (3, False, False),
        (2, False, False),
        (1, True, True),
    ]
    row = one(spark, "ALTER MODEL m SET DEFAULT VERSION LATEST")
    assert (row.version, one(spark, "SHOW MODELS LIKE 'm'").is_pinned, label(spark, "m")) == (3, False, "c1")
    with pytest.raises(AnalysisException, match=r"MODEL_VERSION_NOT_FOUND.*Available: 1, 2, 3.*line 1 pos 34"):
        spark.sql("ALTER MODEL m SET DEFAULT VERSION 9")


def test_aliases(spark: SparkSession, m: str) -> None:
    assert one(spark, "ALTER MODEL m SET ALIAS Prod = 1").message == "alias prod is version 1"
    started = spark.sql(CLASSIFY.format(model="m@prod"))
    assert one(spark, "ALTER MODEL m SET ALIAS prod = 2").message == "alias prod is version 2; it was version 1"
    assert (label(spark, "m@prod"), started.first().label) == ("c1", "c0")  # what has started keeps its version
    with pytest.raises(AnalysisException, match=r"ALIASED_VERSION.*prod.*line 1 pos 29"):
        spark.sql("ALTER MODEL m SET DEFAULT VERSION 1").collect()
        spark.sql("ALTER MODEL m   DROP VERSION 2")
    for alias in ("latest", "Default", "`3`"):
        with pytest.raises(AnalysisException, match=r"INVALID_ALIAS.*line 1 pos 24"):
            spark.sql(f"ALTER MODEL m SET ALIAS {alias} = 1")
    assert one(spark, "ALTER MODEL m UNSET ALIAS prod").version == 2
    with pytest.raises(AnalysisException, match=r"ALIAS_NOT_FOUND.*line 1 pos 26"):
        spark.sql("ALTER MODEL m UNSET ALIAS prod")


def test_rename_and_a_new_model_of_the_old_name(spark: SparkSession, m: str, database: str) -> None:
    store = RunStore(spark)
    run = store.start(ModelName(database, "m"))
    store.finish(run.run_id, "READY", version=2)
    spark.sql("CREATE TABLE taken (a INT)")
    for name, error in (
        ("taken", "NAME_IN_USE.*A table with"),
        ("default.x", "RENAME_ACROSS_DATABASES"),
        ("m", "model"),
    ):
        with pytest.raises(AnalysisException, match=rf"{error}.*line 1 pos 24"):
            spark.sql(f"ALTER MODEL m RENAME TO {name}")
    row = one(spark, f"ALTER MODEL {m} RENAME TO `Old`")
    assert (row.model, row.message) == (f"{database}.old", f"renamed from {m}")
    publish(spark, "m", FIRST, [0, 0])
    assert (label(spark, "m"), label(spark, "old"), label(spark, "old@1")) == ("c0", "c1", "c0")
    spark.sql("DROP MODEL m")
    assert (label(spark, "old"), label(spark, "old@1")) == ("c1", "c0")
    assert [r.model for r in spark.sql("SHOW MODELS").collect()] == ["old"]
    assert [r.run_id for r in spark.sql("SHOW TRAINING RUNS FOR MODEL old").collect()] == [run.run_id]
    assert spark.sql("SELECT count(DISTINCT version) FROM old").first()[0] == 0  # no history, but still a table


def test_a_started_query_keeps_its_version(spark: SparkSession, m: str) -> None:
    started = spark.sql(CLASSIFY.format(model="m"))
    publish(spark, "m", FIRST, [0, 0])
    assert (started.first().label, label(spark, "m")) == ("c1", "c0")
    spark.sql("DROP MODEL m VERSION 2")
    assert started.first().label == "c1"
    with pytest.raises(AnalysisException, match="MODEL_VERSION_NOT_FOUND"):
        label(spark, "m@2")


def test_properties_and_comment(spark: SparkSession, m: str, database: str) -> None:
    entry = lambda: ModelCatalog(spark).get(ModelName(database, "m"))  # noqa: E731
    spark.sql(r"ALTER MODEL m SET PROPERTIES ('team.a' = 'it\'s \\ \"x\"', Reviewed true, n = 3)")
    assert entry().properties == {"team.a": 'it\'s \\ "x"', "Reviewed": "true", "n": "3"}
    spark.sql("ALTER MODEL m SET PROPERTIES (n = 4)")
    assert one(spark, "ALTER MODEL m UNSET PROPERTIES (team.a, 'Reviewed')").message == "removed team.a, Reviewed"
    assert entry().properties == {"n": "4"}
    with pytest.raises(AnalysisException, match=r"PROPERTY_NOT_FOUND.*'m'.*line 1 pos 31"):
        spark.sql("ALTER MODEL m UNSET PROPERTIES (m)")
    assert one(spark, "ALTER MODEL m UNSET PROPERTIES IF EXISTS (m)").message == "nothing to remove"
    with pytest.raises(AnalysisException, match="INVALID_MODEL_PROPERTY"):
        spark.sql(f"ALTER MODEL m SET PROPERTIES (a = '{'x' * 4001}')")
    text = 'what\'s "this" \\ é'
    spark.sql("COMMENT ON MODEL m IS 'what\\'s \"this\" \\\\ é'")
    assert one(spark, "SHOW MODELS LIKE 'm'").comment == text
    assert one(spark, "COMMENT ON MODEL m IS NULL").message == f"the comment was: {text}"
    assert one(spark, "SHOW MODELS LIKE 'm'").comment is None
    assert (entry().properties, label(spark, "m")) == ({"n": "4"}, "c1")
    with pytest.raises(AnalysisException, match=r"NOT_A_MODEL.*line 1 pos 17"):
        spark.sql("CREATE TABLE plain (a INT)")
        spark.sql("COMMENT ON MODEL plain IS 'x'")


def test_two_sessions_set_different_properties(spark: SparkSession, m: str, database: str) -> None:
    name, sessions = ModelName(database, "m"), [spark.newSession(), spark.newSession()]

    def change(session: SparkSession, key: str) -> None:
        for i in range(3):
            alter.set_properties(ModelCatalog(session), name, {f"{key}{i}": str(i)})

    threads = [InheritableThread(target=change, args=(s, k)) for s, k in zip(sessions, "ab", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ModelCatalog(spark).get(name).properties) == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_missing_models(spark: SparkSession, database: str) -> None:
    for sql in ("ALTER MODEL IF EXISTS nobody DROP VERSION 1", "ALTER MODEL IF EXISTS no_db.m RENAME TO x"):
        assert one(spark, sql).status == "NOT_FOUND"
    assert one(spark, "DROP MODEL IF EXISTS no_db.m").status == "NOT_FOUND"
    with pytest.raises(AnalysisException, match=r"MODEL_NOT_FOUND.*line 1 pos 12"):
        spark.sql("ALTER MODEL nobody SET ALIAS a = 1")


def test_drop_version(spark: SparkSession, m: str) -> None:
    with pytest.raises(AnalysisException, match=r"DEFAULT_VERSION_DROP.*SET DEFAULT VERSION.*line 1 pos 21"):
        spark.sql("DROP MODEL m VERSION 2")
    row = one(spark, "ALTER MODEL m DROP VERSION 1")
    assert (row.version, row.status) == (1, "DROPPED")
    assert row.size_bytes > 0
    assert one(spark, "ALTER MODEL m DROP VERSION 2").status == "DROPPED"  # the last one takes the model with it
    assert spark.sql("SHOW MODELS").collect() == []


def test_cancel_training(spark: SparkSession, database: str) -> None:
    store = RunStore(spark)
    run = store.start(ModelName(database, "m"), phase="training")
    row = one(spark.newSession(), f"CANCEL TRAINING '{run.run_id}'")
    assert (row.model, row.version, row.status) == (f"{database}.m", None, "CANCELLING")
    assert "phase training" in row.message
    assert store.cancel_requested(run.run_id)
    store.finish(run.run_id, "CANCELLED")
    with pytest.raises(AnalysisException, match=r"RUN_HAS_ENDED.*CANCELLED.*line 1 pos 16"):
        spark.sql(f"CANCEL TRAINING '{run.run_id}'")
    with pytest.raises(AnalysisException, match=r"RUN_NOT_FOUND.*SHOW TRAINING RUNS.*line 1 pos 16"):
        spark.sql("CANCEL TRAINING 'nowhere'")


def test_sparks_own_stay_sparks(spark: SparkSession, database: str) -> None:
    spark.sql("CREATE TABLE model (a INT)")
    spark.sql("COMMENT ON TABLE model IS 'a table'")
    spark.sql("ALTER TABLE model SET TBLPROPERTIES ('k' = 'v')")
    assert "TBLPROPERTIES" in spark.sql("SHOW CREATE TABLE model").first()[0]
