"""A cache of network outputs on the executor's disk, shared by the executor's Python workers.

TRAIN, EVALUATE, classify() and dashboards score the same images again and again, and almost all the time goes into the
network. The file is in Spark's local folder, which Spark deletes when the application ends.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
FILE = "sqlext-outputs.sqlite"
_SHRINK_TO = 0.9  # fraction of the limit that a deletion leaves in use, so that not every batch has to delete
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS outputs (age INTEGER PRIMARY KEY, content BLOB NOT NULL UNIQUE, output BLOB NOT NULL)"
)


class OutputCache:
    """One row of float32 per image, by the :func:`content_hash` of the image; the oldest rows are dropped first.

    If the file is lost or damaged, outputs are computed again: it costs only time.
    """

    def __init__(self, file: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # Without isolation_level, each statement commits at once, so that no worker holds a lock between two statements.
        self._database = sqlite3.connect(file, timeout=10, isolation_level=None)
        # Several processes write at the same time, hence WAL. Nothing is synced to disk, because nobody reads the file
        # after a crash of the machine.
        for pragma in ("journal_mode = WAL", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute(_SCHEMA)

    def read(self, keys: list[bytes]) -> list[Floats | None]:
        """Returns the output of each key, or None if it is not cached."""
        # The worker asks for 16 images at a time, far fewer than the variables that SQLite allows in a statement.
        marks = ", ".join("?" * len(keys))
        rows = self._rows(f"SELECT content, output FROM outputs WHERE content IN ({marks})", keys)
        known = {content: np.frombuffer(output, np.float32) for content, output in rows}
        return [known.get(key) for key in keys]

    def write(self, outputs: dict[bytes, Floats]) -> None:
        """Stores outputs by their keys; drops the oldest ones when the file exceeds its limit."""
        if not outputs:
            return
        values = [part for key, output in outputs.items() for part in (key, np.ascontiguousarray(output).tobytes())]
        rows = ", ".join(["(?, ?)"] * len(outputs))
        # Another worker may have computed the same image meanwhile.
        self._rows(f"INSERT OR IGNORE INTO outputs (content, output) VALUES {rows}", values)
        used = self._used()
        if used > self._max_bytes:
            share = _SHRINK_TO * self._max_bytes / used
            self._rows("DELETE FROM outputs WHERE age <= (SELECT max(age) - ? * count(*) FROM outputs)", [share])

    def _used(self) -> int:
        # Deleted rows leave free pages in the file, which later rows use, so free pages do not count.
        pragmas = "pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
        rows = self._rows(f"SELECT (page_count - freelist_count) * page_size FROM {pragmas}", [])
        return int(rows[0][0]) if rows else 0

    def _rows(self, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
        """Executes a statement. Returns no rows if the file cannot be used, for example on a full disk."""
        try:
            return self._database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            logging.getLogger(__name__).warning("network outputs are not cached: %s", error)
            return []


def content_hash(scope: str, image: Any) -> bytes:
    """Returns the SHA-256 of ``scope`` and an image: its encoded bytes, or an image struct's fields except ``origin``.

    :param scope: whatever else determines the output: network, engine, precision and the name of the output.
    """
    digest = hashlib.sha256(scope.encode())
    for part in _parts(image):
        # With lengths, the parts of two different structs cannot add up to the same bytes.
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def _parts(image: Any) -> Iterator[bytes]:
    if isinstance(image, dict):
        for name in sorted(image.keys() - {"origin"}):
            value = image[name]
            yield name.encode()
            yield bytes(value) if name == "data" else str(value).encode()
    else:
        yield image


@cache
def output_cache(max_bytes: int) -> OutputCache | None:
    """Returns the executor's cache; None if ``max_bytes`` turns it off or Spark names no writable local folder."""
    folders = os.environ.get("SPARK_LOCAL_DIRS", "")  # Spark sets it for its Python workers
    if max_bytes <= 0 or not folders:
        return None
    try:
        return OutputCache(Path(folders.split(",")[0]) / FILE, max_bytes)
    except (OSError, sqlite3.Error) as error:
        logging.getLogger(__name__).warning("network outputs are not cached: %s", error)
        return None
