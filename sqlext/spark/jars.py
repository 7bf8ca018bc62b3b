"""Where jars are: the shim's own, PySpark's, BigDL's."""

from __future__ import annotations

from importlib import metadata, util
from pathlib import Path

JAR_NAME = "sqlext-spark3.4_2.12.jar"
JAR = Path(__file__).parents[1] / "jars" / JAR_NAME


def spark_jars() -> Path:
    """PySpark's folder of jars."""
    spec = util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise RuntimeError("pyspark is not installed, so there is no Scala compiler and nothing to compile against.")
    return Path(spec.origin).parent / "jars"


def bigdl_jars() -> list[Path]:
    """BigDL's jars, found without importing it; empty where it is not installed."""
    found = []
    for name in ("bigdl-dllib-spark3", "bigdl-core"):
        try:
            files = metadata.distribution(name).files or []
        except metadata.PackageNotFoundError:
            continue
        found += [Path(str(f.locate())) for f in files if f.suffix == ".jar"]
    return found
