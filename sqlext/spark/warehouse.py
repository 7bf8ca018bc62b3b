"""A warehouse folder: tables, models and an embedded metastore in one place, used by one process at a time."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from sqlext.errors import SqlExtError
from sqlext.spark.local_files import folder_named, hadoop_text

WAREHOUSE = "spark.sql.warehouse.dir"
JAVA_OPTIONS = "spark.driver.extraJavaOptions"
METASTORE = "_metastore"
LOCK = "_metastore.pid"

_held: dict[Path, IO[str]] = {}  # locks are held until the process ends, since its JVM has Derby open until then


def warehouse_options(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Spark's settings for tables and a metastore in ``folder``, which is locked.

    If ``settings`` names another metastore, the folder is used only for tables and not locked.

    :raises SqlExtError: WAREHOUSE_IN_USE, with the process that holds the lock; INVALID_WAREHOUSE.
    """
    folder = folder_named(folder)
    _check_name(folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    options = {WAREHOUSE: hadoop_text(folder)}
    url = "spark.hadoop.javax.jdo.option.ConnectionURL"
    if url in settings or "spark.hadoop.hive.metastore.uris" in settings:
        return options
    _lock(folder)
    # In Derby's URL, a semicolon ends the name of the database. A relative name is one in Derby's home.
    has_semicolon = ";" in str(folder)
    options[url] = f"jdbc:derby:;databaseName={METASTORE if has_semicolon else folder / METASTORE};create=true"
    # By default Derby writes its log into the current folder of the program.
    derby = {"derby.stream.error.file": str(folder / "_derby.log")}
    derby |= {"derby.system.home": str(folder)} if has_semicolon else {}
    users = [settings[JAVA_OPTIONS]] if JAVA_OPTIONS in settings else []
    options[JAVA_OPTIONS] = " ".join([*users, *(java_property(key, value) for key, value in derby.items())])
    return options


def _check_name(folder: Path) -> None:
    """Refuses characters with which Spark would not find its own tables: it reads the path of a table as a pattern."""
    found = "".join(c for c in "{}[]*?\\" if c in str(folder.resolve()))
    if found:
        reason = f"Spark reads {found} in the path of a table as a pattern; choose a folder without it"
        raise SqlExtError("INVALID_WAREHOUSE", folder=folder, reason=reason)
    # Both Spark and Hadoop replace them in settings.
    if "${" in str(folder):
        raise SqlExtError("INVALID_WAREHOUSE", folder=folder, reason="Spark replaces ${..} in settings")


def java_property(key: str, value: str) -> str:
    """``-Dkey=value`` for spark.driver.extraJavaOptions, in which spaces separate options and a backslash escapes."""
    return f'-D{key}="' + re.sub(r'(["\\])', r"\\\1", value) + '"'


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
    os.set_inheritable(file.fileno(), True)  # `sqlext serve` replaces this process by the server, which needs the lock
    _held[folder] = file
