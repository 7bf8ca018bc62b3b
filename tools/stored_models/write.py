"""Writes models of this release, and the answers that it returns, to ``tests/fixtures/stored/format-<format version>``.

    .venv/bin/python tools/stored_models/write.py

``tests/core/test_stored_models.py`` checks that later releases still read them. Run this script when FORMAT_VERSION
changes: it writes a further folder, and the older ones stay, since every release reads all earlier formats. It refuses
to replace a folder; a changed answer to an old folder is a change of what users see, and is edited by hand.

The models are tiny, and together they cover every form of what is stored. Their networks have random weights: the answers
mean nothing, but they must not change. Paths of this machine become ``/warehouse/..`` in every file.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from inputs import inputs  # noqa: E402
from models import create_models  # noqa: E402
from places import entries, hide_paths, warehouse  # noqa: E402
from questions import statements  # noqa: E402
from runs import LOST_AFTER, leave_cancelled_run, leave_failed_run, leave_lost_run  # noqa: E402

import sqlext  # noqa: E402
from sqlext.catalog import ModelEntry  # noqa: E402
from sqlext.catalog.entry import FORMAT_VERSION  # noqa: E402
from tests.support.stored import DATABASES, SHOP, STORED, WAREHOUSE, answer, create_inputs, settings  # noqa: E402

USER = "analyst"


def metastore(spark: SparkSession) -> dict[str, Any]:
    """Maps each table name to its DDL and its partitions, with their locations and parameters."""
    here = str(warehouse(spark))

    def described(entry: ModelEntry) -> dict[str, Any]:
        ddl = spark.sql(f"SHOW CREATE TABLE {entry.name} AS SERDE").collect()[0].createtab_stmt
        partitions = [
            {
                "version": version.version,
                "location": version.location.split(here, 1)[1].lstrip("/"),
                "parameters": {
                    key: value.replace(here, WAREHOUSE)
                    for key, value in sorted(version.parameters.items())
                    if key != "transient_lastDdlTime"
                },
            }
            for version in entry.versions
        ]
        return {"ddl": ddl.replace(here, WAREHOUSE).split("\n"), "partitions": partitions}

    return {str(entry.name): described(entry) for entry in entries(spark)}


def save(spark: SparkSession, place: Path, target: Path, tables: dict[str, Any]) -> None:
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="stored-files-") as folder:
        copy_files(spark, place, Path(folder))
        with tarfile.open(target / "files.tar.xz", "w:xz") as archive:
            archive.add(folder, ".", filter=_without_owner)
    write(target / "inputs.json", {name: _by_line(**table) for name, table in tables.items()})
    write(target / "metastore.json", {name: json.dumps(t, indent=1) for name, t in metastore(spark).items()})
    with settings(spark):
        write(target / "answers.json", {sql: _as_table(answer(spark, sql)) for sql in statements(spark)})


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def copy_files(spark: SparkSession, place: Path, to: Path) -> None:
    here = warehouse(spark)
    for entry in entries(spark):
        folder = Path(entry.location.removeprefix("file:"))
        shutil.copytree(folder, to / "warehouse" / folder.relative_to(here))
    runs = Path(f"{SHOP}.db", "_sqlext")
    shutil.copytree(here / runs, to / "warehouse" / runs)
    shutil.copytree(place / "exports" / "shapes", to / "export")
    check_paths(to, here)


def _as_table(rows: list[dict[str, Any]]) -> str:
    return _by_line(columns=list(rows[0]) if rows else [], rows=[list(row.values()) for row in rows])


def _by_line(*, rows: list[list[Any]], **more: Any) -> str:
    """Formats JSON with one line per row, so that diffs are readable."""
    lines = ",".join("\n  " + json.dumps(row, ensure_ascii=False) for row in rows)
    return json.dumps(more, ensure_ascii=False)[:-1] + f', "rows": [{lines}]}}'


def write(file: Path, parts: dict[str, str]) -> None:
    """Formats an object whose values are JSON texts."""
    text = ",\n".join(f"{json.dumps(key)}: {value}" for key, value in parts.items())
    file.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def check_paths(folder: Path, here: Path) -> None:
    """:raises SystemExit: if a file contains a path of this machine."""
    private = [str(path).encode() for path in (here.parent, ROOT)]
    for file in folder.rglob("*"):
        if file.is_file() and any(path in file.read_bytes() for path in private):
            raise SystemExit(f"{file.relative_to(folder)} names a path of this machine")


def check_size(target: Path) -> None:
    size = sum(file.stat().st_size for file in target.iterdir())
    print(f"{size:,} bytes in {target}")
    if size > 500_000:
        raise SystemExit("that is too much for a repository")


def main() -> None:
    target = STORED / f"format-{FORMAT_VERSION}"
    if target.exists():
        raise SystemExit(f"{target} exists. It shows what an older release wrote, so it is not replaced")
    os.environ.update(SPARK_USER=USER, HADOOP_USER_NAME=USER, TZ="UTC")
    time.tzset()
    with tempfile.TemporaryDirectory(prefix="stored-models-") as folder:
        spark = sqlext.session(master="local[2]", warehouse=Path(folder, "warehouse"))
        # Inside the warehouse, so that one replacement hides all paths.
        place = warehouse(spark) / "files"
        place.mkdir()
        for database in DATABASES:
            spark.sql(f"CREATE DATABASE {database}")
        tables = inputs()
        create_inputs(spark, tables)
        lost, as_it_ran = leave_lost_run(spark)
        ended = time.monotonic()
        leave_cancelled_run(spark)
        leave_failed_run(spark)
        create_models(spark, place)
        time.sleep(max(0.0, LOST_AFTER + 1 - (time.monotonic() - ended)))
        lost.write_bytes(as_it_ran)
        hide_paths(spark)
        save(spark, place, target, tables)
        check_paths(target, warehouse(spark))
        check_size(target)
        spark.stop()


if __name__ == "__main__":
    main()
