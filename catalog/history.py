"""A version's training history as the Parquet file that Spark, Hive and Trino read as the rows of the model's table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

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

    :param rows: by the names of :data:`COLUMNS`; ``recorded_at`` is an aware datetime. Other keys are an error.
    """
    import pyarrow
    from pyarrow import parquet

    types = {name: pyarrow.timestamp("us", "UTC") if t == "timestamp" else t for name, t in COLUMNS.items()}
    rows = [{"run_id": run_id, **row} for row in rows]
    unknown = {key for row in rows for key in row} - set(COLUMNS)
    if unknown:
        raise ValueError(f"no columns of a training history: {', '.join(sorted(unknown))}")
    schema = pyarrow.schema(
        [pyarrow.field(name, pyarrow.type_for_alias(t) if isinstance(t, str) else t) for name, t in types.items()]
    )
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    # Hive 2's reader knows timestamps as INT96 alone.
    parquet.write_table(table, path, use_deprecated_int96_timestamps=True)
