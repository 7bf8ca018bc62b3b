"""The Python process that a JVM driver starts (Scala: PythonProcess): ``python -m sqlext.backend``.

It connects to the gateway that PYSPARK_GATEWAY_PORT names, attaches to the running SparkContext, and serves the shim's calls
until the JVM closes its standard input or ends.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Any

import pyspark
from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from sqlext.catalog.runs import RunStore
from sqlext.cli.errors import describe
from sqlext.session import attach

logger = logging.getLogger("sqlext")


def main() -> None:
    """Attaches to the driver and waits for its end."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(process)d %(message)s")
    logger.setLevel(logging.INFO)
    gateway: Any = launch_gateway()  # type: ignore[no-untyped-call]  # connects to the JVM that started this process
    driver = gateway.jvm.org.apache.spark.sql.sqlext.PythonProcess
    spark = _session(gateway, driver)
    # Ctrl-C in a terminal reaches all processes of spark-sql. There it cancels the statement and must not end this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    attach(spark)
    if driver.isRestart():
        RunStore(spark).close_lost(spark.sparkContext.applicationId)
    driver.ready()
    sys.stdin.buffer.read()
    # At once: no exit handler may wait for threads whose calls to the JVM can no longer return.
    os._exit(0)


def _session(gateway: Any, driver: Any) -> SparkSession:
    """The driver's SparkContext and session as PySpark's objects."""
    context = driver.javaContext()
    if context.version() != pyspark.__version__:
        sys.exit(
            f"this driver runs Spark {context.version()}, but {sys.executable} has PySpark {pyspark.__version__}: "
            "the versions must be equal"
        )
    sc = SparkContext(gateway=gateway, jsc=context, conf=SparkConf(_jconf=context.getConf()))
    _without_update_server(sc, gateway)
    return SparkSession(sc, driver.session())


def _without_update_server(sc: Any, gateway: Any) -> None:
    """Gives new UDFs an accumulator that does not send updates to this process.

    Spark would connect to it after every task, and queries that have started must go on when it has ended. Our UDFs have no
    accumulators.
    """
    sc._javaAccumulator = gateway.jvm.org.apache.spark.sql.sqlext.UnsentUpdates()
    sc._jsc.sc().register(sc._javaAccumulator)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        logger.exception("The Python process of the driver did not start.")
        # The last line becomes the reason in the error of the SQL user.
        sys.exit(" ".join(describe(error).lines()))
