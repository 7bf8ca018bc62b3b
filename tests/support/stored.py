"""Models as a release stored them, and its answers: the folders of ``tests/fixtures/stored``, one per format version.

    inputs.json      the rows of the tables that the models were trained on
    metastore.json   the models' tables: DDL, and location and parameters of each partition
    files.tar.xz     warehouse/: the folders of two databases, only with the tables of models
                     export/: a folder that EXPORT MODEL wrote
    answers.json     statement or query -> the rows that it returned

``tools/stored_models/write.py`` writes such a folder. Both it and the test read answers with this module, so that the answers can be compared.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pyspark.sql import Row, SparkSession

STORED = Path(__file__).parents[1] / "fixtures" / "stored"
SHOP, MODELS = DATABASES = ("old_shop", "old_models")
WAREHOUSE = "/warehouse"
"""Replaces the warehouse's real path in stored files and answers."""

_BINARY = "binary:"  # JSON has no bytes
_FIGURES = re.compile(r"[0-9a-f]{64}|\d[\d,]*")
_NOT_STORED = {"owner", "evaluated_at"}  # who created the table, and the time of the query


@dataclass(frozen=True)
class Stored:
    """One of the folders of :data:`STORED`."""

    folder: Path

    def read(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))

    def answers(self) -> dict[str, list[dict[str, Any]]]:
        return {
            sql: [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]
            for sql, found in self.read("answers").items()
        }


def warehouse_of(spark: SparkSession) -> str:
    """The path of the session's warehouse on this machine."""
    return urlparse(spark.conf.get("spark.sql.warehouse.dir")).path.rstrip("/")


def create_inputs(spark: SparkSession, inputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Creates the tables of ``inputs.json`` in the database :data:`SHOP`."""
    for name, table in inputs.items():
        rows = [tuple(map(_value, row)) for row in table["rows"]]
        spark.createDataFrame(rows, table["schema"]).coalesce(1).createOrReplaceTempView("stored_input")
        spark.sql(f"CREATE TABLE {SHOP}.{name} STORED AS PARQUET AS SELECT * FROM stored_input ORDER BY id")
    spark.catalog.dropTempView("stored_input")


def binary(content: bytes) -> str:
    """Encodes the bytes of a file as a cell of ``inputs.json``."""
    return _BINARY + base64.b64encode(content).decode()


def _value(cell: Any) -> Any:
    if isinstance(cell, str) and cell.startswith(_BINARY):
        return bytearray(base64.b64decode(cell.removeprefix(_BINARY)))
    return cell


@contextmanager
def settings(spark: SparkSession, **more: str) -> Iterator[None]:
    """Sets the session so that answers are the same on every machine and every day."""
    # bf16 rounds differently; an engine that is named must be one that IMPORT found fit; PURGE lists runs older than `runs.keep`.
    given = {"engine": "onnxruntime", "precision": "f32", "runs.keep": "0s", **more}
    try:
        for key, value in given.items():
            spark.conf.set(f"spark.sqlext.{key}", value)
        yield
    finally:
        for key in given:
            spark.conf.unset(f"spark.sqlext.{key}")


def answer(spark: SparkSession, sql: str) -> list[dict[str, Any]]:
    """Returns the rows of a statement or query as JSON values, without the parts that depend on machine, time or wording."""
    warehouse = warehouse_of(spark)
    described = sql.startswith("DESCRIBE MODEL")
    rows = [{k: _plain(v, warehouse) for k, v in row.asDict().items()} for row in spark.sql(sql).collect()]
    for row in rows:
        for column in ("comment",) if described else ("message",):
            if column in row:
                row[column] = _figures(row[column])
        for column in _NOT_STORED & row.keys():
            del row[column]
    return [row for row in rows if not (described and row["col_name"] == "Owner")]


def _figures(text: str | None) -> str | None:
    """Returns only the numbers and checksums of a sentence, because its wording may change between releases."""
    return None if text is None else " ".join(_FIGURES.findall(text))


def _plain(value: Any, warehouse: str) -> Any:
    if isinstance(value, str):
        return value.replace(warehouse, WAREHOUSE)
    if isinstance(value, datetime):  # PySpark returns the time of this machine's zone, without the zone
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Row):
        return {k: _plain(v, warehouse) for k, v in value.asDict().items()}
    if isinstance(value, Sequence):
        return [_plain(v, warehouse) for v in value]
    return value
