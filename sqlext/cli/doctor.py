"""``sqlext doctor``: what is installed, what is missing and how to get it."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sqlext.catalog.entry import ModelEntry
from sqlext.catalog.names import ModelName
from sqlext.cli.common import open_session, session_options
from sqlext.cli.encoding import encoding_problem
from sqlext.errors import SqlExtError
from sqlext.jvm.build import LANGUAGE
from sqlext.jvm.language import language
from sqlext.settings import backbone_of_settings
from sqlext.spark.conf import available_cores
from sqlext.spark.jars import JAR as file
from sqlext.spark.jars import bigdl_jars
from sqlext.spark.java import find_java, java_version
from sqlext.text import byte_size
from sqlext.udfs import FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


OK, MISSING, NOTE = "ok", "missing", "note"
STYLES = {OK: "green", MISSING: "bold red", NOTE: "yellow"}
# Resident memory of a Python worker with its libraries and an engine, and of a loaded network per byte of its file, as
# measured with ResNet-50 and the small backbone in OpenVINO and onnxruntime.
WORKER, PER_NETWORK_BYTE = 170 << 20, 3.5
CPU_FLAGS = {
    "AVX2": "avx2",
    "AVX-512": "avx512f",
    "VNNI": "avx512_vnni",
    "BF16": "avx512_bf16",
    "AMX": "amx_tile",
}


@dataclass(frozen=True)
class Check:
    """One line: ``status`` is ok, missing (something required is missing) or note; ``advice`` says what to do."""

    check: str
    status: str
    found: str
    advice: str = ""


@click.command("doctor")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@session_options
def command(form: str, warehouse: str | None, master: str | None, conf: tuple[str, ...]) -> None:
    """Show what is installed, what is missing and how to get it.

    With --warehouse (or --conf for your metastore), also start Spark and look for the default backbone. The exit status is
    1 if something required is missing, otherwise 0.
    """
    from sqlext.cli.output import claim_stdout, line_width

    stream = claim_stdout()
    checks = list(environment())
    backbone = None
    if (warehouse or master or conf) and not any(check.status == MISSING for check in checks):
        found, backbone = of_the_metastore(warehouse, master, conf)
        checks += found
    else:
        advice = "use --warehouse DIR, or --conf for your metastore, to look for it"
        checks.append(Check("default backbone", NOTE, "not checked", advice))
    checks.append(memory(backbone))
    if form == "json":
        stream.writelines(json.dumps(asdict(check)) + "\n" for check in checks)
    else:
        _print(checks, line_width(stream), stream)
    sys.exit(1 if any(check.status == MISSING for check in checks) else 0)


def _print(checks: list[Check], width: int, stream: object) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("check", "status", "found", "what to do", box=box.SQUARE)
    for check in checks:
        status = Text(check.status, style=STYLES[check.status])
        table.add_row(check.check, status, Text(check.found), Text(check.advice))
    Console(file=stream, width=width, highlight=False).print(table)  # type: ignore[arg-type]


def environment() -> Iterator[Check]:
    """Everything that can be checked without starting Spark."""
    machine = f"{platform.system()} {platform.machine()}"
    fits = machine == "Linux x86_64"
    yield Check(
        "platform", OK if fits else MISSING, machine, "" if fits else "BigDL's libraries are for Linux x86-64 only"
    )
    version = platform.python_version()
    fits = sys.version_info[:2] == (3, 11)
    yield Check(
        "Python",
        OK if fits else MISSING,
        version,
        "" if fits else "install Python 3.11, the newest that PySpark 3.4 supports",
    )
    yield java()
    yield file_names()
    yield package("Spark", "pyspark", "3.4.1")
    yield bigdl()
    yield jar()
    yield cpu()
    yield from engines()


def java() -> Check:
    try:
        home = find_java()
    except SqlExtError as error:
        return Check(
            "Java", MISSING, str(error), "pip install 'bigdl-sqlext[java]', or set JAVA_HOME to a Java 8, 11 or 17"
        )
    return Check("Java", OK, f"{java_version(home)} in {home}")


def file_names() -> Check:
    """Whether Java can open files with any name."""
    problem = encoding_problem()
    found, _, advice = (problem or "the locale's character encoding is UTF-8").partition("; ")
    return Check("file names", NOTE if problem else OK, found, advice)


def package(name: str, distribution: str, wanted: str) -> Check:
    """A package that must be installed in exactly one version."""
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return Check(name, MISSING, "not installed", f"pip install {distribution}=={wanted}")
    if version != wanted:
        return Check(
            name,
            MISSING,
            f"{distribution} {version}",
            f"pip install {distribution}=={wanted}: other versions are untested",
        )
    return Check(name, OK, version)


def bigdl() -> Check:
    check = package("BigDL", "bigdl-dllib-spark3", "2.5.0b20240324")
    if check.status == OK and not any(jar.is_file() for jar in bigdl_jars()):
        return Check(
            "BigDL",
            MISSING,
            f"{check.found}, without its jar",
            "pip install --force-reinstall --no-deps bigdl-dllib-spark3",
        )
    advice = "" if check.status == OK else f"{check.advice} (needed to train; scoring works without it)"
    return Check("BigDL", check.status, check.found, advice)


def jar() -> Check:
    """The shim's jar, and whether it was built from the current Python lists."""
    if not file.is_file():
        return Check("sqlext jar", MISSING, f"{file} does not exist", "run make jar, or reinstall the package")
    with zipfile.ZipFile(file) as archive:
        stale = json.loads(archive.read(LANGUAGE))["digest"] != language()["digest"]
    if stale:
        return Check(
            "sqlext jar",
            MISSING,
            f"{file} is from another build of the package",
            "run make jar, or reinstall the package",
        )
    return Check("sqlext jar", OK, f"{file.name}, {byte_size(file.stat().st_size)}")


def cpu() -> Check:
    """The CPU instructions that determine how fast the engines are."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.is_file() else ""
    flags = set(match[1].split()) if (match := re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)) else set()
    present = [name for name, flag in CPU_FLAGS.items() if flag in flags]
    absent = [name for name in CPU_FLAGS if name not in present]
    found = f"{available_cores()} cores with {', '.join(present) or 'none of ' + ', '.join(CPU_FLAGS)}"
    advice = f"without {', '.join(absent)}" if present and absent else ""
    if "AVX2" not in present:
        advice = "scoring is slow without AVX2"
    return Check("CPU", OK if "AVX2" in present else NOTE, found, advice)


def engines() -> Iterator[Check]:
    """The scoring engines in Python, of which one is required. BigDL, the third engine, has its own check."""
    from sqlext.engines import ENGINES, available, cpu_supports_bf16

    reasons = {name: available(name) for name in ENGINES}
    none = all(reasons.values())
    for name, reason in reasons.items():
        precisions = "f32 and bf16" if name == "openvino" and reason is None and cpu_supports_bf16() else "f32"
        found = f"{metadata.version(name)}, {precisions}" if reason is None else "cannot be used"
        yield Check(f"engine {name}", OK if reason is None else MISSING if none else NOTE, found, reason or "")


def of_the_metastore(
    warehouse: str | None, master: str | None, conf: tuple[str, ...]
) -> tuple[list[Check], ModelEntry | None]:
    """The checks that need a session, and the default backbone."""
    spark = open_session(warehouse, master, conf)
    try:
        found, backbone = default_backbone(spark)
        return [found, functions(spark)], backbone
    finally:
        spark.stop()


def functions(spark: SparkSession) -> Check:
    """Persistent functions that the short names of our functions hide."""
    from sqlext.catalog.functions import hidden_functions

    hidden = list(hidden_functions(spark, (function.name for function in FUNCTIONS)))
    if not hidden:
        return Check("functions", OK, "no persistent function is hidden")
    advice = "qualify their names with the database, or limit our short names with spark.sqlext.functions"
    return Check("functions", NOTE, f"built-in functions hide {', '.join(hidden)}", advice)


def default_backbone(spark: SparkSession) -> tuple[Check, ModelEntry | None]:
    """The model that TRAIN without BACKBONE uses, and embed_resnet(), too, unless spark.sqlext.backbone is set."""
    from sqlext.catalog.facade import ModelCatalog

    try:
        name, _ = backbone_of_settings(spark)
        catalog = ModelCatalog(spark)
        entry = catalog.find(ModelName.of(tuple(name.split(".")), catalog.current_namespace()))
    except SqlExtError as error:
        return Check("default backbone", NOTE, str(error)), None
    if entry is None:
        advice = f"IMPORT MODEL {name} FROM 'file:..' FORMAT ONNX, or 'sqlext:small' to try things out"
        return Check("default backbone", NOTE, f"{name} does not exist", advice), None
    return Check(
        "default backbone", OK, f"{name}, version {entry.default.version}, {byte_size(entry.default.size_bytes)}"
    ), entry


def memory(backbone: ModelEntry | None) -> Check:
    """The memory of the Python workers, in addition to the JVM's: one worker per core, each with a compiled network."""
    # 100 MB is about the size of a ResNet-50 file.
    network = backbone.default.size_bytes if backbone is not None else 100 << 20
    cores = available_cores()
    each = WORKER + int(PER_NETWORK_BYTE * network)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    scored = "the default backbone" if backbone is not None else "a ResNet-50"
    needed = f"{cores} workers x {byte_size(each)} = {byte_size(cores * each)}"
    found = f"{byte_size(total)}; scoring with {scored} takes about {needed} outside the JVM"
    tight = cores * each > total / 2
    advice = "use fewer cores (--master local[n]) or a smaller network; on YARN raise spark.executor.memoryOverhead"
    return Check("memory", NOTE if tight else OK, found, advice if tight else "")
