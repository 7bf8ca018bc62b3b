"""`sqlext serve` as its administrator sees it: processes, sockets, log, the end of its Python process and of the server."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyhive import hive
from TCLIService.ttypes import TOperationState

from tests.support.servers import Server, serve

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1, and the same as IPv6
TRAIN = "TRAIN MODEL shop.m FROM shop.xs FEATURES (a, b) LABEL y"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("server")
    with serve(home, "--pidfile", str(home / "pid"), "--hiveconf", "hive.server2.idle.session.timeout=1h") as started:
        execute(
            started,
            "CREATE DATABASE shop",
            "CREATE TABLE shop.xs AS SELECT double(id) AS a, double(id * 2) AS b, id % 2 AS y FROM range(0, 40, 1, 1)",
            f"{TRAIN} OPTIONS (epochs = 1)",
        )
        yield started


def execute(server: Server, *statements: str) -> list[Any]:
    """The rows of the last statement, in a new session."""
    with hive.connect("127.0.0.1", port=server.port, username="ann") as connection:
        cursor = connection.cursor()
        for sql in statements:
            cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


class Running:
    """A statement that runs in its own session, and in the end its rows or its error."""

    def __init__(self, server: Server, sql: str) -> None:
        self.rows: list[Any] = []
        self.error = ""
        self._thread = threading.Thread(target=self._run, args=(server, sql), daemon=True)
        self._thread.start()

    def _run(self, server: Server, sql: str) -> None:
        try:
            self.rows = execute(server, sql)
        except Exception as error:
            self.error = str(error)

    def wait(self) -> None:
        self._thread.join(120)
        assert not self._thread.is_alive()


def until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def live_runs(server: Server) -> list[Any]:
    return [run for run in execute(server, "SHOW TRAINING RUNS IN shop") if "RUNNING" in run]


def test_it_says_what_it_serves(server: Server) -> None:
    folders = f"{server.log.parent}/w"
    assert f"(default backbone models.resnet50; IMPORT, EXPORT and read_image may use {folders}" in server.ready
    assert (server.log.parent / "pid").read_text() == f"{server.process.pid}\n"


def test_only_the_loopback_address_is_reachable(server: Server) -> None:
    assert server.listening() <= LOOPBACK


def test_statements_leave_no_threads_sockets_or_files(server: Server) -> None:
    """Hive runs statements on threads of a pool, which end after ten seconds without work."""

    def burst() -> dict[str, int]:
        running = [Running(server, "SHOW MODELS IN shop") for _ in range(12)]
        for one in running:
            one.wait()
            assert one.rows and not one.error
        return server.counts()

    burst()
    before = burst()
    for _ in range(3):
        after = burst()
    for name, count in after.items():
        assert count <= before[name] * 1.1 + 2, (name, before, after)


def test_a_lost_backend_fails_only_what_needs_it(server: Server) -> None:
    backend = server.backend
    training = Running(server, f"{TRAIN} OPTIONS (epochs = 100000, early_stop = false)")
    until(lambda: live_runs(server))
    counted = "SELECT count(*) FROM (SELECT a.a FROM shop.xs a, range(0, 400000, 1, 2) b WHERE a.a + sin(b.id) < 1000)"
    scoring = Running(server, "SELECT classify('shop.m', a, b) AS label, count(*) FROM shop.xs GROUP BY 1")
    ordinary = Running(server, counted)
    time.sleep(1)
    os.kill(backend, signal.SIGKILL)
    training.wait()
    assert "[BACKEND_LOST] The Python process of bigdl-sqlext ended while the statement ran." in training.error
    ordinary.wait()
    assert ordinary.rows == [(16_000_000,)]
    scoring.wait()
    assert scoring.rows or "[BACKEND_LOST]" in scoring.error  # it may have been planned only after the end
    assert execute(server, "SHOW MODELS IN shop")
    assert server.backend != backend
    assert (
        sum(count for _, count in execute(server, "SELECT classify('shop.m', a, b), count(*) FROM shop.xs GROUP BY 1"))
        == 40
    )
    runs = execute(server, "SHOW TRAINING RUNS IN shop")
    assert ("FAILED", "backend lost") in {(status, error) for run in runs for status in run for error in run}
    assert live_runs(server) == []


def test_a_line_per_statement_without_its_text(server: Server) -> None:
    with pytest.raises(Exception, match="SECRET"):
        execute(server, "SELECT 'visible' AS secret FROM shop.xs WHERE SECRET_COLUMN = 1")
    execute(server, "SELECT 12345")

    def lines() -> list[str]:
        return re.findall(r"StatementLog: (ann: .*)", server.log.read_text())

    until(lambda: any(re.fullmatch(r"ann: SELECT, \d+\.\d s, finished", line) for line in lines()), 10)
    assert any(
        line.startswith("ann: SELECT") and line.endswith("failed: UNRESOLVED_COLUMN.WITH_SUGGESTION")
        for line in lines()
    )
    assert not any("12345" in line or "visible" in line for line in lines())


def test_sigterm_tells_clients_and_ends_in_ten_seconds(server: Server) -> None:
    """The last test of this file: it ends the server."""
    with hive.connect("127.0.0.1", port=server.port, username="ann") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM range(0, 10000000000, 1, 2) WHERE sin(id) > 2", async_=True)
        until(lambda: cursor.poll().operationState == TOperationState.RUNNING_STATE)
        time.sleep(2)
        started = time.monotonic()
        os.kill(server.process.pid, signal.SIGTERM)
        until(lambda: cursor.poll().operationState == TOperationState.ERROR_STATE, 8)
        assert "because the server is shutting down" in cursor.poll().errorMessage
    server.process.wait(12)
    assert time.monotonic() - started < 12
    assert not Path(f"/proc/{server.process.pid}/task").exists()
