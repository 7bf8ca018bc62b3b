"""``sqlext serve``: a Thrift server for beeline, PyHive, any JDBC driver and BI tools (Scala: ThriftServer)."""

from __future__ import annotations

import ipaddress
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from sqlext.cli.common import fail, session_options, settings
from sqlext.cli.encoding import encoding_problem
from sqlext.cli.errors import describe
from sqlext.spark.java import find_java
from sqlext.spark.local_files import as_listed, folder_named, hadoop_text

ALLOWED = "spark.sqlext.allowedPaths"
MAIN_CLASS = "org.apache.spark.sql.hive.thriftserver.ThriftServer"
# With a local master, no other process takes part: only Thrift listens on the address that the user names.
LOOPBACK = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
# Sessions share the 16 pools (Scala: SchedulerPools). A training takes long anyway and must not hold up queries.
POOLS = "\n".join(
    [
        "<allocations>",
        *(f'<pool name="session-{i}"><weight>4</weight><minShare>1</minShare></pool>' for i in range(16)),
        '<pool name="training"><weight>1</weight></pool>',
        "</allocations>",
    ]
)
UNPROTECTED = (
    "{host} can be reached from other machines, and anyone who connects can run SQL as this user. Set "
    "hive.server2.authentication, or listen on 127.0.0.1 and use an SSH tunnel."
)
OPEN_CLUSTER = (
    "spark.authenticate is not set: whoever reaches the ports of Spark's driver and executors on this network can "
    "run code in them."
)


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=10000, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option(
    "--hiveconf",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of HiveServer2, as for authentication; may be repeated.",
)
@click.option(
    "--pidfile", type=click.Path(dir_okay=False, path_type=Path), help="File to write the id of the process to."
)
@session_options
def command(
    host: str,
    port: int,
    hiveconf: tuple[str, ...],
    pidfile: Path | None,
    warehouse: str | None,
    master: str | None,
    conf: tuple[str, ...],
) -> None:
    """Start a Thrift server for JDBC clients and print its URL. Ctrl-C or SIGTERM stops it."""
    user_settings = given_settings(conf)
    hive = settings(hiveconf, "--hiveconf")
    for warning in warnings(host, {**user_settings, **hive}, master):
        click.echo(f"warning: {warning}", err=True)
    ours = {**server_options(host, port), **({} if on_cluster(master, user_settings) else LOOPBACK)}
    options = {
        # --host and --port win over spark-defaults.conf; everything else there wins over our defaults.
        **{key: value for key, value in ours.items() if key.startswith("spark.hadoop.") or key not in user_settings},
        **{f"spark.hadoop.{key}": value for key, value in hive.items()},
        **settings(only_the_warehouse(warehouse, user_settings)),
        **settings(conf),
    }
    try:
        from sqlext.session import driver_options

        program = submit(driver_options(master, warehouse, options, app_name="sqlext serve"))
        os.environ["JAVA_HOME"] = str(find_java())
        if not on_cluster(master, user_settings):
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # also for the web UI
        if pidfile is not None:
            pidfile.write_text(f"{os.getpid()}\n")
    except Exception as error:
        fail(describe(error).lines())
    # The server replaces this process, so that its process id and signals are the server's.
    os.execv(program[0], program)  # noqa: S606


def warnings(host: str, user_settings: Mapping[str, str], master: str | None) -> list[str]:
    """What an administrator should know before the server starts."""
    found = []
    if not is_loopback(host) and not any("hive.server2.authentication" in key for key in user_settings):
        found.append(UNPROTECTED.format(host=host))
    if on_cluster(master, user_settings) and user_settings.get("spark.authenticate", "false").lower() != "true":
        found.append(OPEN_CLUSTER)
    if problem := encoding_problem():
        found.append(problem)
    return found


def on_cluster(master: str | None, user_settings: Mapping[str, str]) -> bool:
    """Whether executors run outside the driver."""
    return not (master or user_settings.get("spark.master", "local")).startswith("local")


def server_options(host: str, port: int) -> dict[str, str]:
    """The settings of the server itself."""
    scratch = tempfile.mkdtemp(prefix="sqlext-thrift-")
    hive = {
        "hive.server2.thrift.bind.host": host,
        "hive.server2.thrift.port": str(port),
        # A client's cancel() waits until the client's own status poll has ended.
        "hive.server2.long.polling.timeout": "300ms",
        # Without this folder each session logs "Unable to access pipeout files".
        "hive.exec.local.scratchdir": scratch,
        "hive.server2.logging.operation.log.location": f"{scratch}/operation_logs",
    }
    pools = Path(scratch) / "pools.xml"
    pools.write_text(POOLS)
    return {
        "spark.sqlext.python": sys.executable,
        "spark.scheduler.mode": "FAIR",
        "spark.scheduler.allocation.file": pools.as_uri(),
        **{f"spark.hadoop.{key}": value for key, value in hive.items()},
    }


def submit(options: Mapping[str, str]) -> list[str]:
    """The command that starts the server's JVM with Spark's own script."""
    from pyspark.find_spark_home import _find_spark_home

    script = Path(_find_spark_home()) / "bin" / "spark-submit"  # type: ignore[no-untyped-call]
    arguments = [f"--conf={key}={value}" for key, value in options.items()]
    return [str(script), "--class", MAIN_CLASS, *arguments, "spark-internal"]


def given_settings(conf: tuple[str, ...]) -> dict[str, str]:
    """The user's settings: spark-defaults.conf, overridden by --conf."""
    from sqlext.spark.conf import file_defaults

    return {**file_defaults(), **settings(conf)}


def only_the_warehouse(warehouse: str | None, user_settings: Mapping[str, str]) -> tuple[str, ...]:
    """The setting that lets IMPORT read only from the warehouse, unless the user has set spark.sqlext.allowedPaths."""
    if ALLOWED in user_settings:
        return ()
    named = user_settings.get("spark.sql.warehouse.dir")
    if named and warehouse is None:
        return (f"{ALLOWED}={as_listed(named)}",)
    folder = folder_named(warehouse or "spark-warehouse")
    # Tables lie in the resolved folder; a user may also write the path that leads to it through a link.
    folders = dict.fromkeys(hadoop_text(path) for path in (folder, folder.resolve()))
    return (f"{ALLOWED}={','.join(map(as_listed, folders))}",)


def is_loopback(host: str) -> bool:
    """Whether the address can be reached only from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
