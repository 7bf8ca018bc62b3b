"""A warehouse and files whose names mean something to URIs, shells, Java's options or Derby: one session does everything in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = "my  data é#50%+$;'x\"%20y&,z"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the session of odd_names_worker.py found."""
    top = tmp_path_factory.mktemp("names")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(Path(__file__).with_name("odd_names_worker.py")), str(top / FOLDER)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "top": sorted(path.name for path in top.iterdir())}


def test_every_statement_works(session: dict[str, Any]) -> None:
    assert {sql: error for sql, error in session["statements"].items() if error} == {}
    assert session["label"] in ("0", "1")
    assert session["same"] is True


def test_everything_lies_in_the_folder_that_was_named(session: dict[str, Any]) -> None:
    assert session["top"] == [FOLDER]
    assert {"rows", "d.db", "_metastore", "_derby.log", "ex port é#%41;'"} <= set(session["inside"])
    assert session["events"]


def test_only_the_folder_is_allowed(session: dict[str, Any]) -> None:
    assert "PATH_NOT_ALLOWED" in session["sibling"]
