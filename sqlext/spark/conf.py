"""The Spark settings that bigdl-sqlext needs, beside those that the user gives."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from sqlext.settings import setting
from sqlext.spark.jars import JAR, bigdl_jars, spark_jars
from sqlext.spark.java_classes import java_classes

EXTENSION = "org.apache.spark.sql.sqlext.SqlExtensions"
LOG_CONFIGURATION = Path(__file__).parents[1] / "log4j2.properties"

# On one machine the JVM's optimizing compiler and the work share the cores, and over the first minutes it takes as much CPU
# as the rest of the JVM. Ten times its usual thresholds: what stays hot is compiled all the same, a little later.
LATE_C2 = (
    "-XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000"
)
# Only for sessions that session() makes on this machine; what the user gives always wins.
LOCAL_DEFAULTS = {
    "spark.driver.memory": "4g",
    "spark.driver.extraJavaOptions": LATE_C2,
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
# A cancelled statement's tasks would keep their cores until they look up.
ALWAYS_DEFAULTS = {"spark.sql.thriftServer.interruptOnCancel": "true"}
_CGROUP = Path("/sys/fs/cgroup")


def local_defaults(master: str) -> dict[str, str]:
    """:data:`LOCAL_DEFAULTS` and as many shuffle partitions as the local ``master`` has cores, at least two."""
    cores = re.fullmatch(r"local\[(\d+)[^\]]*\]", master)
    count = int(cores[1]) if cores else available_cores()
    return {**LOCAL_DEFAULTS, "spark.sql.shuffle.partitions": str(max(2, count))}


def available_cores() -> int:
    """The cores that this process may use: in a container those of its CPU quota (rounded up), not those of the host."""
    count = len(os.sched_getaffinity(0))
    quota = _quota()
    return count if quota is None else max(1, min(count, math.ceil(quota)))


def _quota() -> float | None:
    """The CPU quota of the control group, in cores; None without one."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # version 2, version 1
        files = [_CGROUP / name for name in names]
        if all(file.is_file() for file in files):
            quota, period = " ".join(file.read_text() for file in files).split()
            return None if quota in ("max", "-1") else int(quota) / int(period)
    return None


def needed(given: Mapping[str, Any]) -> dict[str, str]:
    """The settings to add to ``given``.

    Spark's jars come first on the class path, BigDL's last: its jar bundles other versions of classes that Spark and
    Hive use. Not ``spark.jars``, in the driver: Hive closes the loader of those with the first JDBC session.
    """
    jars = [str(spark_jars() / "*"), str(JAR), *map(str, bigdl_jars())]
    extensions = [e for e in str(given.get("spark.sql.extensions", "")).split(",") if e and e != EXTENSION]
    needed = {
        "spark.sql.extensions": ",".join([*extensions, EXTENSION]),
        "spark.sql.catalogImplementation": "hive",
        "spark.driver.extraClassPath": _joined(jars, given.get("spark.driver.extraClassPath"), ":"),
        "spark.driver.extraJavaOptions": _joined(_log_option(given), given.get("spark.driver.extraJavaOptions"), " "),
    }
    master = str(given.get("spark.master", "local"))
    if not master.startswith("local"):
        needed["spark.executor.extraClassPath"] = _joined(jars, given.get("spark.executor.extraClassPath"), ":")
    if master.startswith(("yarn", "k8s")):  # the executors' machines need not have this environment
        needed["spark.jars"] = _joined([str(JAR), *map(str, bigdl_jars())], given.get("spark.jars"), ",")
    return {**{k: v for k, v in ALWAYS_DEFAULTS.items() if k not in given}, **needed}


def _joined(ours: list[str], given: object, separator: str) -> str:
    theirs = [part for part in str(given or "").split(separator) if part and part not in ours]
    return separator.join([*ours, *theirs])


def _log_option(given: Mapping[str, Any]) -> list[str]:
    """Our quiet logging, unless the user configures logging; without either, a file in BigDL's jar would decide."""
    if "log4j" in str(given.get("spark.driver.extraJavaOptions", "")):
        return []
    theirs = _conf_folder() / "log4j2.properties"
    return [f"-Dlog4j2.configurationFile={(theirs if theirs.is_file() else LOG_CONFIGURATION).as_uri()}"]


def file_defaults() -> dict[str, str]:
    """spark-defaults.conf, which spark-submit reads too."""
    file = _conf_folder() / "spark-defaults.conf"
    lines = file.read_text().splitlines() if file.is_file() else []
    found = (re.match(r"\s*([^#\s=:]+)[\s=:]+(.+)", line) for line in lines)
    return {pair[1]: pair[2].strip() for pair in found if pair}


def _conf_folder() -> Path:
    home = os.environ.get("SPARK_HOME") or spark_jars().parent
    return Path(os.environ.get("SPARK_CONF_DIR") or Path(home) / "conf")


def setting_bytes(spark: SparkSession, name: str) -> int:
    """The value of a setting of type bytes: '256m' -> 268435456."""
    sizes = java_classes(spark).org.apache.spark.network.util.JavaUtils
    return int(sizes.byteStringAsBytes(setting(spark, name)))
