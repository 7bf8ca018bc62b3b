"""Spark sessions with everything in place: :func:`session`, :func:`configure` for one's own builder, :func:`attach`."""

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
from sqlext.spark.warehouse import warehouse_options

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
    known = {**file_defaults(), **options}
    master = str(known.get("spark.master", "local[*]"))
    if master.startswith("local"):
        options = {**{k: v for k, v in local_defaults(master).items() if k not in known}, **options}
        known |= options
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

    Returns a builder whose ``getOrCreate()`` attaches Python too; after ``builder``'s own, call :func:`attach`.

    :raises SqlExtError: JAVA_NOT_FOUND, JAR_NOT_BUILT.
    """
    if not JAR.is_file():
        raise SqlExtError("JAR_NOT_BUILT", jar=JAR)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    if "PYSPARK_GATEWAY_PORT" not in os.environ and SparkContext._gateway is None:
        os.environ["JAVA_HOME"] = str(find_java())
    given = {**file_defaults(), **builder._options}
    for key, value in needed(given).items():
        builder.config(key, value)
    return AttachingBuilder(builder._options)


def attach(spark: SparkSession) -> SparkSession:
    """Connects this Python to the driver of ``spark``; a second call does nothing. Returns ``spark``.

    :raises SqlExtError: SESSION_NOT_READY when the session was started without our jar or Hive support, or from another
        build of the package; PINNED_THREADS_NEEDED.
    """
    application = spark.sparkContext.applicationId
    if _attached.get("application") == application:
        return spark
    _check(spark)
    _start_callbacks(spark)
    backend = bridge.Backend()
    bridge.serve(hub(spark).attach(backend))
    _attached.update(application=application, backend=backend)
    _warn_of_unknown_settings(spark)
    return spark


def _start_callbacks(spark: SparkSession) -> None:
    """PySpark's callback server, with a token for its connections (Scala: CallbackToken)."""
    gateway: Any = SparkContext._gateway
    if gateway.python_parameters.auth_token is None:
        gateway.python_parameters.auth_token = secrets.token_urlsafe(32)
        ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
        server = JavaObject("GATEWAY_SERVER", gateway._gateway_client)
        shim = spark._jvm.org.apache.spark.sql.sqlext  # type: ignore[union-attr]
        shim.CallbackToken.set(server, gateway.python_parameters.auth_token)


def _check(spark: SparkSession) -> None:
    if not isinstance(SparkContext._gateway, ClientServer):
        raise SqlExtError("PINNED_THREADS_NEEDED")
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
            warnings.warn(f"{key} is no setting of bigdl-sqlext. {nearest(key, known)}", stacklevel=3)
