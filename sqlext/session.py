"""Spark sessions with the extension: :func:`session`, :func:`configure` for a user's own builder, :func:`attach`."""

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

from sqlext import bridge
from sqlext.errors import SqlExtError, nearest
from sqlext.jvm.language import language
from sqlext.settings import PREFIX, SETTINGS
from sqlext.spark.conf import EXTENSION, file_defaults, local_defaults, needed
from sqlext.spark.hub import hub
from sqlext.spark.jars import JAR
from sqlext.spark.java import find_java
from sqlext.spark.local_files import folder_named, local_path
from sqlext.spark.warehouse import WAREHOUSE, warehouse_options

_attached: dict[str, Any] = {}  # application id and callback object, to which Py4J has only a weak reference


class AttachingBuilder(SparkSession.Builder):
    """A builder whose ``getOrCreate`` also attaches this Python process (:func:`attach`)."""

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
    """Returns an ordinary SparkSession with the extension, or the running session if one exists.

    :param master: Spark's master; default: the one in spark-defaults.conf, otherwise ``local[*]``.
    :param warehouse: a folder for tables, models and the embedded metastore; it is created if missing, and only one
        process can use it at a time.
    :param conf: Spark settings; they override all our defaults.
    :raises SqlExtError: JAVA_NOT_FOUND, WAREHOUSE_IN_USE, SESSION_NOT_READY.
    """
    builder = SparkSession.Builder()
    for key, value in _session_options(master, warehouse, conf, app_name).items():
        builder.config(key, value)
    return configure(builder).getOrCreate()


def driver_options(
    master: str | None, warehouse: str | os.PathLike[str] | None, conf: Mapping[str, Any], app_name: str
) -> dict[str, Any]:
    """The settings of :func:`session` for a driver that another program starts, such as spark-submit.

    :raises SqlExtError: JAR_NOT_BUILT, WAREHOUSE_IN_USE.
    """
    _check_jar()
    options = _session_options(master, warehouse, conf, app_name)
    return {**options, **needed({**file_defaults(), **options})}


def _session_options(
    master: str | None, warehouse: str | os.PathLike[str] | None, conf: Mapping[str, Any] | None, app_name: str
) -> dict[str, Any]:
    options: dict[str, Any] = {
        "spark.app.name": app_name,
        **({"spark.master": master} if master else {}),
        **(conf or {}),
    }
    known = {**file_defaults(), **options}
    master = str(known.get("spark.master", "local[*]"))
    if master.startswith("local"):
        options = {**{k: v for k, v in local_defaults(master).items() if k not in known}, **options}
        known |= options
    if warehouse is not None:
        _check_warehouse(Path(warehouse))
        options |= warehouse_options(Path(warehouse), known)
    return options


def _check_jar() -> None:
    if not JAR.is_file():
        raise SqlExtError("JAR_NOT_BUILT", jar=JAR)


def _check_warehouse(folder: Path) -> None:
    """Refuses another warehouse than that of the running session, which cannot change it."""
    running = SparkSession.getActiveSession()
    wanted = folder_named(folder).resolve()
    if running is not None and local_path(str(running.conf.get(WAREHOUSE))) != wanted:
        raise SqlExtError("SESSION_NOT_READY", lacks=f"the warehouse {wanted}")


def configure(builder: SparkSession.Builder) -> SparkSession.Builder:
    """Prepares a builder: class path, Hive support, our extension, Java, and the Python of the workers.

    Returns a builder whose ``getOrCreate()`` also attaches Python; after ``builder.getOrCreate()``, call :func:`attach`.

    :raises SqlExtError: JAVA_NOT_FOUND, JAR_NOT_BUILT.
    """
    _check_jar()
    # Workers would otherwise run the python3 of PATH, which may lack this package.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    # Only a JVM that this process will start needs a Java. spark-submit names its own JVM in PYSPARK_GATEWAY_PORT.
    if "PYSPARK_GATEWAY_PORT" not in os.environ and SparkContext._gateway is None:
        os.environ["JAVA_HOME"] = str(find_java())
    known = {**file_defaults(), **builder._options}
    for key, value in needed(known).items():
        builder.config(key, value)
    return AttachingBuilder(builder._options)


def attach(spark: SparkSession) -> SparkSession:
    """Connects this Python process to the driver of ``spark`` and returns ``spark``; a second call does nothing.

    :raises SqlExtError: SESSION_NOT_READY if the session was started without our jar, our extension or Hive support;
        JAR_IS_STALE if the jar is from another build of the package; PINNED_THREADS_NEEDED.
    """
    application = spark.sparkContext.applicationId
    if _attached.get("application") == application:
        return spark
    _check(spark)
    _start_callbacks(spark)
    # In this order: only attach() returns the secret, and until it is stored, every call is refused.
    backend = bridge.Backend()
    bridge.serve(hub(spark).attach(backend))
    _attached.update(application=application, backend=backend)
    _warn_of_unknown_settings(spark)
    return spark


def _start_callbacks(spark: SparkSession) -> None:
    """Starts PySpark's callback server with a token for its connections (Scala: Callbacks); PySpark sets none."""
    gateway: Any = SparkContext._gateway
    if gateway.python_parameters.auth_token is None:
        gateway.python_parameters.auth_token = secrets.token_urlsafe(32)
        ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
        server = JavaObject("GATEWAY_SERVER", gateway._gateway_client)
        shim = spark._jvm.org.apache.spark.sql.sqlext  # type: ignore[union-attr]
        shim.Callbacks.install(server, gateway.python_parameters.auth_token)


def _check(spark: SparkSession) -> None:
    if not isinstance(SparkContext._gateway, ClientServer):
        raise SqlExtError("PINNED_THREADS_NEEDED")
    # Py4J returns a package, not an error, for a class that does not exist.
    if isinstance(hub(spark), JavaPackage):
        raise SqlExtError("SESSION_NOT_READY", lacks="bigdl-sqlext's jar on the driver's class path")
    if EXTENSION not in spark.sparkContext.getConf().get("spark.sql.extensions", ""):
        raise SqlExtError("SESSION_NOT_READY", lacks=f"spark.sql.extensions={EXTENSION}")
    if spark.conf.get("spark.sql.catalogImplementation") != "hive":
        raise SqlExtError("SESSION_NOT_READY", lacks="Hive support")
    if hub(spark).languageDigest() != language()["digest"]:
        raise SqlExtError("JAR_IS_STALE", jar=JAR)


def _warn_of_unknown_settings(spark: SparkSession) -> None:
    known = [s.key for s in SETTINGS]
    for key, _ in spark.sparkContext.getConf().getAll():
        if key.startswith(PREFIX) and key not in known:
            warnings.warn(f"{key} is not a setting of bigdl-sqlext. {nearest(key, known)}", stacklevel=3)
