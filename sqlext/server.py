"""A Thrift (JDBC) server inside the PySpark driver, for ``sqlext serve``."""

from __future__ import annotations

import logging
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sqlext.errors import SqlExtError
from sqlext.udfs import comments_of

logger = logging.getLogger("sqlext")

DATABASE = "sqlext"
VIEWS = {
    "models": "sqlext_models",
    "model_versions": "sqlext_model_versions",
    "training_runs": "sqlext_training_runs",
}


def start_thrift_server(spark: SparkSession, host: str = "127.0.0.1", port: int = 10000) -> int:
    """Starts HiveThriftServer2 for the session's tables and returns the port it listens on (``port`` 0: any free port).

    It runs until the session stops. Clients see the settings with which ``spark`` was started.

    :raises SqlExtError: SERVER_NOT_STARTED, with the reason.
    """
    scratch = tempfile.mkdtemp(prefix="sqlext-thrift-")
    settings = {
        "hive.server2.thrift.bind.host": host,
        "hive.server2.thrift.port": str(port),
        # A client's cancel() waits until the client's own status poll has ended.
        "hive.server2.long.polling.timeout": "300ms",
        # Without this folder each session logs "Unable to access pipeout files".
        "hive.exec.local.scratchdir": scratch,
        "hive.server2.logging.operation.log.location": f"{scratch}/operation_logs",
    }
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    for key, value in settings.items():
        hadoop.set(key, value)
    thrift = spark._jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2  # type: ignore[union-attr]
    try:
        # Hive caches settings per thread, so these take effect only in a thread that has not called Hive before.
        with ThreadPoolExecutor(1) as fresh:
            server = fresh.submit(thrift.startWithContext, spark._jsparkSession.sqlContext()).result()
    except Py4JJavaError as error:
        raise SqlExtError("SERVER_NOT_STARTED", host=host, port=port, reason=_root(error.java_exception)) from None
    return int(list(server.getServices())[-1].getPortNumber())  # the last service is the one that listens


def make_views(spark: SparkSession) -> None:
    """Creates the views of :data:`VIEWS` in the database `sqlext` if they are missing and this server is allowed to."""
    try:
        spark.sql(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        for view, function in VIEWS.items():
            spark.sql(
                f"CREATE VIEW IF NOT EXISTS {DATABASE}.{view} {comments_of(function)} AS SELECT * FROM {function}()"
            )
    except PySparkException as error:
        logger.warning("The views of database %s were not created: %s", DATABASE, str(error).partition("\n")[0])


def _root(exception: Any) -> str:
    while exception.getCause() is not None:
        exception = exception.getCause()
    return str(exception.getMessage())
