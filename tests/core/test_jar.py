"""The jar: the same bytes from the same sources, nothing compiled twice, what language.json says."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sqlext.jvm import build as builder
from sqlext.jvm.language import digest, language
from sqlext.spark.java import find_java


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In a separate folder, with the classes of the jar that `make jar` has built."""
    folder = tmp_path_factory.mktemp("jar")
    shutil.copy(builder.JAR, folder)
    return builder.build(folder)


@pytest.mark.slow
def test_two_builds_are_the_same_bytes(jar: Path, tmp_path: Path) -> None:
    assert builder.build(tmp_path).read_bytes() == jar.read_bytes()


def test_only_changed_lists_are_written_again(jar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = jar.read_bytes()
    monkeypatch.setattr(builder, "_compile", lambda: pytest.fail("compiled again"))
    assert builder.build(jar.parent).read_bytes() == content
    with monkeypatch.context() as changed:
        changed.setattr(builder, "language", lambda: language() | {"heads": []})
        assert builder.build(jar.parent).read_bytes() != content
    assert builder.build(jar.parent).read_bytes() == content


def test_what_it_holds(jar: Path) -> None:
    with zipfile.ZipFile(jar) as archive:
        told = json.loads(archive.read(builder.LANGUAGE))
        assert archive.read(builder.PROVIDER) == b"org.apache.spark.sql.sqlext.SqlExtensionsProvider\n"
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert told["digest"] == digest(told)
    assert ["TRAIN", "MODEL"] in told["heads"]
    assert "classify" in {function["name"] for function in told["functions"]}


def test_a_fault_in_the_sources_is_the_compilers_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Broken.scala").write_text("object Broken { val x: Int = true }")
    monkeypatch.setattr(builder, "SOURCES", tmp_path)
    with pytest.raises(RuntimeError, match=r"(?s)does not compile.*Broken\.scala.*type mismatch"):
        builder.build(tmp_path / "out")


@pytest.mark.slow
def test_it_runs_on_java_8(jar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in it is younger than the oldest Java that Spark takes. A runtime alone does not know what is younger."""
    if not (find_java() / "lib/ct.sym").is_file():
        pytest.skip(f"{find_java()} is no JDK: it has no list of what each Java release brought")
    compile_with = builder.subprocess.run

    def for_java_8(command: list[str], **options: Any) -> Any:
        return compile_with([*command[:-1], "-release", "8", command[-1]], **options)

    monkeypatch.setattr(builder.subprocess, "run", for_java_8)
    with zipfile.ZipFile(jar) as archive:
        classes = {name: archive.read(name) for name in archive.namelist() if name.endswith(".class")}
    assert builder._compile() == classes
