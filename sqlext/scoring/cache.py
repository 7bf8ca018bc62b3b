"""The outputs of networks for images, cached on an executor's disk: the Python workers of one executor share it.

TRAIN embeds a table, EVALUATE and classify() score it again, a dashboard scores it every minute, and the network is all the
work there is. The file lies in Spark's own local folder, which goes with the application.
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
_SPARE = 0.9  # of the limit is left when the oldest have gone: not every batch should delete
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS outputs (age INTEGER PRIMARY KEY, content BLOB NOT NULL UNIQUE, output BLOB NOT NULL)"
)


class OutputCache:
    """Outputs (one row of float32 per image) by a hash of the image's content and of what makes them, the oldest dropped first.

    A lost or broken file costs time and nothing else.
    """

    def __init__(self, file: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._database = sqlite3.connect(file, timeout=10, isolation_level=None)
        # Processes may write at once; what a crash of the machine leaves behind is not read again.
        for pragma in ("journal_mode = WAL", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute(_SCHEMA)

    def read(self, keys: list[bytes]) -> list[Floats | None]:
        """The output of each key, None where it is not cached."""
        asked = ", ".join("?" * len(keys))
        rows = self._tried(f"SELECT content, output FROM outputs WHERE content IN ({asked})", keys)
        known = {content: np.frombuffer(output, np.float32) for content, output in rows}
        return [known.get(key) for key in keys]

    def write(self, outputs: dict[bytes, Floats]) -> None:
        """Caches outputs by their keys; beyond the limit the oldest are dropped."""
        if not outputs:
            return
        values = [part for key, output in outputs.items() for part in (key, np.ascontiguousarray(output).tobytes())]
        rows = ", ".join(["(?, ?)"] * len(outputs))
        self._tried(f"INSERT OR IGNORE INTO outputs (content, output) VALUES {rows}", values)
        used = self._used()
        if used > self._max_bytes:
            share = _SPARE * self._max_bytes / used
            self._tried("DELETE FROM outputs WHERE age <= (SELECT max(age) - ? * count(*) FROM outputs)", [share])

    def _used(self) -> int:
        pragmas = "pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
        rows = self._tried(f"SELECT (page_count - freelist_count) * page_size FROM {pragmas}", [])
        return int(rows[0][0]) if rows else 0

    def _tried(self, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
        """The rows, or none when the file cannot be used (full disk, damage): then outputs are computed again."""
        try:
            return self._database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            logging.getLogger(__name__).warning("outputs of networks are not cached: %s", error)
            return []


def content_hash(scope: str, image: Any) -> bytes:
    """Of an encoded image's bytes, or of an image struct's fields but its origin."""
    digest = hashlib.sha256(scope.encode())
    for part in _parts(image):
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
    """This executor's cache; None if nothing is to be cached, or if Spark names no folder that can be written."""
    folders = os.environ.get("SPARK_LOCAL_DIRS", "")  # Spark sets it for its Python workers
    if max_bytes <= 0 or not folders:
        return None
    try:
        return OutputCache(Path(folders.split(",")[0]) / FILE, max_bytes)
    except (OSError, sqlite3.Error) as error:
        logging.getLogger(__name__).warning("outputs of networks are not cached: %s", error)
        return None
