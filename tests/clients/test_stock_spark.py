"""Spark's own programs with the lines of `sqlext conf` in spark-defaults.conf: spark-sql, spark-submit, HiveThriftServer2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyhive import hive

from sqlext.spark.jars import spark_jars
from sqlext.spark.java import find_java

pytestmark = pytest.mark.slow  # tests/clients/test_server.py starts Python in the same way

SPARK = spark_jars().parent
SQL = (
    "CREATE TABLE xs AS SELECT double(id) AS a, double(id * 2) AS b, id % 2 AS y FROM range(0, 40, 1, 1)",
    "TRAIN MODEL m FROM xs FEATURES (a, b) LABEL y OPTIONS (epochs = 1)",
    "SELECT count(classify('m', a, b)) AS n FROM xs",
)
APP = f"""
from pyspark.sql import SparkSession
{{}}
for sql in {SQL!r}:
    rows = spark.sql(sql).collect()
print("scored", rows[0].n)
"""
SESSIONS = {
    "with configure()": "import sqlext\nspark = sqlext.configure(SparkSession.builder.enableHiveSupport()).getOrCreate()",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A stock Spark of its own: settings, current folder, warehouse and metastore in ``tmp_path``."""
    (tmp_path / "conf").mkdir()
    base = {
        **os.environ,
        "SPARK_HOME": str(SPARK),
        "SPARK_CONF_DIR": str(tmp_path / "conf"),
        "JAVA_HOME": str(find_java()),
    }
    lines = subprocess.run(
        [Path(sys.executable).parent / "sqlext", "conf"], env=base, capture_output=True, text=True, check=True
    ).stdout
    assert f"spark.sqlext.python {sys.executable}\n" in lines
    (tmp_path / "conf" / "spark-defaults.conf").write_text(f"{lines}spark.ui.enabled false\n")
    # The path that `sqlext conf` does not depend on: nothing of the environment is found through it.
    return {**base, "PATH": "/usr/bin:/bin", "PYSPARK_PYTHON": sys.executable}


def run(tmp_path: Path, environment: dict[str, str], program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SPARK / "bin" / program, "--master", "local[2]", *arguments],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_spark_sql(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "script.sql").write_text(";\n".join(SQL))
    done = run(tmp_path, environment, "spark-sql", "-f", "script.sql")
    assert (done.returncode, done.stdout.strip().splitlines()[-1:]) == (0, ["40"]), done.stderr[-3000:]


@pytest.mark.parametrize("session", SESSIONS)
def test_spark_submit(tmp_path: Path, environment: dict[str, str], session: str) -> None:
    (tmp_path / "app.py").write_text(APP.format(SESSIONS[session]))
    done = run(tmp_path, environment, "spark-submit", "app.py")
    assert (done.returncode, done.stdout.strip()) == (0, "scored 40"), done.stderr[-3000:]


def test_hive_thrift_server(tmp_path: Path, environment: dict[str, str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ("--conf", f"spark.hadoop.hive.server2.thrift.port={port}")
    main = ("--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2", "spark-internal")
    command = [SPARK / "bin" / "spark-submit", "--master", "local[2]", *settings, *main]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert server.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.5)
        with hive.connect("127.0.0.1", port=port) as connection:
            cursor = connection.cursor()
            for sql in SQL:
                cursor.execute(sql)
            assert cursor.fetchall() == [(40,)]
    finally:
        server.terminate()
        server.wait(60)


def test_a_python_without_the_package_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    other = "/usr/bin/false"
    done = run(tmp_path, environment, "spark-sql", "--conf", f"spark.sqlext.python={other}", "-e", "SHOW MODELS")
    assert done.returncode != 0
    assert (
        f"[BACKEND_NOT_STARTED] The Python process of bigdl-sqlext ({other}, from spark.sqlext.python) did not start:"
        in done.stderr
    )
