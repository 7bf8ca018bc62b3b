"""A warehouse folder: tables, models and an embedded metastore in one place, used by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from sqlext.errors import SqlExtError

METASTORE = "_metastore"
LOCK = "_metastore.pid"

_held: dict[Path, IO[str]] = {}  # locks are held until the process ends, since its JVM has Derby open until then


def warehouse_options(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Spark's settings for tables and a metastore in ``folder``, which is locked.

    If ``settings`` names another metastore, the folder is used only for tables and not locked.

    :raises SqlExtError: WAREHOUSE_IN_USE, with the process that holds the lock.
    """
    folder = folder.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    options = {"spark.sql.warehouse.dir": folder.as_uri()}
    url = "spark.hadoop.javax.jdo.option.ConnectionURL"
    if url in settings or "spark.hadoop.hive.metastore.uris" in settings:
        return options
    _lock(folder)
    options[url] = f"jdbc:derby:;databaseName={folder / METASTORE};create=true"
    # By default Derby writes its log into the current folder of the program.
    log = f"-Dderby.stream.error.file={folder / '_derby.log'}"
    options["spark.driver.extraJavaOptions"] = f"{settings.get('spark.driver.extraJavaOptions', '')} {log}".strip()
    return options


def _lock(folder: Path) -> None:
    if folder in _held:
        return
    # "a+" does not truncate: until we hold the lock, the text names another process. The kernel releases the lock when the
    # process ends in any way, so that a crash leaves no stale one.
    file = open(folder / LOCK, "a+")  # noqa: SIM115, PTH123 (it stays open)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise SqlExtError("WAREHOUSE_IN_USE", folder=folder, pid=holder) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    _held[folder] = file
