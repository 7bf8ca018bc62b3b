"""The rows that EXPLAIN FORMATTED TRAIN MODEL reads: labels of a bounded number, and whether those of a sample are good."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sqlext.context import Context
from sqlext.training.bad_rows import reasons
from sqlext.training.features import feature_rows
from sqlext.training.labels import read_labels
from sqlext.training.plan import TrainPlan
from sqlext.training.suspicious import suspicious_columns

Lines = list[tuple[str, str]]
ROWS = 1_000_000  # most rows whose labels are read
SAMPLE = 200  # most rows whose features are read
SHOWN = 20  # most classes that are listed


@dataclass(frozen=True)
class Found:
    """``rows`` is the source's number of rows, at most :data:`ROWS`; ``capped`` says whether it has more.

    ``labels`` counts rows by label (empty for a regression) and ``sides`` by VALIDATE BY; ``target`` is minimum, mean and
    maximum.
    """

    rows: int
    capped: bool
    null_labels: int
    labels: Counter[str]
    target: tuple[float, float, float] | None
    sides: Counter[str]
    sampled: int
    bad: Counter[str]
    width: int | None
    warnings: list[str]

    @property
    def classes(self) -> int | None:
        return len(self.labels) or None

    def source_lines(self, plan: TrainPlan) -> Lines:
        count = f"more than {ROWS:,}; the figures below cover the first {ROWS:,}" if self.capped else f"{self.rows:,}"
        bad = f"{sum(self.bad.values())} of the first {self.sampled}"
        return [
            ("from", plan.source_text),
            ("rows", count),
            ("validate", plan.validation.text),
            ("unusable rows", bad + (f": {reasons(self.bad)}" if self.bad else "")),
        ]

    def label_lines(self) -> Lines:
        null = ("NULL", f"{self.null_labels:,} rows, skipped")
        if self.target is not None:
            names = ("minimum", "mean", "maximum")
            return [*((n, f"{v:g}") for n, v in zip(names, self.target, strict=True)), null]
        listed = [(name, f"{count:,} rows") for name, count in list(self.labels.items())[:SHOWN]]
        more = [("..", f"{len(self.labels) - SHOWN:,} more classes")] if len(self.labels) > SHOWN else []
        return [("classes", f"{len(self.labels):,}"), *listed, *more, null]


def look(context: Context, plan: TrainPlan) -> Found:
    """Reads labels and a sample of the features in a few short jobs.

    :raises SqlExtError: the errors of :func:`~sqlext.training.labels.read_labels`.
    """
    # One more row than is counted shows that the source has more.
    head = replace(plan, source=plan.source.limit(ROWS + 1), validation_rows=None)
    known = read_labels(head)
    labels = Counter({} if plan.regression else _by_label(head, known.names))
    sampled, bad, width = _sample(context, plan)
    return Found(
        rows=min(known.rows, ROWS),
        capped=known.rows > ROWS,
        null_labels=known.null_rows,
        labels=labels,
        target=_target(head) if plan.regression else None,
        sides=_sides(head),
        sampled=sampled,
        bad=bad,
        width=width,
        warnings=_warnings(context, head, known.rows),
    )


def _by_label(plan: TrainPlan, names: tuple[str, ...]) -> dict[str, int]:
    """The number of rows of each class, in the order of the classes."""
    text = F.expr(plan.label.sql).cast("string").alias("text")
    counted = {row["text"]: row["count"] for row in plan.source.groupBy(text).count().collect()}
    return {name: counted[name] for name in names}


def _target(plan: TrainPlan) -> tuple[float, float, float] | None:
    value = F.expr(plan.label.sql).cast("double")
    row = plan.source.select(F.min(value), F.avg(value), F.max(value)).first()
    return None if row is None or row[0] is None else (row[0], row[1], row[2])


def _sides(plan: TrainPlan) -> Counter[str]:
    if plan.side_sql is None:
        return Counter()
    counted = plan.source.groupBy(F.expr(plan.side_sql).alias("side")).count().collect()
    return Counter({row["side"]: row["count"] for row in counted})


def _sample(context: Context, plan: TrainPlan) -> tuple[int, Counter[str], int | None]:
    """The number of rows read, why some are bad, and the number of features, which is None if a backbone computes them."""
    rows = plan.source.limit(SAMPLE)
    if plan.embedder.embeds:
        # With the prefix, because spark.sqlext.functions can leave out the short name.
        error = F.expr(f"sqlext_image_error({plan.features.columns[0].sql})").alias("error")
        frame = rows.select(error, F.lit(None).cast("int").alias("width"))
    else:
        frame = _numbers(context, plan, rows).select("error", F.size("features").alias("width"))
    found = frame.groupBy("error", "width").count().collect()
    bad = Counter({row["error"]: row["count"] for row in found if row["error"] is not None})
    good = Counter({row["width"]: row["count"] for row in found if row["error"] is None and row["width"]})
    return sum(row["count"] for row in found), bad, good.most_common(1)[0][0] if good else None


def _numbers(context: Context, plan: TrainPlan, rows: DataFrame) -> DataFrame:
    return feature_rows(context.spark, rows, plan.label, plan.embedder, SAMPLE)


def _warnings(context: Context, plan: TrainPlan, count: int) -> list[str]:
    """Warnings of numeric columns that are probably not features."""
    if plan.features.kind != "columns":
        return []
    known = _numbers(context, plan, plan.source).where("error IS NULL")
    usable = known.withColumn("target", F.col("label").cast("double")) if plan.regression else known
    return suspicious_columns(plan, usable, count)
