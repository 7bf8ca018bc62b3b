"""Splits rows into training, validation and test rows by hashes, so that the same rows always give the same split."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from sqlext.evaluation.names import TEST, TRAIN, VALIDATION


def split_by_hash(
    rows: DataFrame,
    fraction: float,
    seed: int,
    *,
    test: float = 0.0,
    training: Collection[int] = (),
    apart: Sequence[str] = (),
    partitions: int | None = None,
) -> DataFrame:
    """Adds ``side STRING`` (train, validation, test) to rows with ``label`` and ``unit BIGINT``.

    ``unit`` is the hash of a row's features or of its group; rows with the same unit get the same side, across classes,
    too. Within each class, rows are ranked by hash(seed, unit): the first round(fraction * n) rows validate (at least one
    if the class has two units or more), the next round(test * n) rows test, and the last rank trains. A unit that several
    classes share is held out if one of them holds it out, so a class can be left without training rows.

    :param training: units that train; they are ranked after all others.
    :param apart: rows are split separately for each combination of values in these columns.
    :param partitions: of two explicit shuffles; None leaves shuffles to Spark, which needs none for a single partition.
    """
    ranked = _ranked(_shuffled(rows, partitions, "label"), seed, training, apart)
    validating = F.greatest(F.round(F.lit(fraction) * F.col("_n")), F.lit(1.0))
    testing = F.round(F.lit(test) * F.col("_n"))
    # `_first`: a class validates even if the rows of its first rank (many identical rows) are more than its share.
    side = (
        F.when((F.col("_n") == 1) | F.col("_last") | F.col("_trains"), F.lit(0))
        .when((F.col("_upto") <= validating) | F.col("_first"), F.lit(2))
        .when(F.col("_upto") <= validating + testing, F.lit(1))
        .otherwise(F.lit(0))
    )
    together = Window.partitionBy("unit", *apart)
    sided = _shuffled(ranked.withColumn("_side", side), partitions, "unit")
    flagged = sided.withColumn("_side", F.max("_side").over(together))
    names = F.array(F.lit(TRAIN), F.lit(TEST), F.lit(VALIDATION))
    return flagged.withColumn("side", names[F.col("_side")]).drop(*_PLACES, "_side")


# Columns for the place of a row within its class.
_PLACES = ("_trains", "_rank", "_n", "_upto", "_first", "_last")


def _ranked(rows: DataFrame, seed: int, training: Collection[int], apart: Sequence[str]) -> DataFrame:
    """Adds :data:`_PLACES`: whether the row has to train, its rank, the rows of its class, those up to its rank, and
    whether its rank is the first or the last one."""
    by_class = Window.partitionBy("label", *apart)
    order = by_class.orderBy("_rank").rangeBetween(Window.unboundedPreceding, Window.currentRow)
    trains, rank = F.lit(False), _rank(seed)
    if training:
        trains = F.col("unit").isin(*sorted(training))
        rank = F.struct(trains, rank)
    return (
        rows.withColumn("_trains", trains)
        .withColumn("_rank", rank)
        .withColumn("_n", F.count(F.lit(1)).over(by_class))
        .withColumn("_upto", F.count(F.lit(1)).over(order))
        .withColumn("_first", F.col("_rank") == F.min("_rank").over(by_class))
        .withColumn("_last", F.col("_rank") == F.max("_rank").over(by_class))
    )


def split_for_every_class(
    rows: DataFrame, fraction: float, seed: int, *, test: float = 0.0, partitions: int | None = None
) -> DataFrame:
    """As :func:`split_by_hash`, but every class has a training row; runs at least one job.

    For each class without one, its last unit trains, and the rows are split again, so that other units are held out in its
    place. This repeats until no class is without one: a unit that trains stays so, and its classes have a training row.
    """
    training: set[int] = set()
    while True:
        split = split_by_hash(rows, fraction, seed, test=test, training=training, partitions=partitions)
        missing = _units_to_train(split, seed)
        if not missing:
            return split
        training |= missing


def _units_to_train(split: DataFrame, seed: int) -> set[int]:
    """The last unit of each class without a training row."""
    by_class = split.groupBy("label").agg(
        F.max(F.col("side") == TRAIN).alias("trains"), F.max_by(F.col("unit"), _rank(seed)).alias("unit")
    )
    return {row["unit"] for row in by_class.where("NOT trains").collect()}


def _rank(seed: int) -> Column:
    return F.xxhash64(F.lit(seed), F.col("unit"))


def _shuffled(rows: DataFrame, partitions: int | None, column: str) -> DataFrame:
    """Shuffles explicitly: a window's own shuffle has spark.sql.shuffle.partitions, which adaptive execution does not
    reduce in cached plans.
    """
    return rows if partitions is None else rows.repartition(partitions, column)


def side_sql(column: str, *, boolean: bool) -> str:
    """SQL that turns the BOOLEAN or STRING column of VALIDATE BY into a side; unknown strings and NULL stay what they are."""
    if boolean:
        return f"CASE WHEN {column} THEN '{VALIDATION}' WHEN NOT {column} THEN '{TRAIN}' END"
    return f"lower(trim({column}))"
