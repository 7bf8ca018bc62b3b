"""PyHive and beeline as clients of `sqlext serve` on a free port."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pyspark
import pytest
from pyhive import hive
from TCLIService import ttypes
from TCLIService.ttypes import TOperationState

from sqlext.cli.demo_images import write_flowers
from sqlext.server import VIEWS
from sqlext.spark.java import find_java
from sqlext.udfs import FUNCTIONS, TABLE_FUNCTIONS
from tests.support.class_archive import SHORT_LIVED

SQLEXT = Path(sys.executable).parent / "sqlext"
JARS = Path(pyspark.__file__).parent / "jars"
STATES = ttypes.TOperationState
RUNNING = (STATES.INITIALIZED_STATE, STATES.PENDING_STATE, STATES.RUNNING_STATE)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jdbc")
    write_flowers(folder / "flowers", train=12, validation=6)
    return folder


@pytest.fixture(scope="module")
def port(home: Path) -> Iterator[int]:
    """Starts a server in its own process and returns the port that it prints when it is ready."""
    environment = {**os.environ, "XDG_STATE_HOME": str(home / "state")}
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [SQLEXT, "serve", "--port", "0", "--warehouse", "w", "--master", "local[2]"],
            cwd=home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line.startswith("ready: jdbc:hive2://127.0.0.1:"), (line, (home / "server.log").read_text()[-2000:])
            yield int(line.split(":")[-1].split("/")[0])
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=60)


@pytest.fixture(scope="module")
def cursor(port: int) -> Iterator[Any]:
    with hive.connect("127.0.0.1", port=port, username="analyst") as connection:
        yield connection.cursor()


def rows(cursor: Any, sql: str) -> list[dict[str, Any]]:
    cursor.execute(sql)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture(scope="module")
def trained(cursor: Any, home: Path) -> dict[str, Any]:
    """Creates the tables, imports the backbone and trains a model over JDBC; returns the row of TRAIN."""
    for database in ("shop", "models"):
        cursor.execute(f"CREATE DATABASE {database}")
    for table, part in (("images", "train"), ("holdout", "val")):
        cursor.execute(
            f"CREATE TABLE shop.{table} STORED AS PARQUET AS SELECT content AS image, element_at(split(path, '/'), -2) AS species "
            f"FROM binaryFile.`file:{home}/flowers/{part}/*`"
        )
    imported = rows(cursor, "IMPORT MODEL models.small FROM 'sqlext:small' FORMAT ONNX")
    assert imported[0]["status"] == "IMPORTED"
    (row,) = rows(
        cursor,
        "TRAIN MODEL shop.flowers FROM shop.images FEATURES (image) LABEL species BACKBONE models.small "
        "VALIDATE FROM shop.holdout OPTIONS (epochs = 10, learning_rate = 0.01)",
    )
    return row


def test_train_classify_and_show_over_pyhive(cursor: Any, trained: dict[str, Any]) -> None:
    assert (trained["status"], trained["rows_trained"], trained["rows_validated"]) == ("READY", 60, 30)
    (row,) = rows(cursor, "SELECT avg(if(classify('shop.flowers', image) = species, 1, 0)) AS a FROM shop.holdout")
    assert row["a"] == pytest.approx(trained["metric_value"], abs=0.04)
    (model,) = rows(cursor, "SHOW MODELS IN shop")
    assert (model["model"], model["version"], model["kind"]) == ("flowers", 1, "classifier")
    (count,) = rows(cursor, "SELECT count(*) AS n, min(loss) AS l FROM shop.flowers")
    assert (count["n"], count["l"]) == (10, pytest.approx(trained["loss"]))


def test_a_second_connection_has_its_own_database_and_the_functions(port: int, trained: dict[str, Any]) -> None:
    with hive.connect("127.0.0.1", port=port, username="other", database="shop") as connection:
        (row,) = rows(
            connection.cursor(), "SELECT count(classify('flowers', image)) AS n FROM holdout WHERE species = 'daisy'"
        )
        assert row["n"] == 6


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SET spark.sqlext.python=/bin/false", "Cannot modify the value of a static config"),
        ("SET spark.sqlext.allowedPaths=/", "Cannot modify the value of a static config"),
        ("IMPORT MODEL shop.m FROM 'file:/etc/hosts.onnx'", "PATH_NOT_ALLOWED"),
        ("SELECT read_image(concat('file:/etc/', species)) FROM shop.holdout", "PATH_NOT_ALLOWED"),
        ("SELECT classify('shop.nope', image) FROM shop.holdout", "MODEL_NOT_FOUND"),
        ("TRAIN MODEL shop.flowers FROM shop.images LABEL speces", "Did you mean species?"),
        ("TRAIN MODEL", "Expected a model name"),
    ],
)
def test_errors_are_one_clear_sentence(cursor: Any, trained: dict[str, Any], sql: str, says: str) -> None:
    with pytest.raises(hive.OperationalError) as caught:
        cursor.execute(sql)
    message = caught.value.args[0].status.errorMessage
    assert says in message
    assert "Traceback" not in message
    assert "\tat " not in message


SHORT = {
    "DESCRIBE MODEL\n  shop.nope": (
        "42P01",
        "[MODEL_NOT_FOUND] Model shop.nope was not found. Available: shop.flowers. (line 2, pos 2)\n  shop.nope\n--^",
    ),
    "SELECT classify('flowers', image) FROM shop.holdout": (
        "42P01",
        "[MODEL_NOT_FOUND] Model default.flowers was not found. Did you mean shop.flowers? (line 1, pos 17)\n"
        "SELECT classify('flowers', image) FROM shop.holdout\n-----------------^",
    ),
    "TRAIN MODLE m FROM t LABEL y": (
        "42601",
        "[SYNTAX_ERROR] There is no TRAIN MODLE: did you mean TRAIN MODEL? Write: TRAIN MODEL m FROM t LABEL y (line 1, pos 6)\n"
        "TRAIN MODLE m FROM t LABEL y\n------^",
    ),
    "TRAIN MODEL shop.m FROM shop.images LABEL species OPTIONS (epochs = 0)": (
        "22023",
        "[INVALID_OPTION_VALUE] Option epochs = 0 is invalid: expected an integer from 1 to 2147483647. (line 1, pos 68)\n"
        f"{'TRAIN MODEL shop.m FROM shop.images LABEL species OPTIONS (epochs = 0)'[8:]}\n{'-' * 60}^",
    ),
    "SELECT read_image(concat('file:/etc/', species)) FROM shop.holdout": ("42501", "[PATH_NOT_ALLOWED] 'file:/etc/.."),
    "SELECT read_image('file:/etc/hosts')": (
        "42501",
        "[PATH_NOT_ALLOWED] .. (line 1, pos 18)\nSELECT read_image('file:/etc/hosts')\n------------------^",
    ),
    # Python asks Spark, and needs Spark's exception.
    "TRAIN MODEL shop.m FROM (SELECT image, classify('shop.nope', image) AS y FROM shop.images) LABEL y": (
        "42P01",
        "[SOURCE_NOT_FOUND] .. cannot be read: [MODEL_NOT_FOUND] Model shop.nope was not found. .. (line 1, pos 49)..^",
    ),
    "TRAIN MODEL shop.m FROM (SELECT 1D AS x, IF(rand() > 2, 'a', raise_error('boom')) AS y FROM shop.images) LABEL y": (
        None,
        "A job of the statement failed: ..boom (log id ..)",
    ),
}


@pytest.mark.parametrize("sql", SHORT)
def test_an_error_is_a_sentence_and_a_caret(cursor: Any, trained: dict[str, Any], sql: str) -> None:
    state, says = SHORT[sql]
    pattern = ".*".join(map(re.escape, says.split("..")))
    with pytest.raises(hive.OperationalError) as caught:
        cursor.execute(sql)
    status = caught.value.args[0].status
    assert re.fullmatch(pattern, status.errorMessage, re.DOTALL), status.errorMessage
    assert (status.sqlState, status.infoMessages) == (state, None)
    assert len(status.errorMessage.splitlines()) <= 3
    cursor.execute(sql, async_=True)  # as beeline and JDBC do
    while (status := cursor.poll()).operationState in RUNNING:
        time.sleep(0.05)
    assert re.fullmatch(pattern, status.errorMessage.strip(), re.DOTALL), status.errorMessage
    assert status.sqlState == state


def test_metadata_calls_return_comments(port: int, cursor: Any, trained: dict[str, Any]) -> None:
    cursor.execute("COMMENT ON MODEL shop.flowers IS 'five kinds'")
    with hive.connect("127.0.0.1", port=port, username="analyst") as connection:
        tables = {row[2]: row[4] for row in metadata(connection, "GetTables", schemaName="shop", tableName="%")}
        assert tables["flowers"] == "five kinds"
        for schema, table in (("shop", "flowers"), *(("sqlext", view) for view in VIEWS)):
            columns = metadata(connection, "GetColumns", schemaName=schema, tableName=table, columnName="%")
            assert len(columns) > 10 and all(row[11] for row in columns), table
        for function in (*FUNCTIONS, *TABLE_FUNCTIONS):
            row = metadata(connection, "GetFunctions", functionName=function.name)[0]  # once for each database
            assert "Usage: " in row[3] and "Examples:" in row[3], row


def metadata(connection: Any, call: str, **names: str) -> list[tuple[Any, ...]]:
    """The rows of a metadata call of JDBC, which PyHive has no method for."""
    request = getattr(ttypes, f"T{call}Req")(sessionHandle=connection.sessionHandle, **names)
    answer = getattr(connection.client, call)(request)
    fetch = ttypes.TFetchResultsReq(operationHandle=answer.operationHandle, orientation=0, maxRows=1000)
    return list(zip(*map(hive._unwrap_column, connection.client.FetchResults(fetch).results.columns), strict=True))


def test_beeline_runs_a_script(port: int, home: Path, trained: dict[str, Any]) -> None:
    script = home / "script.sql"
    script.write_text(
        "SHOW MODELS IN shop;\n"
        "TRAIN MODEL shop.flowers FROM shop.images -- again\n  LABEL species BACKBONE models.small OPTIONS (epochs = 2);\n"
        "SELECT species, classify('shop.flowers', image) AS said FROM shop.holdout LIMIT 2;\n"
        "DESCRIBE MODEL shop.nope;\n"
    )
    done = subprocess.run(
        [
            str(find_java() / "bin" / "java"),
            *SHORT_LIVED.split(),
            "-cp",
            f"{JARS}/*",
            "org.apache.hive.beeline.BeeLine",
            *("-u", f"jdbc:hive2://127.0.0.1:{port}/default", "-n", "analyst"),
            *("--force=true", "--outputformat=csv2", "-f", str(script)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=home,
    )
    assert "shop,flowers,1,1,classifier,models.small@1,species,accuracy" in done.stdout, done.stderr[-3000:]
    assert "shop.flowers,2," in done.stdout
    assert "of shop.flowers: training 2 of 2 epochs, loss " in done.stderr
    assert "species,said" in done.stdout
    error = done.stderr[done.stderr.index("Error: ") :]
    assert error.startswith("Error: [MODEL_NOT_FOUND] Model shop.nope was not found."), error
    assert "\nDESCRIBE MODEL shop.nope\n---------------^" in error
    assert len(error.splitlines()) <= 4, error


def test_pyhive_shows_the_progress_of_a_training(cursor: Any, trained: dict[str, Any]) -> None:
    cursor.execute(
        "TRAIN MODEL shop.watched FROM shop.images FEATURES (image) LABEL species BACKBONE models.small OPTIONS (epochs = 3)",
        async_=True,
    )
    lines: list[str] = []
    while cursor.poll().operationState not in (TOperationState.FINISHED_STATE, TOperationState.ERROR_STATE):
        lines += cursor.fetch_logs()
        time.sleep(0.2)
    lines += cursor.fetch_logs()
    (row,) = [dict(zip([c[0] for c in cursor.description], values, strict=True)) for values in cursor.fetchall()]
    title = f"run {row['run_id']} of shop.watched: "
    said = [line.removeprefix(title) for line in lines if line.startswith(title)]
    assert said[0] == "reading"
    assert [line for line in said if line.startswith("embedding 60 of 60 images")]
    assert [line.split(", loss")[0] for line in said if line.startswith("training")] == [
        f"training {epoch} of 3 epochs" for epoch in range(4)
    ]
    assert said[-1].startswith("publishing")


def test_a_cancel_ends_a_statement_that_waits_for_another_run(cursor: Any, trained: dict[str, Any]) -> None:
    """The other run belongs to another driver: it exists only as a record."""
    (location,) = [r["info_value"] for r in rows(cursor, "DESCRIBE DATABASE shop") if r["info_name"] == "Location"]
    record = Path(urlparse(location).path) / "_sqlext" / "runs" / "000000000000.json"
    other = {"run_id": "000000000000", "namespace": "shop", "model": "later", "status": "RUNNING"}
    record.write_text(json.dumps(other | {"heartbeat_at": datetime.now(UTC).isoformat()}))
    cursor.execute(
        "TRAIN MODEL IF NOT EXISTS shop.later FROM shop.images LABEL species BACKBONE models.small", async_=True
    )
    lines: list[str] = []
    end = time.monotonic() + 40
    while not any("waiting for run 000000000000" in line for line in lines) and time.monotonic() < end:
        lines += cursor.fetch_logs()
        time.sleep(0.2)
    cursor.cancel()
    record.unlink()
    while (found := rows(cursor, "SHOW TRAINING RUNS IN shop FOR MODEL later"))[0]["status"] == "QUEUED":
        assert time.monotonic() < end, lines
    assert [(run["status"], run["phase"]) for run in found] == [("CANCELLED", "waiting")]
