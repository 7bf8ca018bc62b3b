"""Compiles the shim: ``python -m sqlext.jvm.build [--to FOLDER]``.

PySpark's own jars contain the Scala compiler and all classes to compile against, so that only Java and the installed packages
are needed. The jar is byte-reproducible (sorted entries, fixed dates). Compiled classes are reused while the sources and the
class path do not change; a change of the Python lists only rewrites ``language.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

from sqlext.jvm.language import language
from sqlext.spark.jars import JAR, JAR_NAME, bigdl_jars, spark_jars
from sqlext.spark.java import find_java

SOURCES = Path(__file__).parent / "src"
LANGUAGE = "META-INF/sqlext/language.json"
PROVIDER = "META-INF/services/org.apache.spark.sql.SparkSessionExtensionsProvider"
_BUILD = "META-INF/sqlext/build.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold


def build(folder: Path) -> Path:
    """Writes the jar into ``folder``, unless an identical one exists, and returns its path.

    :raises SqlExtError: JAVA_NOT_FOUND.
    :raises RuntimeError: if the compiler fails, with its output.
    """
    jar = folder / JAR_NAME
    inputs = _digest()
    classes = _reusable_classes(jar, inputs) or _compile()
    entries = classes | {
        PROVIDER: b"org.apache.spark.sql.sqlext.SqlExtensionsProvider\n",
        LANGUAGE: json.dumps(language(), indent=1, sort_keys=True).encode(),
        _BUILD: json.dumps({"inputs": inputs, "spark": metadata.version("pyspark")}).encode(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    _write(jar, entries)
    return jar


def _sources() -> list[Path]:
    return sorted(SOURCES.glob("*.scala"))


def _digest() -> str:
    """A hash of what the classes depend on: the sources and the names of the jars that they are compiled against."""
    parts = [f"{p.name} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in _sources()]
    # The names contain the versions; hashing the content of 300 jars would take seconds.
    parts += [p.name for p in sorted([*spark_jars().glob("*.jar"), *bigdl_jars()])]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _reusable_classes(jar: Path, inputs: str) -> dict[str, bytes] | None:
    if not jar.is_file():
        return None
    with zipfile.ZipFile(jar) as old:
        if _BUILD not in old.namelist() or json.loads(old.read(_BUILD))["inputs"] != inputs:
            return None
        return {name: old.read(name) for name in old.namelist() if name.endswith(".class")}


def _compile() -> dict[str, bytes]:
    """Runs scalac and returns the bytes of each class file by its name."""
    jars = spark_jars()
    compiler = [next(jars.glob(f"scala-{part}-2.12.*.jar")) for part in ("compiler", "reflect", "library")]
    against = [*sorted(jars.glob("*.jar")), *bigdl_jars()]
    with tempfile.TemporaryDirectory() as out:
        command = [str(find_java() / "bin" / "java"), "-Xss4m", "-cp", _path(compiler), "scala.tools.nsc.Main"]
        # The class path goes into a file: with 300 jars it is longer than some systems allow for a command line.
        arguments = Path(out, "arguments")
        arguments.write_text("\n".join(["-deprecation", "-cp", _path(against), "-d", out, *map(str, _sources())]))
        done = subprocess.run([*command, f"@{arguments}"], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"The Scala shim does not compile:\n{done.stdout}{done.stderr}")
        return {str(p.relative_to(out)): p.read_bytes() for p in Path(out).rglob("*.class")}


def _path(jars: list[Path]) -> str:
    return ":".join(map(str, jars))


def _write(jar: Path, entries: dict[str, bytes]) -> None:
    """Writes the jar under another name and then renames it, because a running Spark may have the old jar open."""
    new = jar.with_suffix(".new")
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, entries[name])
    if jar.is_file() and jar.read_bytes() == new.read_bytes():
        new.unlink()
    else:
        new.replace(jar)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sqlext.jvm.build", description="Compile the Scala shim.")
    parser.add_argument("--to", type=Path, default=JAR.parent, metavar="FOLDER")
    try:
        jar = build(parser.parse_args().to)
    except Exception as error:  # one sentence, no traceback: this runs inside pip
        sys.exit(f"{error}")
    print(f"{jar} ({jar.stat().st_size // 1024} KB)")


if __name__ == "__main__":
    main()
