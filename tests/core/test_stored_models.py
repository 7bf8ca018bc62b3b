"""Models that earlier releases stored can still be read and return the same answers (tests/support/stored.py lists the files)."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import SparkSession

from tests.support.results import one
from tests.support.stored import (
    DATABASES,
    MODELS,
    SHOP,
    STORED,
    WAREHOUSE,
    Stored,
    answer,
    create_inputs,
    settings,
    warehouse_of,
)

FORMATS = sorted(folder.name for folder in STORED.iterdir())


@pytest.fixture(params=FORMATS)
def stored(request: pytest.FixtureRequest, spark: SparkSession, tmp_path: Path) -> Iterator[Stored]:
    """Restores one of the stored formats: copies its files into the warehouse and creates its tables in the metastore."""
    found = Stored(STORED / request.param)
    for database in DATABASES:
        spark.sql(f"CREATE DATABASE {database}")
    create_inputs(spark, found.read("inputs"))
    shutil.unpack_archive(found.folder / "files.tar.xz", tmp_path)
    place_files(spark, tmp_path / "warehouse")
    for name, table in found.read("metastore").items():
        restore_table(spark, name, table)
    yield found
    for database in reversed(DATABASES):
        spark.sql(f"DROP DATABASE {database} CASCADE")


def place_files(spark: SparkSession, copied: Path) -> None:
    """Copies the databases' folders into the session's warehouse and rewrites the paths in them."""
    here = warehouse_of(spark)
    for file in copied.rglob("*.json"):
        file.write_text(file.read_text(encoding="utf-8").replace(WAREHOUSE, here), encoding="utf-8")
    shutil.copytree(copied, here, dirs_exist_ok=True)


def restore_table(spark: SparkSession, name: str, table: Mapping[str, Any]) -> None:
    """Creates the table and its partitions with Spark only, without code of this package."""
    here = warehouse_of(spark)
    spark.sql("\n".join(table["ddl"]).replace(WAREHOUSE, here))
    for partition in table["partitions"]:
        number, folder = partition["version"], f"file:{here}/{partition['location']}"
        spark.sql(f"ALTER TABLE {name} ADD PARTITION (version = {number}) LOCATION '{folder}'")
        values = {key: value.replace(WAREHOUSE, here) for key, value in partition["parameters"].items()}
        set_parameters(spark, name, number, values)


def set_parameters(spark: SparkSession, name: str, number: int, values: dict[str, str]) -> None:
    """Sets the parameters of a partition, which SQL cannot do."""
    catalog: Any = spark._jsparkSession.sharedState().externalCatalog()
    python: Any = spark._jvm.org.apache.spark.api.python.PythonUtils  # type: ignore[union-attr]
    database, table = name.split(".")
    old = catalog.getPartition(database, table, python.toScalaMap({"version": str(number)}))
    changed = old.copy(
        old.spec(), old.storage(), python.toScalaMap(values), old.createTime(), old.lastAccessTime(), old.stats()
    )
    catalog.alterPartitions(database, table, python.toSeq([changed]))


def differences(spark: SparkSession, recorded: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """Describes each answer that differs from the recorded one. Columns that later releases added are ignored."""
    found = []
    for sql, expected in recorded.items():
        try:
            rows = answer(spark, sql)
        except PySparkException as error:  # the other statements say more of what is wrong
            found.append(f"{sql}: {str(error).splitlines()[0]}")
            continue
        if len(rows) != len(expected):
            found.append(f"{sql}: {len(expected)} rows were recorded, {len(rows)} came: {rows}")
        for number, (row, wanted) in enumerate(zip(rows, expected, strict=False), 1):
            found += [
                f"{sql}, row {number}, {column}: {value!r} was recorded, {row.get(column)!r} came"
                for column, value in wanted.items()
                if not same(row.get(column), value)
            ]
    return found


def same(found: Any, recorded: Any) -> bool:
    """Whether two answers are equal; only the words that say why a value is not an image may differ."""
    if isinstance(recorded, float) and isinstance(found, float):
        return math.isclose(found, recorded, rel_tol=1e-5, abs_tol=1e-5)
    if isinstance(recorded, list) and isinstance(found, list):
        return len(found) == len(recorded) and all(map(same, found, recorded))
    if isinstance(recorded, dict) and isinstance(found, dict):
        return found.keys() == recorded.keys() and all(same(found[key], recorded[key]) for key in recorded)
    if isinstance(recorded, str) and recorded.startswith("not an image: "):
        return str(found).startswith("not an image: ")
    return bool(found == recorded)


def of_functions(recorded: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    return {sql: rows for sql, rows in recorded.items() if " AS answer FROM " in sql}


def test_every_answer_is_what_it_was(spark: SparkSession, stored: Stored) -> None:
    recorded = stored.answers()
    assert len(recorded) > 60 and len(of_functions(recorded)) > 10
    with settings(spark):
        found = differences(spark, recorded)
    assert not found, "\n".join(found)


@pytest.mark.slow
def test_bigdl_predicts_the_same(spark: SparkSession, stored: Stored) -> None:
    """BigDL reads files that the other engines do not use."""
    with settings(spark, engine="bigdl"):
        found = differences(spark, of_functions(stored.answers()))
        with pytest.raises(AnalysisException, match=r"ENGINE_CANNOT_SCORE.*Erf"):
            spark.sql(f"SELECT predict('{MODELS}.erf', picture) FROM {SHOP}.pictures")
    assert not found, "\n".join(found)


def test_the_recorded_precision_is_used_where_the_machine_has_it(spark: SparkSession, stored: Stored) -> None:
    recorded = {r.col_name: r.data_type for r in spark.sql(f"DESCRIBE MODEL EXTENDED {SHOP}.shapes").collect()}
    possible = scores_in_bf16(spark, "bf16")
    assert scores_in_bf16(spark, "auto") == (possible and recorded["Precision"].startswith("bf16"))


def scores_in_bf16(spark: SparkSession, precision: str) -> bool:
    with settings(spark, engine="auto", precision=precision):
        try:
            plan = one(spark, f"EXPLAIN SELECT classify('{SHOP}.shapes', picture) FROM {SHOP}.pictures").plan
        except AnalysisException as error:
            assert error.getErrorClass() == "ENGINE_CANNOT_SCORE"
            return False
        assert f"{SHOP}.shapes@2:" in plan
        return ":bf16" in plan


def test_work_goes_on_with_what_is_stored(spark: SparkSession, stored: Stored, tmp_path: Path) -> None:
    trained = one(spark, f"TRAIN MODEL {SHOP}.shapes OPTIONS (epochs = 1)")  # everything else is read from the manifest
    assert (trained.version, trained.is_default) == (4, False)  # 3 was dropped; 2 is pinned
    versions = spark.sql(f"SHOW MODEL VERSIONS {SHOP}.shapes").collect()
    assert [(v.version, v.aliases, v.is_pinned) for v in versions] == [
        (4, [], False),
        (2, ["champion"], True),
        (1, ["prod"], False),
    ]
    before, after = (one(spark, f"EVALUATE MODEL {SHOP}.shapes VERSION {v}") for v in (2, 4))
    assert (before.split, before.rows_evaluated) == (after.split, after.rows_evaluated)

    with pytest.raises(AnalysisException, match="CANNOT_TRAIN_AGAIN"):  # it was not trained here
        spark.sql(f"TRAIN MODEL {SHOP}.carried OPTIONS (epochs = 1)")

    # The exported folder still has its original paths: rewriting them would change its checksums.
    imported = one(spark, f"IMPORT MODEL {SHOP}.arrived FROM 'file:{tmp_path}/export'")
    assert (imported.status, imported.version, imported.format) == ("IMPORTED", 1, "FOLDER")
    shown = {row.model: row.backbone for row in spark.sql(f"SHOW MODELS IN {SHOP}").collect()}
    assert shown["arrived"] == f"{MODELS}.tiny@1"  # the stored backbone has the content of the exported one
    again = one(spark, f"IMPORT MODEL {SHOP}.carried FROM 'file:{tmp_path}/export'")
    assert (again.status, again.version) == ("EXISTS", 1)
    recorded = {
        sql.replace(f"{SHOP}.carried", f"{SHOP}.arrived"): rows
        for sql, rows in of_functions(stored.answers()).items()
        if f"{SHOP}.carried" in sql
    }
    assert recorded
    with settings(spark):
        assert not differences(spark, recorded)

    listing = json.loads((tmp_path / "export" / "sqlext-export.json").read_text(encoding="utf-8"))
    spark.sql(f"EXPORT MODEL {SHOP}.shapes VERSION 2 TO 'file:{tmp_path}/again'")
    files = json.loads((tmp_path / "again" / "sqlext-export.json").read_text(encoding="utf-8"))["files"]
    manifests = ("model/manifest.json", "backbone/manifest.json")  # these name the warehouse
    assert {k: v for k, v in files.items() if k not in manifests} == {
        k: v for k, v in listing["files"].items() if k not in manifests
    }


def test_backbones_are_found_by_id(spark: SparkSession, stored: Stored) -> None:
    with pytest.raises(AnalysisException, match=f"BACKBONE_IN_USE.*{SHOP}.vectors"):
        spark.sql(f"DROP MODEL {MODELS}.tiny")
    spark.sql(f"ALTER MODEL {MODELS}.tiny RENAME TO renamed")
    shown = {row.model: row.backbone for row in spark.sql(f"SHOW MODELS IN {SHOP}").collect()}
    assert shown["shapes"] == shown["vectors"] == f"{MODELS}.renamed@1"
    recorded = {sql: rows for sql, rows in of_functions(stored.answers()).items() if f"{MODELS}.tiny" not in sql}
    with settings(spark):
        assert not differences(spark, recorded)
    dropped = one(spark, f"DROP MODEL {SHOP}.vectors")  # deletes only what its manifest says is its own
    assert dropped.status == "DROPPED"
    assert not list(Path(warehouse_of(spark), f"{SHOP}.db").glob("arrays-*"))
