"""The Spark settings that bigdl-sqlext needs in addition to the user's."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from sqlext.settings import PREFIX, setting
from sqlext.spark.jars import JAR, bigdl_jars, spark_jars
from sqlext.spark.java_classes import java_classes

PYTHON = f"{PREFIX}python"
EXTENSION = "org.apache.spark.sql.sqlext.SqlExtensions"
LOG_CONFIGURATION = Path(__file__).parents[1] / "log4j2.properties"

# On one machine the JVM's optimizing compiler (C2) competes with the work for the cores, and in the first minutes it takes as
# much CPU as the rest of the JVM. With ten times the usual thresholds, code that stays hot is still compiled, a little later.
LATE_C2 = (
    "-XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000"
)
# Only for sessions that session() starts on this machine; the user's settings always win.
LOCAL_DEFAULTS = {
    "spark.driver.memory": "4g",
    "spark.driver.extraJavaOptions": LATE_C2,
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
# Without this, the tasks of a cancelled statement keep their cores until they check for the cancel themselves.
ALWAYS_DEFAULTS = {"spark.sql.thriftServer.interruptOnCancel": "true"}
_CGROUP = Path("/sys/fs/cgroup")


def local_defaults(master: str) -> dict[str, str]:
    """:data:`LOCAL_DEFAULTS`, and as many shuffle partitions as ``local[n]`` has cores or else this process, at least two."""
    cores = re.fullmatch(r"local\[(\d+)[^\]]*\]", master)
    count = int(cores[1]) if cores else available_cores()
    # Spark's default is 200: on one machine, each shuffle would be cut into 200 tiny tasks.
    return {**LOCAL_DEFAULTS, "spark.sql.shuffle.partitions": str(max(2, count))}


def available_cores() -> int:
    """The cores that this process may use: in a container those of its CPU quota (rounded up), not those of the host."""
    # Only Linux reports the cores of a process.
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
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


def stock_defaults(master: str) -> dict[str, str]:
    """The lines for spark-defaults.conf of a Spark that is not started by this package, for ``sqlext conf``.

    Lines that are already in the file are completed, not repeated.
    """
    users = {key: value for key, value in file_defaults().items() if not key.startswith(PREFIX)}
    return {**needed({**users, "spark.master": master}), PYTHON: sys.executable}


def needed(settings: Mapping[str, Any]) -> dict[str, str]:
    """The settings to add to ``settings``.

    Spark's jars come first on the class path and BigDL's last, because BigDL's jar bundles other versions of classes that
    Spark and Hive use. The driver does not use ``spark.jars``: Hive closes the class loader of those jars when the first
    JDBC session ends, and classes that are not loaded by then are lost for all sessions.
    """
    jars = [str(_spark_home() / "jars" / "*"), str(JAR), *map(str, bigdl_jars())]
    extensions = [e for e in str(settings.get("spark.sql.extensions", "")).split(",") if e and e != EXTENSION]
    needed = {
        # Last: Spark wraps parsers in this order, so ours sees a text before those of other extensions.
        "spark.sql.extensions": ",".join([*extensions, EXTENSION]),
        "spark.sql.catalogImplementation": "hive",
        "spark.driver.extraClassPath": _joined(jars, settings.get("spark.driver.extraClassPath"), ":"),
        "spark.driver.extraJavaOptions": " ".join(
            # Not split at spaces, since a quoted option may contain some.
            [*_log_option(settings), str(settings.get("spark.driver.extraJavaOptions") or "")]
        ).strip(),
    }
    master = str(settings.get("spark.master", "local"))
    # A local master's executors are in the driver, which has the class path already.
    if not master.startswith("local"):
        needed["spark.executor.extraClassPath"] = _joined(jars, settings.get("spark.executor.extraClassPath"), ":")
    if master.startswith(("yarn", "k8s")):  # this Python environment may not exist on the executors' machines
        needed["spark.jars"] = _joined([str(JAR), *map(str, bigdl_jars())], settings.get("spark.jars"), ",")
    return {**{k: v for k, v in ALWAYS_DEFAULTS.items() if k not in settings}, **needed}


def _joined(ours: list[str], users: object, separator: str) -> str:
    others = [part for part in str(users or "").split(separator) if part and part not in ours]
    return separator.join([*ours, *others])


def _log_option(settings: Mapping[str, Any]) -> list[str]:
    """Our quiet logging, unless the user configures logging. With neither, a file in BigDL's jar would take effect."""
    if "log4j" in str(settings.get("spark.driver.extraJavaOptions", "")):
        return []
    users = _conf_folder() / "log4j2.properties"
    return [f"-Dlog4j2.configurationFile={(users if users.is_file() else LOG_CONFIGURATION).as_uri()}"]


def file_defaults() -> dict[str, str]:
    """The settings in spark-defaults.conf, as spark-submit reads them."""
    file = _conf_folder() / "spark-defaults.conf"
    lines = file.read_text().splitlines() if file.is_file() else []
    found = (re.match(r"\s*([^#\s=:]+)[\s=:]+(.+)", line) for line in lines)
    return {pair[1]: pair[2].strip() for pair in found if pair}


def _conf_folder() -> Path:
    return Path(os.environ.get("SPARK_CONF_DIR") or _spark_home() / "conf")


def _spark_home() -> Path:
    """The Spark that runs: SPARK_HOME, otherwise PySpark's folder."""
    return Path(os.environ.get("SPARK_HOME") or spark_jars().parent)


def setting_bytes(spark: SparkSession, name: str) -> int:
    """The value of a setting of type bytes: '256m' -> 268435456."""
    sizes = java_classes(spark).org.apache.spark.network.util.JavaUtils
    return int(sizes.byteStringAsBytes(setting(spark, name)))
