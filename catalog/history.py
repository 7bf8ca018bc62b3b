"""The training history of a version: a Parquet file that Spark, Hive and Trino read as rows of the model's table."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from sqlext.catalog.files import Files
from sqlext.catalog.layout import HISTORY

# The columns of the model's table (metastore.py), by whose names Spark, Hive and Trino read the file.
COLUMNS = {
    "run_id": "string",
    "epoch": "int32",
    "iteration": "int64",
    "loss": "double",
    "val_loss": "double",
    "metric_name": "string",
    "metric_value": "double",
    "learning_rate": "double",
    "rows_per_second": "double",
    "recorded_at": "timestamp",
}


def write_history(rows: Iterable[Mapping[str, Any]], run_id: str, path: Path) -> None:
    """Writes one row per epoch; a missing column is NULL.

    :param rows: keyed by the names of :data:`COLUMNS`; ``recorded_at`` is a datetime with a time zone.
    :raises ValueError: for other keys.
    """
    types = {name: pyarrow.timestamp("us", "UTC") if t == "timestamp" else t for name, t in COLUMNS.items()}
    rows = [{"run_id": run_id, **row} for row in rows]
    unknown = {key for row in rows for key in row} - set(COLUMNS)
    if unknown:
        raise ValueError(f"not columns of a training history: {', '.join(sorted(unknown))}")
    schema = pyarrow.schema(
        [pyarrow.field(name, pyarrow.type_for_alias(t) if isinstance(t, str) else t) for name, t in types.items()]
    )
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    # Hive 2 reads timestamps only as INT96.
    parquet.write_table(table, path, use_deprecated_int96_timestamps=True)


def read_history(files: Files, location: str) -> list[dict[str, Any]]:
    """The epochs of the version in the folder ``location``, in order; empty for an imported network."""
    try:
        content = files.read(f"{location}/{HISTORY}")
    except FileNotFoundError:
        return []
    rows = parquet.read_table(io.BytesIO(content), coerce_int96_timestamp_unit="us").to_pylist()
    for row in rows:  # INT96 has no time zone; write_history stores UTC
        row["recorded_at"] = row["recorded_at"] and row["recorded_at"].replace(tzinfo=UTC)
    return sorted(rows, key=lambda row: row["epoch"])
