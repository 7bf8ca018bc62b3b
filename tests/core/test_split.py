"""The split by hash: its shares within classes, duplicate rows, and determinism."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sqlext.training.split import split_by_hash


def sides(spark: SparkSession, sql: str, fraction: float, seed: int = 42) -> list[tuple[str, int, bool]]:
    rows = spark.sql(sql).withColumn("unit", F.xxhash64("x"))
    split = split_by_hash(rows, fraction, seed).orderBy("label", "x").collect()
    return [(r.label, r.x, r.side == "validation") for r in split]


def test_shares_hold_within_each_class(spark: SparkSession) -> None:
    rows = sides(
        spark,
        "SELECT id AS x, CASE WHEN id < 10 THEN 'a' WHEN id < 12 THEN 'b' WHEN id < 13 THEN 'c' ELSE 'd' END AS label FROM range(113)",
        0.2,
    )
    validating = {label: sum(v for name, _, v in rows if name == label) for label in "abcd"}
    assert validating == {"a": 2, "b": 1, "c": 0, "d": 20}


def test_the_seed_changes_the_split_and_the_order_does_not(spark: SparkSession) -> None:
    sql = "SELECT id AS x, 'a' AS label FROM range(0, 100, 1, {})"
    assert sides(spark, sql.format(1), 0.3) == sides(spark, sql.format(7), 0.3)
    assert sides(spark, sql.format(1), 0.3, 1) != sides(spark, sql.format(1), 0.3, 2)


def test_identical_features_stay_on_one_side(spark: SparkSession) -> None:
    rows = sides(
        spark, "SELECT id % 10 AS x, CASE WHEN id % 20 < 10 THEN 'a' ELSE 'b' END AS label FROM range(100)", 0.3
    )
    by_features: dict[int, set[bool]] = {}
    for _, x, validates in rows:
        by_features.setdefault(x, set()).add(validates)
    assert all(len(found) == 1 for found in by_features.values())
    assert 0 < sum(v for _, _, v in rows) < 100


def test_test_rows_come_after_validation_rows_and_do_not_move_them(spark: SparkSession) -> None:
    rows = spark.sql("SELECT id AS x, if(id < 40, 'a', 'b') AS label, xxhash64(id) AS unit FROM range(100)")
    without, tested = ({r.x: r.side for r in split_by_hash(rows, 0.2, 42, test=t).collect()} for t in (0.0, 0.3))
    assert {x for x, side in without.items() if side == "validation"} == {
        x for x, side in tested.items() if side == "validation"
    }
    assert sorted(x < 40 for x, side in tested.items() if side == "test") == [False] * 18 + [True] * 12
