"""A table that vanishes or changes while a statement reads it: one sentence with an error class, and nothing of Java or Py4J."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from tests.support.reading import check_that_each_statement_has_an_entry, reading

_INTERNAL = re.compile(r"Exception|Py4J|\bat (org|java|scala)\.|stack ?trace|Traceback|log id|Job aborted|stage \d")


def test_each_statement_has_an_entry() -> None:
    check_that_each_statement_has_an_entry()


@pytest.fixture(scope="module")
def catalog(spark: SparkSession) -> Iterator[SparkSession]:
    """Database `unread`: good (v, y), its model m, and a function of tables that cannot be read."""
    spark.sql("CREATE DATABASE unread")
    spark.sql("USE unread")
    make(spark, "good")
    spark.sql("TRAIN MODEL m FROM good FEATURES (v) LABEL y OPTIONS (epochs = 1)")
    yield spark
    spark.sql("USE default")
    spark.sql("DROP DATABASE unread CASCADE")


def make(spark: SparkSession, name: str) -> None:
    # Also a table of labels: one STRING and one integer column.
    spark.sql(f"CREATE TABLE {name} USING PARQUET AS SELECT double(id) v, int(id % 2) y, string(id) s FROM range(40)")


def files(spark: SparkSession, table: str) -> list[Path]:
    """The data files of a table, after Spark has listed and remembered them."""
    spark.sql(f"SELECT count(v) FROM {table}").collect()
    return [Path(name.removeprefix("file://")) for name in spark.table(table).inputFiles()]


def sentence(spark: SparkSession, sql: str) -> tuple[str, str]:
    """The class and the message of the error, which must be one sentence for a SQL user."""
    with pytest.raises(AnalysisException) as caught:
        spark.sql(sql).collect()
    text = str(caught.value).split("\n\n== SQL ==")[0]
    assert not _INTERNAL.search(text), text
    assert "\n" not in text.strip(), text
    return str(caught.value.getErrorClass()), text


def vanish(spark: SparkSession, fault: str) -> None:
    if fault == "no_base":
        make(spark, "base")
        spark.sql("CREATE VIEW no_base AS SELECT v, y, s FROM base")
        spark.sql("DROP TABLE base")
    elif fault != "dropped":
        make(spark, fault)
        for file in files(spark, fault):
            if fault == "stale":
                file.unlink()
            else:
                file.write_bytes(b"x" * file.stat().st_size)
                file.with_name(f".{file.name}.crc").unlink()  # otherwise Hadoop notices it before Parquet does


FAULTS = {
    "dropped": ("SOURCE_NOT_FOUND", "the table or view was not found|cannot be found"),
    "no_base": ("SOURCE_NOT_FOUND", "the view reads (unread.)?base, which was not found|`base` cannot be found"),
    "stale": ("SOURCE_CHANGED", "parquet no longer exists. Run the statement again."),
    "garbled": ("SOURCE_UNREADABLE", "parquet is not a complete file of its format"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_source_that_cannot_be_read(catalog: SparkSession, fault: str) -> None:
    error_class, part = FAULTS[fault]
    vanish(catalog, fault)
    found = {sql: sentence(catalog, sql) for sql in reading(fault)}
    assert {sql: c for sql, (c, _) in found.items()} == dict.fromkeys(found, error_class)
    for text in (text for _, text in found.values()):
        assert re.search(part, text), text
    # A run that failed has the same sentence in its record.
    runs = catalog.sql("SHOW TRAINING RUNS").where("status = 'FAILED'").collect()
    assert all(not _INTERNAL.search(run.error) for run in runs)
