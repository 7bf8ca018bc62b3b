"""Which rows train, validate and test: decided by hashes, so that the same rows always give the same split."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from sqlext.evaluation.names import TEST, TRAIN, VALIDATION


def split_by_hash(
    rows: DataFrame,
    fraction: float,
    seed: int,
    *,
    test: float = 0.0,
    apart: Sequence[str] = (),
    partitions: int | None = None,
) -> DataFrame:
    """Adds ``side STRING`` (train, validation, test) to rows with ``label`` and ``unit BIGINT``.

    A unit is what stays together: the hash of a row's features, or of its group. Within each class, rows are ranked by
    hash(seed, unit); the first round(fraction * n) validate, at least one of each class with two units or more, the next
    round(test * n) test, and never do all of them. Units stay on one side across classes, too.

    :param apart: columns whose values are split independently of each other.
    :param partitions: of the two shuffles; default: Spark's own. Rows that are in one partition are not shuffled.
    """
    by_class = Window.partitionBy("label", *apart)
    order = by_class.orderBy("_rank").rangeBetween(Window.unboundedPreceding, Window.currentRow)
    ranked = (
        _shuffled(rows, partitions, "label")
        .withColumn("_rank", F.xxhash64(F.lit(seed), F.col("unit")))
        .withColumn("_n", F.count(F.lit(1)).over(by_class))
        .withColumn("_upto", F.count(F.lit(1)).over(order))
        .withColumn("_first", F.col("_rank") == F.min("_rank").over(by_class))
        .withColumn("_last", F.col("_rank") == F.max("_rank").over(by_class))
    )
    validating = F.greatest(F.round(F.lit(fraction) * F.col("_n")), F.lit(1.0))
    testing = F.round(F.lit(test) * F.col("_n"))
    # `_first`: a class whose first rank alone is more than its share (many identical rows) still validates.
    side = (
        F.when((F.col("_n") == 1) | F.col("_last"), F.lit(0))
        .when((F.col("_upto") <= validating) | F.col("_first"), F.lit(2))
        .when(F.col("_upto") <= validating + testing, F.lit(1))
        .otherwise(F.lit(0))
    )
    together = Window.partitionBy("unit", *apart)
    sided = _shuffled(ranked.withColumn("_side", side), partitions, "unit")
    flagged = sided.withColumn("_side", F.max("_side").over(together))
    names = F.array(F.lit(TRAIN), F.lit(TEST), F.lit(VALIDATION))
    return flagged.withColumn("side", names[F.col("_side")]).drop("_rank", "_n", "_upto", "_first", "_last", "_side")


def _shuffled(rows: DataFrame, partitions: int | None, column: str) -> DataFrame:
    """An explicit shuffle: a window's own takes spark.sql.shuffle.partitions, where adaptive execution is off (in cached plans)."""
    return rows if partitions is None else rows.repartition(partitions, column)


def side_sql(column: str, *, boolean: bool) -> str:
    """VALIDATE BY: a BOOLEAN or STRING column as a side; another value stays as it is, NULL stays NULL."""
    if boolean:
        return f"CASE WHEN {column} THEN '{VALIDATION}' WHEN NOT {column} THEN '{TRAIN}' END"
    return f"lower(trim({column}))"
