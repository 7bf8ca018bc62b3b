"""A model exported from one warehouse gives the same predictions in another one with its own metastore and process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sqlext.cli.demo_images import write_flowers

WORKER = Path(__file__).with_name("transfer_worker.py")


def warehouse(folder: Path, images: Path, export: Path, action: str) -> Any:
    command = [sys.executable, str(WORKER), str(folder), str(images), str(export), action]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_the_same_answers_in_another_warehouse(tmp_path: Path) -> None:
    write_flowers(tmp_path / "flowers", train=6, validation=1)
    images, export = tmp_path / "flowers" / "train", tmp_path / "export"
    exported = warehouse(tmp_path / "a", images, export, "export")
    imported = warehouse(tmp_path / "b", images, export, "import")
    assert imported["message"] == "its backbone was imported as models.small version 1"
    assert exported["scores"].keys() == imported["scores"].keys() and len(exported["scores"]) == 30
    for path, (label, score) in exported["scores"].items():
        assert imported["scores"][path] == [label, pytest.approx(score, abs=1e-6)]
    assert imported["metrics"] == exported["metrics"] and exported["metrics"]["rows_evaluated"] > 0
