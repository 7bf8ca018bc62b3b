"""Spark sessions with bigdl-sqlext in place: :func:`session`, :func:`configure` for a builder of one's own, :func:`attach`."""

from __future__ import annotations

import os
import secrets
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from py4j.clientserver import ClientServer
from py4j.java_gateway import JavaObject, JavaPackage
from pyspark import SparkContext
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession

from sqlext.errors import SqlExtError, nearest
from sqlext.java import find_java
from sqlext.jvm.jars import JAR, bigdl_jars, spark_jars
from sqlext.warehouse import warehouse_options

EXTENSION = "org.apache.spark.sql.sqlext.SqlExtensions"
LOG_CONFIGURATION = Path(__file__).parent / "log4j2.properties"

# Only for sessions that session() makes on this machine; what the user gives always wins.
LOCAL_DEFAULTS = {
    "spark.driver.memory": "4g",
    "spark.sql.shuffle.partitions": str(max(2, os.cpu_count() or 2)),
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
# A cancelled statement's tasks would keep their cores until they look up.
ALWAYS_DEFAULTS = {"spark.sql.thriftServer.interruptOnCancel": "true"}

_attached: dict[str, Any] = {}  # application id and callback object: Py4J holds callback objects weakly


class AttachingBuilder(SparkSession.Builder):
    """A builder whose session comes with the Python side attached."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._options = dict(options)

    def getOrCreate(self) -> SparkSession:
        return attach(super().getOrCreate())


def session(
    master: str | None = None,
    warehouse: str | os.PathLike[str] | None = None,
    conf: Mapping[str, Any] | None = None,
    app_name: str = "bigdl-sqlext",
) -> SparkSession:
    """An ordinary SparkSession with everything in place; the running one when there is one.

    :param master: Spark's master; default: what spark-defaults.conf says, else ``local[*]``.
    :param warehouse: a folder for tables, models and the embedded metastore, made if missing; one process at a time.
    :param conf: any Spark settings; they win over every default of ours.
    :raises SqlExtError: JAVA_NOT_FOUND, WAREHOUSE_IN_USE, SESSION_NOT_READY.
    """
    options: dict[str, Any] = {
        "spark.app.name": app_name,
        **({"spark.master": master} if master else {}),
        **(conf or {}),
    }
    known = {**_file_defaults(), **options}
    if str(known.get("spark.master", "local")).startswith("local"):
        options = {**{k: v for k, v in LOCAL_DEFAULTS.items() if k not in known}, **options}
    if warehouse is not None:
        _check_warehouse(Path(warehouse))
        options |= warehouse_options(Path(warehouse), known)
    builder = SparkSession.Builder()
    for key, value in options.items():
        builder.config(key, value)
    return configure(builder).getOrCreate()


def _check_warehouse(folder: Path) -> None:
    """A session that runs keeps the warehouse that it was started with."""
    running = SparkSession.getActiveSession()
    wanted = folder.expanduser().resolve()
    if running is not None and running.conf.get("spark.sql.warehouse.dir") not in (wanted.as_uri(), str(wanted)):
        raise SqlExtError("SESSION_NOT_READY", lacks=f"the warehouse {wanted}")


def configure(builder: SparkSession.Builder) -> SparkSession.Builder:
    """Prepares a builder: class path, Hive support, our extension, the Python of the workers, Java.

    Returns a builder whose ``getOrCreate()`` also attaches the Python side; from the one passed in, call :func:`attach`.

    :raises SqlExtError: JAVA_NOT_FOUND, JAR_NOT_BUILT.
    """
    if not JAR.is_file():
        raise SqlExtError("JAR_NOT_BUILT", jar=JAR)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    if "PYSPARK_GATEWAY_PORT" not in os.environ and SparkContext._gateway is None:
        os.environ["JAVA_HOME"] = str(find_java())
    given = {**_file_defaults(), **builder._options}
    for key, value in _needed(given).items():
        builder.config(key, value)
    return AttachingBuilder(builder._options)


def _needed(given: Mapping[str, Any]) -> dict[str, str]:
    """The settings to add to ``given``. Spark's jars come first on the class path, BigDL's last: its jar bundles other
    versions of classes that Spark and Hive use. Not ``spark.jars``: Hive closes that loader with the first JDBC session."""
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
    """Our quiet logging, unless the user configures logging; without either, a file in BigDL's jar would take it over."""
    conf = Path(os.environ.get("SPARK_CONF_DIR") or Path(os.environ.get("SPARK_HOME", spark_jars().parent)) / "conf")
    if "log4j" in str(given.get("spark.driver.extraJavaOptions", "")):
        return []
    theirs = conf / "log4j2.properties"
    return [f"-Dlog4j2.configurationFile={(theirs if theirs.is_file() else LOG_CONFIGURATION).as_uri()}"]


def _file_defaults() -> dict[str, str]:
    """spark-defaults.conf, which spark-submit reads too."""
    conf = os.environ.get("SPARK_CONF_DIR") or os.path.join(os.environ.get("SPARK_HOME", spark_jars().parent), "conf")
    file = Path(conf, "spark-defaults.conf")
    lines = file.read_text().splitlines() if file.is_file() else []
    pairs = (
        line.replace("=", " ", 1).split(None, 1) for line in lines if line.strip() and not line.lstrip().startswith("#")
    )
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def attach(spark: SparkSession) -> SparkSession:
    """Connects this Python to the driver of ``spark``; a second call does nothing. Returns ``spark``.

    :raises SqlExtError: SESSION_NOT_READY when the session was started without our jar or Hive support, or from another
        build of the package; PINNED_THREADS_NEEDED.
    """
    from sqlext import bridge

    application = spark.sparkContext.applicationId
    if _attached.get("application") == application:
        return spark
    _check(spark)
    _start_callbacks(spark)
    backend = bridge.Backend()
    bridge.serve(bridge.hub(spark).attach(backend))
    _attached.update(application=application, backend=backend)
    _warn_of_unknown_settings(spark)
    return spark


def _start_callbacks(spark: SparkSession) -> None:
    """PySpark's callback server, with a token for its connections (Scala: CallbackToken)."""
    gateway: Any = SparkContext._gateway
    if gateway.python_parameters.auth_token is None:
        gateway.python_parameters.auth_token = secrets.token_urlsafe(32)
        ensure_callback_server_started(gateway)
        server = JavaObject("GATEWAY_SERVER", gateway._gateway_client)
        shim = spark._jvm.org.apache.spark.sql.sqlext  # type: ignore[union-attr]
        shim.CallbackToken.set(server, gateway.python_parameters.auth_token)


def _check(spark: SparkSession) -> None:
    from sqlext import bridge
    from sqlext.jvm.language import language

    if not isinstance(SparkContext._gateway, ClientServer):
        raise SqlExtError("PINNED_THREADS_NEEDED")
    if isinstance(bridge.hub(spark), JavaPackage):
        raise SqlExtError("SESSION_NOT_READY", lacks="bigdl-sqlext's jar on the driver's class path")
    if EXTENSION not in spark.sparkContext.getConf().get("spark.sql.extensions", ""):  # type: ignore[operator]
        raise SqlExtError("SESSION_NOT_READY", lacks=f"spark.sql.extensions={EXTENSION}")
    if spark.conf.get("spark.sql.catalogImplementation") != "hive":
        raise SqlExtError("SESSION_NOT_READY", lacks="Hive support")
    if bridge.hub(spark).languageDigest() != language()["digest"]:
        raise SqlExtError("JAR_IS_STALE", jar=JAR)


def _warn_of_unknown_settings(spark: SparkSession) -> None:
    from sqlext.settings import PREFIX, SETTINGS

    known = [s.key for s in SETTINGS]
    for key, _ in spark.sparkContext.getConf().getAll():
        if key.startswith(PREFIX) and key not in known:
            warnings.warn(f"{key} is no setting of bigdl-sqlext. {nearest(key, known)}", stacklevel=3)
