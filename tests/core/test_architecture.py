"""What docs/architecture.md and CONTRIBUTING.md say of the code: functions and lines exist, every package has a row."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.core.test_layers import LAYERS
from tests.support.pages import ROOT, blocks

PAGE = ROOT / "docs" / "architecture.md"
REFERENCES = sorted(set(re.findall(r"\[`([\w.]+)`\]\(([^)]+\.(?:py|scala))\)", PAGE.read_text())))


def python_names(file: Path) -> set[str]:
    """Functions, classes and methods (``Class.method``) that the file defines."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{child.name}" for child in node.body if isinstance(child, ast.FunctionDef)}
    return found


def scala_names(file: Path) -> set[str]:
    """``Type.method`` of every method, by the class or object whose definition precedes it."""
    found, owner = set(), ""
    for line in file.read_text().splitlines():
        if type_name := re.match(r"(?:private\[\w+\] )?(?:case )?(?:class|object|trait) (\w+)", line):
            owner = type_name[1]
        elif method := re.match(r"\s.*\bdef (\w+)", line):
            found.add(f"{owner}.{method[1]}")
    return found


def test_the_journeys_name_many_functions() -> None:
    assert len(REFERENCES) > 50


@pytest.mark.parametrize(("name", "target"), REFERENCES)
def test_a_function_exists(name: str, target: str) -> None:
    file = (PAGE.parent / target).resolve()
    names = python_names(file) if file.suffix == ".py" else scala_names(file)
    assert name in names, f"docs/architecture.md: {file.relative_to(ROOT)} defines no {name}"


def test_every_package_has_a_row() -> None:
    table = " ".join(re.findall(r"^\| (`.+?) \|", PAGE.read_text(), re.MULTILINE))
    listed = {name.removesuffix(".py").strip("/").rpartition("/")[2] for name in re.findall(r"`([^`]+)`", table)}
    assert listed == set(LAYERS) - {"sqlext"}, (
        "docs/architecture.md: one row per package, as in tests/core/test_layers.py"
    )


def added_lines() -> list[tuple[str, str]]:
    """(file, line) of every line that the diffs in CONTRIBUTING.md add."""
    found = []
    for block in blocks(ROOT / "CONTRIBUTING.md", "diff"):
        file = ""
        for line in block.splitlines():
            if line.startswith("+++ "):
                file = line.removeprefix("+++ ")
            elif line.startswith("+"):
                found.append((file, line[1:].removesuffix(" ...")))
    return found


@pytest.mark.parametrize(("file", "line"), added_lines())
def test_a_line_of_an_example_is_in_its_file(file: str, line: str) -> None:
    assert line in (ROOT / file).read_text(), f"CONTRIBUTING.md: {file} has no line {line!r}"


def test_each_kind_of_addition_has_an_example() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add something")[2].partition("\n## ")[0]
    kinds = section.split("\n### ")[1:]
    assert len(kinds) == 6 and all("```diff" in kind for kind in kinds)
