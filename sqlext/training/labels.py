"""The classes of a training source: found by one cheap pass over the label column."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sqlext.errors import SqlExtError
from sqlext.training.sources import ColumnOf

MAX_CLASSES = 10_000


@dataclass(frozen=True)
class Labels:
    """``names`` are the distinct non-NULL values as strings, sorted in their own type; ``rows`` counts all rows."""

    names: tuple[str, ...]
    rows: int
    null_rows: int

    @property
    def lookalikes(self) -> list[list[str]]:
        """Labels that are equal but for case or outer blanks: mostly one class, misspelt."""
        alike: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            alike[name.strip().lower()].append(name)
        return [names for names in alike.values() if len(names) > 1]


def read_labels(source: DataFrame, label: ColumnOf, source_text: str) -> Labels:
    """Counts rows by label.

    :raises SqlExtError: NO_ROWS, TOO_FEW_CLASSES, INVALID_LABEL (fractions, more than 10,000 values).
    """
    counted = source.groupBy(F.expr(label.sql).alias("label")).count().orderBy("label")
    rows = (
        counted.select("label", F.col("label").cast("string").alias("text"), "count").limit(MAX_CLASSES + 2).collect()
    )
    known = [row for row in rows if row.label is not None]
    total, null_rows = sum(row["count"] for row in rows), sum(row["count"] for row in rows if row.label is None)
    if not known:
        reason = f"column {label.text} is NULL in all {total}" if total else "it is empty"
        raise SqlExtError("NO_ROWS", source=source_text, reason=reason)
    _check(known, label, source_text)
    return Labels(tuple(row.text for row in known), total, null_rows)


def _check(known: list[Any], label: ColumnOf, source_text: str) -> None:
    many = len(known) > MAX_CLASSES
    fractions = label.type.typeName() in ("double", "float", "decimal") and any(float(r.label) % 1 for r in known)
    if many or fractions:
        what = f"more than {MAX_CLASSES:,} distinct values" if many else f"fractional numbers such as {known[0].text}"
        problem = f"it has {what}, which are no classes; predicting a number is regression (TARGET, not available in this release)"
        raise SqlExtError("INVALID_LABEL", column=label.text, problem=problem)
    if len(known) < 2:
        raise SqlExtError("TOO_FEW_CLASSES", source=source_text, count=f"only '{known[0].text}'", column=label.text)
