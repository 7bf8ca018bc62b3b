"""``sqlext serve``: a Thrift server in this process, for beeline, PyHive, any JDBC driver and BI tools."""

from __future__ import annotations

import ipaddress
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import click

from sqlext.cli.common import fail, open_session, session_options, settings
from sqlext.cli.errors import describe

ALLOWED = "spark.sqlext.allowedPaths"
UNPROTECTED = (
    "warning: {host} can be reached from other machines, and without further settings anybody who reaches it may run "
    "SQL as this user. Set hive.server2.authentication, or keep 127.0.0.1 and use an SSH tunnel."
)


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=10000, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@session_options
def command(host: str, port: int, warehouse: str | None, master: str | None, conf: tuple[str, ...]) -> None:
    """Start a Thrift server for JDBC clients and print its URL. Ctrl-C or SIGTERM end it."""
    given = given_settings(conf)
    if not is_loopback(host) and not any("hive.server2.authentication" in key for key in given):
        click.echo(UNPROTECTED.format(host=host), err=True)
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    spark = open_session(warehouse, master, (*only_the_warehouse(warehouse, given), *conf))
    try:
        from sqlext.server import make_views, start_thrift_server

        make_views(spark)
        listening = start_thrift_server(spark, host=host, port=port)
    except Exception as error:
        spark.stop()
        fail(describe(error).lines())
    # Only now: PySpark sets a handler of its own for Ctrl-C when the session starts.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    name = f"[{host}]" if ":" in host else host
    click.echo(f"ready: jdbc:hive2://{name}:{listening}/default")
    ended.wait()
    click.echo("stopping", err=True)
    spark.stop()


def given_settings(conf: tuple[str, ...]) -> dict[str, str]:
    """What the user has set: --conf, and spark-defaults.conf below it."""
    from sqlext.spark.conf import file_defaults

    return {**file_defaults(), **settings(conf)}


def only_the_warehouse(warehouse: str | None, given: Mapping[str, str]) -> tuple[str, ...]:
    """IMPORT reads nothing else of this machine, unless spark.sqlext.allowedPaths names other folders."""
    if ALLOWED in given:
        return ()
    named = given.get("spark.sql.warehouse.dir")
    folder = named if named and warehouse is None else Path(warehouse or "spark-warehouse").absolute().as_uri()
    return (f"{ALLOWED}={folder}",)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
