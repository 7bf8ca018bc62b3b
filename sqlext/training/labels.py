"""Finds the classes of a training source, or counts the rows of a regression, in one cheap pass over the label column."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import DecimalType, DoubleType, FloatType

from sqlext.errors import SqlExtError
from sqlext.evaluation.names import TEST, TRAIN, VALIDATION
from sqlext.spark.labels import label_sql
from sqlext.text import first_few
from sqlext.training.plan import TrainPlan

MAX_CLASSES = 10_000
_VALIDATE_FROM = "VALIDATE FROM"  # in the column side, marks the rows of VALIDATE FROM


@dataclass(frozen=True)
class Labels:
    """``names`` are the training rows' distinct labels as strings, sorted in their own type; empty for a regression.

    ``rows`` counts all rows of the source, ``null_rows`` those without a label: NULL and, in a classifier, NaN and
    infinity. ``validation_rows`` counts the rows of VALIDATE FROM.
    """

    names: tuple[str, ...]
    rows: int
    null_rows: int
    validation_rows: int = 0

    @property
    def lookalikes(self) -> list[list[str]]:
        """Groups of labels that differ only in case or surrounding blanks: usually one class, misspelt."""
        alike: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            alike[name.strip().lower()].append(name)
        return [names for names in alike.values() if len(names) > 1]


def read_labels(plan: TrainPlan) -> Labels:
    """Counts rows by label and, with VALIDATE BY, by split; the same pass counts the rows of VALIDATE FROM.

    :raises SqlExtError: NO_ROWS, TOO_FEW_CLASSES, INVALID_LABEL (fractions, more than 10,000 values),
        INVALID_VALIDATION_COLUMN.
    """
    side = F.expr(plan.side_sql) if plan.side_sql else F.lit(TRAIN)
    value = F.expr(plan.label.sql)
    key = value.isNull().cast("int") if plan.regression else value
    pairs = plan.source.select(key.alias("label"), side.alias("side"))
    if plan.validation_rows is not None:
        pairs = pairs.union(
            plan.validation_rows.select(F.lit(None).alias("label"), F.lit(_VALIDATE_FROM).alias("side"))
        )
    # Sorted before the cast to STRING: 2 comes before 10.
    counted = pairs.groupBy("label", "side").count().orderBy("label")
    # A label has up to three rows, one per split. If the limit cuts any off, more labels exist than are allowed.
    found = counted.select(*_described(plan), "side", "count").limit(3 * (MAX_CLASSES + 2)).collect()
    rows = [row for row in found if row.side != _VALIDATE_FROM or plan.validation_rows is None]
    validation_rows = sum(row["count"] for row in found) - sum(row["count"] for row in rows)
    _check_sides(plan, Counter({row.side: row["count"] for row in rows}))
    total = sum(row["count"] for row in rows)
    if plan.regression:
        null_rows = sum(row["count"] for row in rows if row.text == "1")
        _need_rows(plan, total, known=total - null_rows)
        return Labels((), total, null_rows, validation_rows)
    known = [row for row in rows if row.text is not None and row.side == TRAIN]
    null_rows = sum(row["count"] for row in rows if row.text is None)
    _need_rows(plan, total, known=len(known))
    _check(known, plan)
    return Labels(tuple(row.text for row in known), total, null_rows, validation_rows)


def _described(plan: TrainPlan) -> list[Column]:
    """The text of each label, and whether it is a fraction. Not the label itself: Python has no date after the year 9999.

    The text is NULL for NULL, NaN and infinity: rows with these labels are bad rows, which are skipped.
    """
    kind, label = plan.label.type, F.col("label")
    if plan.regression:
        return [label.cast("string").alias("text"), F.lit(None).alias("fraction")]
    text = F.expr(label_sql("label", kind))
    if isinstance(kind, (FloatType, DoubleType)):
        # NaN fails the test, too: for Spark it is greater than infinity.
        text = F.when(F.abs("label") < float("inf"), text)
    number = isinstance(kind, (FloatType, DoubleType, DecimalType))
    fraction = label % F.lit(1) != 0 if number else F.lit(False)
    return [text.alias("text"), fraction.alias("fraction")]


def _need_rows(plan: TrainPlan, total: int, known: int) -> None:
    if not known:
        rows = "of the training rows" if plan.side else f"of its {total} rows"
        reason = f"none {rows} has a usable value in column {plan.label.text}" if total else "it is empty"
        raise SqlExtError("NO_ROWS", source=plan.source_text, reason=reason, offset=plan.source_offset)


def _check_sides(plan: TrainPlan, found: Collection[str | None]) -> None:
    """Rejects a column of VALIDATE BY with a value that names no split, or without training rows."""
    column = plan.side
    if column is None:
        return
    boolean = column.type.typeName() == "boolean"
    accepted = (TRAIN, VALIDATION) if boolean else (TRAIN, VALIDATION, TEST)
    others = sorted("NULL" if side is None else f"'{side}'" for side in found if side not in accepted)
    if others:
        problem = f"it holds {first_few(others, 10)}"
        offset = plan.validation.column.offset if plan.validation.column else None
        raise SqlExtError("INVALID_VALIDATION_COLUMN", column=column.text, problem=problem, offset=offset)
    if found and TRAIN not in found:
        reason = f"column {column.text} selects no row for training"
        raise SqlExtError("NO_ROWS", source=plan.source_text, reason=reason, offset=plan.source_offset)


def _check(known: list[Any], plan: TrainPlan) -> None:
    label, many = plan.label, len(known) > MAX_CLASSES
    fractions = [row.text for row in known if row.fraction]
    if many or fractions:
        what = f"more than {MAX_CLASSES:,} distinct values" if many else f"fractional numbers such as {fractions[0]}"
        problem = (
            f"it has {what}, which are not classes; to predict a number, write TARGET {label.text} instead of LABEL"
        )
        raise SqlExtError("INVALID_LABEL", column=label.text, problem=problem, offset=plan.label_offset)
    if len(known) < 2:
        only = f"only '{known[0].text}'"
        names = {"source": plan.source_text, "column": label.text}
        raise SqlExtError("TOO_FEW_CLASSES", count=only, offset=plan.label_offset, **names)
