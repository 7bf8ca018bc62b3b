"""PURGE: what goes by rule, what stays and why; orphaned folders; runs that are kept no longer."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyspark.sql import Row, SparkSession

from sqlext.catalog import ModelCatalog, ModelName, ModelVersion, RunStore
from sqlext.statements.base import CHANGED
from sqlext.statements.purge_models import PurgeModels
from tests.support.catalog_models import folders, local, publish

OLD = datetime.now(UTC) - timedelta(days=40)


def outcome(rows: list[Row]) -> list[tuple[str, int | None, str]]:
    return [(row.model.partition(".")[2], row.version, row.status) for row in rows]


def make(catalog: ModelCatalog, name: ModelName, count: int, old: int = 0, **told: str) -> list[ModelVersion]:
    """Versions of a model; the first ``old`` were published 40 days ago."""
    versions = [publish(catalog, name, kind=told.pop("kind", "classifier"), **told) for _ in range(count)]
    for version in versions[:old]:
        catalog.set_parameters(version, {"sqlext.created_at": OLD.isoformat()})
    return versions


def test_purge_models(spark: SparkSession, database: str) -> None:
    catalog = ModelCatalog(spark)
    backbone = make(catalog, ModelName(database, "bb"), 1, kind="backbone")[0]
    make(catalog, ModelName(database, "bb"), 1, kind="backbone")
    make(catalog, ModelName(database, "m"), 5, old=3, backbone_id=backbone.id)
    catalog.set_alias(ModelName(database, "m"), "prod", 1)
    rule = f"PURGE MODELS IN {database} KEEP 1 VERSIONS OLDER THAN 30 DAYS"
    dry = spark.sql(f"{rule} DRY RUN").collect()
    assert tuple(dry[0].asDict()) == tuple(CHANGED) == tuple(PurgeModels.OUTPUT)
    expected = [
        ("bb", 2, "KEPT", "the default; the newest (KEEP 1)"),
        ("bb", 1, "KEPT", f"backbone of {database}.m; not older than 30 days"),
        ("m", 5, "KEPT", "the default; the newest (KEEP 1)"),
        ("m", 4, "KEPT", "not older than 30 days"),
        ("m", 3, "WOULD PURGE", None),
        ("m", 2, "WOULD PURGE", None),
        ("m", 1, "KEPT", "alias prod"),
    ]
    assert [(r.model.partition(".")[2], r.version, r.status, r.message) for r in dry] == expected
    assert all(r.size_bytes > 0 for r in dry)
    done = spark.sql(rule).collect()
    assert outcome(done) == [(m, v, s.replace("WOULD PURGE", "PURGED")) for m, v, s, _ in expected]
    entry = catalog.get(ModelName(database, "m"))
    assert [v.version for v in entry.versions] == [1, 4, 5]
    assert not any(name.startswith(("v2-", "v3-")) for name in folders(entry.location))
    assert outcome(spark.sql("PURGE MODELS LIKE 'bb' KEEP 0 VERSIONS").collect()) == [
        ("bb", 2, "KEPT"),
        ("bb", 1, "KEPT"),
    ]


def test_alter_model_purge_lists_what_is_no_version(spark: SparkSession, database: str) -> None:
    catalog, name = ModelCatalog(spark), ModelName(database, "m")
    strange = make(catalog, name, 3)[0]
    (local(strange.model_folder) / "manifest.json").unlink()
    spark.sql(f"INSERT INTO {name.sql} PARTITION (version = 99) (epoch) VALUES (1)")
    rows = spark.sql("ALTER MODEL m PURGE KEEP 1 VERSIONS").collect()
    assert outcome(rows) == [("m", 3, "KEPT"), ("m", 2, "PURGED"), ("m", 1, "KEPT"), ("m", None, "KEPT")]
    assert "was not written by this model" in rows[2].message
    assert "version=99" in rows[3].message
    assert spark.sql("SELECT * FROM m WHERE version = 99").count() == 1


def test_orphans(spark: SparkSession, database: str) -> None:
    catalog, name = ModelCatalog(spark), ModelName(database, "m")
    living = make(catalog, name, 1)[0]
    model_folder, home = local(living.location).parent, local(catalog.metastore.database_location(database))
    gone = make(catalog, ModelName(database, "gone"), 1)[0]
    catalog.metastore.drop_table(gone.name)  # as a crash after the metastore forgot the model leaves it

    def folder(path: Path, file: str = "history.parquet") -> Path:
        (path / "_model").mkdir(parents=True)
        (path / file).write_bytes(b"x")
        return path

    crashed, fresh = folder(model_folder / "v2-0123456789ab"), folder(model_folder / "v3-0123456789ab")
    foreign = folder(model_folder / "v4-0123456789ab", "somebody.csv")
    named_otherwise = folder(home / "m-backup" / "v1-0123456789ab")
    for path in (crashed, foreign, local(gone.location), local(living.location), named_otherwise):
        for part in (path, *path.rglob("*")):
            os.utime(part, (OLD.timestamp(), OLD.timestamp()))
    dry = spark.sql(f"PURGE MODELS IN {database} ORPHANS DRY RUN").collect()
    expected = [("gone", 1, "WOULD PURGE"), ("m", 2, "WOULD PURGE"), ("m", 4, "KEPT")]
    assert sorted(outcome(dry)) == expected
    assert all(path.exists() for path in (crashed, local(gone.location)))
    done = spark.sql(f"PURGE MODELS IN {database} ORPHANS").collect()
    assert sorted(outcome(done)) == [(m, v, s.replace("WOULD PURGE", "PURGED")) for m, v, s in expected]
    assert [path.exists() for path in (crashed, local(gone.location).parent)] == [False, False]
    assert all(path.exists() for path in (fresh, foreign, named_otherwise, local(living.location)))
    assert next(r for r in done if r.version == 4).message.startswith("it contains somebody.csv")


def test_runs_are_kept_for_a_while(spark: SparkSession, database: str) -> None:
    catalog, store, name = ModelCatalog(spark), RunStore(spark), ModelName(database, "m")
    version = make(catalog, name, 1)[0]
    for run_id, status in ((version.run_id, "READY"), ("0ld0failed", "FAILED"), ("0newfailed", "FAILED")):
        store.start(name, run_id=run_id)
        store.finish(run_id, status)
    folder = local(catalog.metastore.database_location(database)) / "_sqlext" / "runs"
    for run_id in (version.run_id, "0ld0failed"):
        file = folder / f"{run_id}.json"
        file.write_text(
            json.dumps(json.loads(file.read_text()) | {"finished_at": (OLD - timedelta(days=60)).isoformat()})
        )
        os.utime(file, (time.time() + 5, time.time() + 5))
    row = spark.sql("PURGE MODELS ORPHANS DRY RUN").collect()[-1]
    assert (row.model, row.status) == (str(name), "WOULD PURGE")
    assert row.message == "training runs that ended more than 90 days ago: 1"
    spark.sql("PURGE MODELS ORPHANS")
    left = {r.run_id for r in spark.sql("SHOW TRAINING RUNS").collect()}
    assert left == {version.run_id, "0newfailed"}
    spark.conf.set("spark.sqlext.runs.keep", "0s")
    try:
        spark.sql("ALTER MODEL m PURGE KEEP 1 VERSIONS")
    finally:
        spark.conf.unset("spark.sqlext.runs.keep")
    assert [r.run_id for r in spark.sql("SHOW TRAINING RUNS").collect()] == [version.run_id]
