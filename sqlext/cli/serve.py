"""``sqlext serve``: a Thrift server in this process, for beeline, PyHive, any JDBC driver and BI tools."""

from __future__ import annotations

import ipaddress
import signal
import threading
from collections.abc import Mapping
from types import FrameType

import click

from sqlext.cli.common import fail, open_session, session_options, settings
from sqlext.cli.encoding import encoding_problem
from sqlext.cli.errors import describe
from sqlext.spark.local_files import as_listed, folder_named, hadoop_text

ALLOWED = "spark.sqlext.allowedPaths"
UNPROTECTED = (
    "warning: {host} can be reached from other machines, and anyone who connects can run SQL as this user. Set "
    "hive.server2.authentication, or listen on 127.0.0.1 and use an SSH tunnel."
)


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=10000, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@session_options
def command(host: str, port: int, warehouse: str | None, master: str | None, conf: tuple[str, ...]) -> None:
    """Start a Thrift server for JDBC clients and print its URL. Ctrl-C or SIGTERM stops it."""
    user_settings = given_settings(conf)
    if not is_loopback(host) and not any("hive.server2.authentication" in key for key in user_settings):
        click.echo(UNPROTECTED.format(host=host), err=True)
    if problem := encoding_problem():
        click.echo(f"warning: {problem}", err=True)
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    spark = open_session(warehouse, master, (*only_the_warehouse(warehouse, user_settings), *conf))
    try:
        from sqlext.server import make_views, start_thrift_server

        make_views(spark)
        listening = start_thrift_server(spark, host=host, port=port)
    except Exception as error:
        spark.stop()
        fail(describe(error).lines())
    # Not earlier, because PySpark installs its own handler for Ctrl-C when the session starts.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    name = f"[{host}]" if ":" in host else host
    click.echo(f"ready: jdbc:hive2://{name}:{listening}/default")
    ended.wait()
    click.echo("stopping", err=True)
    spark.stop()


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
