"""What EXPLAIN FORMATTED TRAIN MODEL sees of the rows: labels of a bounded part, and whether a sample can be used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sqlext.training.labels import read_labels
from sqlext.training.messages import reasons
from sqlext.udfs.base import is_array, is_image

if TYPE_CHECKING:
    from pyspark.sql import Column

    from sqlext.training.plan import TrainPlan
    from sqlext.training.sources import ColumnOf

ROWS = 1_000_000  # of the source, for labels
SAMPLE = 200  # rows whose features are looked at
SHOWN = 20  # classes


@dataclass(frozen=True)
class Found:
    """``labels`` counts rows by label; ``rows`` is the source's, at most :data:`ROWS` (``capped``: there are more)."""

    rows: int
    capped: bool
    null_labels: int
    labels: Counter[str]  # empty for a regression
    target: tuple[float, float, float] | None  # least, mean, greatest
    sampled: int
    bad: Counter[str]
    width: int | None

    @property
    def classes(self) -> int | None:
        return len(self.labels) or None

    def source_lines(self, plan: TrainPlan) -> list[tuple[str, str]]:
        count = f"more than {ROWS:,}; the figures below are of the first {ROWS:,}" if self.capped else f"{self.rows:,}"
        bad = f"{sum(self.bad.values())} of the first {self.sampled}"
        return [
            ("from", plan.source_text),
            ("rows", count),
            ("validate", plan.validation.text),
            ("unusable rows", bad + (f": {reasons(self.bad)}" if self.bad else "")),
        ]

    def label_lines(self) -> list[tuple[str, str]]:
        null = ("NULL", f"{self.null_labels:,} rows, skipped")
        if self.target is not None:
            names = ("least", "mean", "greatest")
            return [*((n, f"{v:g}") for n, v in zip(names, self.target, strict=True)), null]
        listed = [(name, f"{count:,} rows") for name, count in list(self.labels.items())[:SHOWN]]
        more = [("..", f"{len(self.labels) - SHOWN:,} more classes")] if len(self.labels) > SHOWN else []
        return [("classes", f"{len(self.labels):,}"), *listed, *more, null]


def features_of(plan: TrainPlan) -> tuple[ColumnOf, ...]:
    """The columns that FEATURES names or that were found."""
    return plan.features.columns


def look(plan: TrainPlan, *, regression: bool) -> Found:
    """Two or three short jobs.

    :raises SqlExtError: what TRAIN says of labels that are no classes.
    """
    head = plan.source.limit(ROWS + 1)
    label = F.expr(plan.label.sql)
    labels: Counter[str] = Counter()
    target = None
    if regression:
        value = label.cast("double")
        row = head.select(
            F.count(F.lit(1)).alias("n"), F.count(value).alias("known"), F.min(value), F.avg(value), F.max(value)
        ).first()
        assert row is not None
        rows, null_labels = row["n"], row["n"] - row["known"]
        target = (row[2], row[3], row[4]) if row["known"] else None
    else:
        known = read_labels(replace(plan, source=head))
        rows, null_labels = known.rows, known.null_rows
        counted = head.groupBy(label.cast("string").alias("text")).count().where("text IS NOT NULL").collect()
        by_name = {row.text: row["count"] for row in counted}
        labels = Counter({name: by_name[name] for name in known.names})
    sampled, bad, width = _sample(plan)
    return Found(min(rows, ROWS), rows > ROWS, null_labels, labels, target, sampled, bad, width)


def _sample(plan: TrainPlan) -> tuple[int, Counter[str], int | None]:
    """Rows looked at, why some cannot be used, and the length of arrays."""
    rows = plan.source.limit(SAMPLE)
    errors = [_error(column) for column in features_of(plan)]
    sizes = [F.size(F.expr(c.sql)) for c in features_of(plan) if is_array(c.type)]
    frame = rows.select(F.coalesce(*errors).alias("error"), (sizes[0] if sizes else F.lit(None)).alias("width"))
    found = frame.groupBy("error", "width").count().collect()
    bad = Counter({r.error: r["count"] for r in found if r.error is not None})
    good = Counter({r.width: r["count"] for r in found if r.error is None and r.width is not None})
    return sum(r["count"] for r in found), bad, good.most_common(1)[0][0] if good else None


def _error(column: ColumnOf) -> Column:
    """Why a value of the column cannot be used; NULL when it can."""
    if is_image(column.type):
        return F.expr(f"sqlext_image_error({column.sql})")
    value = F.expr(column.sql)
    if is_array(column.type):
        bad = F.exists(value, lambda x: x.isNull() | F.isnan(x.cast("double")))
        return F.when(value.isNull() | (F.size(value) == 0), "no features").when(bad, "NULL or NaN in the features")
    return F.when(value.isNull() | F.isnan(value.cast("double")), f"NULL or NaN in {column.text}")
