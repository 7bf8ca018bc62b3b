"""Counts the rows of a training in one pass: by error, number of features, class and split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sqlext.evaluation.names import TEST, TRAIN, VALIDATION
from sqlext.training.plan import TrainPlan


@dataclass(frozen=True)
class Group:
    """A number of rows with the same error, number of features, label ('' in a regression) and split."""

    error: str | None
    width: int
    key: str | None
    side: str
    rows: int

    def wrong(self, width: int) -> str | None:
        """Why the rows are bad, if the features should have ``width`` numbers; None for good rows."""
        return self.error or (f"not {width} values" if self.width != width else None)


def groups_of(plan: TrainPlan, everything: DataFrame) -> list[Group]:
    """All counts in one pass, which also computes and caches the features if they are not cached yet."""
    grouped = everything.groupBy("error", F.size("features").alias("width"), class_of(plan).alias("key"), "side")
    return [Group(row.error, row.width, row.key, row.side, row["count"]) for row in grouped.count().collect()]


def bad_by_reason(groups: list[Group], width: int) -> Counter[str]:
    """Reason -> number of bad rows."""
    bad: Counter[str] = Counter()
    for group in groups:
        if reason := group.wrong(width):
            bad[reason] += group.rows
    return bad


def by_side(groups: Iterable[Group]) -> dict[str, Counter[str]]:
    """Rows by split, then by label."""
    counts: dict[str, Counter[str]] = {side: Counter() for side in (TRAIN, VALIDATION, TEST)}
    for group in groups:
        counts[group.side][str(group.key)] += group.rows
    return counts


def class_of(plan: TrainPlan) -> Column:
    """The class, within which the split keeps its shares; a constant for a regression."""
    return F.lit("") if plan.regression else F.col("label_text")
