"""``sqlext demo`` from images to a page, twice: with the drawn flowers, and with a user's folder and network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SQLEXT = Path(sys.executable).parent / "sqlext"
SMALL = Path(__file__).parents[2] / "sqlext" / "networks" / "small.onnx"


def sqlext(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([SQLEXT, *arguments], capture_output=True, text=True, timeout=400, cwd=folder, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def printed(folder: Path) -> list[str]:
    return sqlext(folder, "demo", "--output", "out").stdout.splitlines()


def ending(lines: list[str]) -> tuple[str, Path]:
    """The printed accuracy and the page."""
    accuracy, picture = (re.fullmatch(pattern, line) for pattern, line in zip(ENDING, lines[-2:], strict=True))
    assert accuracy and picture, lines[-2:]
    return accuracy[1], Path(picture[1])


ENDING = (r"held-out accuracy: (\d\.\d\d)", r"picture: (/.+)")


def test_it_ends_with_the_accuracy_and_the_picture(folder: Path, printed: list[str]) -> None:
    accuracy, page = ending(printed)
    assert 0.9 <= float(accuracy) < 1
    html = page.read_text()
    wrong = html.count('class="card wrong"')
    assert html.count('class="card') == 100
    assert f"{1 - wrong / 100:.2f}" == accuracy
    assert html.count('src="data:image/jpeg;base64,') >= 100
    # A second process, with the models of the first.
    query = "SELECT avg(if(classify('demo.classifier', image) = label, 1, 0)) AS a FROM demo.val"
    again = sqlext(folder, "sql", "--warehouse", "out/warehouse", "--format", "json", "-e", query).stdout
    assert f"{json.loads(again)['a']:.2f}" == accuracy


@pytest.mark.parametrize(
    "words",
    [
        r"^CREATE DATABASE IF NOT EXISTS demo;$",
        r"^IMPORT MODEL models\.small FROM 'sqlext:small' FORMAT ONNX;$",
        r"^TRAIN MODEL demo\.classifier FROM demo\.train FEATURES \(image\) LABEL label$",
        r"│ one_of_them +│$",
        r"│ JPEG \d+x\d+, \d+(\.\d)? KB │$",
        r"│ rows_trained +│ 200 +│",
        r"^EVALUATE MODEL demo\.classifier FROM demo\.val;$",
        r"│ \w+ +│ \[-?\d.*, \.\. 160 values\] │",
        r"│ looked_for │ found +│ similarity │",
        r"│ epoch │ +loss │ val_loss │",
        r"^SHOW MODELS IN demo;$",
    ],
)
def test_every_step_is_printed_with_its_result(printed: list[str], words: str) -> None:
    assert any(re.search(words, line) for line in printed)


def test_similar_pictures_are_of_the_same_kind(printed: list[str]) -> None:
    start = next(i for i, line in enumerate(printed) if "looked_for │ found" in line) + 2
    pairs = [[cell.strip() for cell in line.split("│")[1:4]] for line in printed[start : start + 5]]
    assert sum(looked_for == found for looked_for, found, _ in pairs) >= 3
    similarities = [float(similarity) for *_, similarity in pairs]
    assert similarities == sorted(similarities, reverse=True)


@pytest.mark.slow
def test_a_users_folder_and_network(folder: Path, printed: list[str]) -> None:
    own = folder / "my pictures, {2}"
    for part, count in (("train", 16), ("val", 8)):
        for kind in ("poppy", "sunflower"):
            (own / part / kind).mkdir(parents=True)
            for file in sorted((folder / "out" / "images" / part / kind).iterdir())[:count]:
                shutil.copy(file, own / part / kind)
    shutil.copy(SMALL, folder / "user's net.onnx")
    arguments = (
        "--images",
        str(own),
        "--backbone",
        "user's net.onnx",
        "--output",
        "own",
        "--warehouse",
        "out/warehouse",
    )
    lines = sqlext(folder, "demo", *arguments).stdout.splitlines()
    accuracy, page = ending(lines)
    assert float(accuracy) >= 0.8
    assert page.read_text().count('class="card') == 16
    assert any(re.search(r"│ version +│ 2 ", line) for line in lines)  # next to the version of the first run
