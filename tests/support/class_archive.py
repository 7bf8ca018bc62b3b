"""Writes an archive of the classes that a Spark session loads: ``python -m tests.support.class_archive FILE``.

The JVMs of the tests map it (tests/conftest.py) instead of reading, verifying and linking about 20,000 classes each, so that a
session starts in half the time. A JVM ignores an archive that does not match its version or class path: an outdated file only
costs time. See JEP 350, "Dynamic CDS Archives", part of Java since version 13.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from sqlext.spark.jars import JAR
from sqlext.spark.java import find_java, java_version

FIRST_JAVA = 13
# Two sessions share two cores, so that garbage collectors with more threads only compete; no data of a test needs an fsync.
_SESSION = "-XX:+UseSerialGC -Dderby.system.durability=test"
# For a client such as beeline, which ends before the optimizing compiler would pay off.
SHORT_LIVED = f"-XX:TieredStopAtLevel=1 {_SESSION}"
QUIET = "-Xlog:cds=off -Xlog:cds+dynamic=off"  # no warning about an archive that does not match
# One statement for each kind of work, so that the archive contains its classes.
STATEMENTS = (
    "CREATE DATABASE d",
    "CREATE TABLE d.t STORED AS PARQUET AS SELECT array(rand(1), id % 2 + rand(2)) AS x, id % 2 AS y FROM range(60)",
    "TRAIN MODEL d.m FROM d.t LABEL y OPTIONS (epochs = 2)",
    "SELECT classify('d.m', x) AS label, count(*) FROM d.t GROUP BY 1 ORDER BY 1",
    "EVALUATE MODEL d.m FROM d.t",
    "SHOW MODELS IN d",
    "DROP MODEL d.m",
)


def jvm_options(archive: Path) -> str:
    """The options for every JVM that the tests start."""
    return f"{_SESSION} -XX:SharedArchiveFile={archive} {QUIET}" if archive.is_file() else _SESSION


def is_current(archive: Path) -> bool:
    return archive.is_file() and archive.stat().st_mtime > JAR.stat().st_mtime


def write(archive: Path) -> None:
    """Runs a session with :data:`STATEMENTS`, whose JVM writes the archive when it ends."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    os.environ["SPARK_SUBMIT_OPTS"] = f"{_SESSION} -XX:ArchiveClassesAtExit={archive} {QUIET}"
    import sqlext

    with tempfile.TemporaryDirectory() as warehouse:
        spark = sqlext.session(master="local[1]", warehouse=warehouse)
        for statement in STATEMENTS:
            spark.sql(statement).collect()
        gateway = spark.sparkContext._gateway
        spark.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()


def main(archive: Path) -> None:
    version = java_version(find_java())
    if version is None or version < FIRST_JAVA:
        print(f"no class archive: Java {version} cannot write one; the tests take longer")
    elif not is_current(archive):
        write(archive)
        print(f"{archive} ({archive.stat().st_size >> 20} MB)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
