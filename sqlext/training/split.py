"""Which rows train and which validate: decided by hashes, so that the same rows always give the same split."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def split_by_hash(rows: DataFrame, fraction: float, seed: int) -> DataFrame:
    """Adds ``validates BOOLEAN`` to rows with ``label`` and ``row_hash BIGINT``.

    Within each class, rows are ranked by hash(seed, features); the first round(fraction * n) validate, at least one of
    each class with two rows or more, and never all of them. Rows with identical features share a rank and so a side, also
    across classes.
    """
    by_class = Window.partitionBy("label")
    order = by_class.orderBy("_rank").rangeBetween(Window.unboundedPreceding, Window.currentRow)
    ranked = (
        rows.withColumn("_rank", F.xxhash64(F.lit(seed), F.col("row_hash")))
        .withColumn("_n", F.count(F.lit(1)).over(by_class))
        .withColumn("_upto", F.count(F.lit(1)).over(order))
        .withColumn("_first", F.col("_rank") == F.min("_rank").over(by_class))
        .withColumn("_last", F.col("_rank") == F.max("_rank").over(by_class))
    )
    wanted = F.greatest(F.round(F.lit(fraction) * F.col("_n")), F.lit(1.0))
    # `_first`: a class whose first rank alone is more than its share (many identical rows) still validates.
    chosen = (F.col("_n") > 1) & ~F.col("_last") & ((F.col("_upto") <= wanted) | F.col("_first"))
    flagged = ranked.withColumn("_chosen", chosen)
    together = Window.partitionBy("row_hash")
    return flagged.withColumn("validates", F.max("_chosen").over(together)).drop(
        "_rank", "_n", "_upto", "_first", "_last", "_chosen"
    )
