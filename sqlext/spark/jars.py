"""The locations of jars: the shim's, PySpark's and BigDL's."""

from __future__ import annotations

from importlib import metadata, util
from pathlib import Path

JAR_NAME = "sqlext-spark3.4_2.12.jar"
JAR = Path(__file__).parents[1] / "jars" / JAR_NAME


def spark_jars() -> Path:
    """PySpark's folder of jars.

    :raises RuntimeError: if PySpark is not installed.
    """
    spec = util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "PySpark is not installed; its jars contain the Scala compiler and the classes to compile against."
        )
    return Path(spec.origin).parent / "jars"


def bigdl_jars() -> list[Path]:
    """BigDL's jars, found without importing BigDL; empty if it is not installed."""
    found = []
    for name in ("bigdl-dllib-spark3", "bigdl-core"):
        try:
            files = metadata.distribution(name).files or []
        except metadata.PackageNotFoundError:
            continue
        found += [Path(str(f.locate())) for f in files if f.suffix == ".jar"]
    return found
