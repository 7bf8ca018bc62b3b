"""The split by hash: its shares within classes, duplicate rows, and determinism."""

from __future__ import annotations

import random
from collections import defaultdict

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sqlext.training.split import split_by_hash, split_for_every_class


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


def test_a_class_of_few_large_units_validates(spark: SparkSession) -> None:
    """Rows with the same features stay together, also if they are more than the share of the class."""
    for seed in range(6):
        rows = sides(spark, "SELECT if(id < 9, 0, 1) AS x, 'a' AS label FROM range(18)", 0.2, seed)
        assert sum(validates for _, _, validates in rows) == 9, seed


def test_test_rows_come_after_validation_rows_and_do_not_move_them(spark: SparkSession) -> None:
    rows = spark.sql("SELECT id AS x, if(id < 40, 'a', 'b') AS label, xxhash64(id) AS unit FROM range(100)")
    without, tested = ({r.x: r.side for r in split_by_hash(rows, 0.2, 42, test=t).collect()} for t in (0.0, 0.3))
    assert {x for x, side in without.items() if side == "validation"} == {
        x for x, side in tested.items() if side == "validation"
    }
    assert sorted(x < 40 for x, side in tested.items() if side == "test") == [False] * 18 + [True] * 12


def by_class(split: DataFrame) -> dict[str, dict[int, str]]:
    """Class -> unit -> side; fails if a unit has two sides."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    sides: dict[int, str] = {}
    for row in split.collect():
        assert sides.setdefault(row.unit, row.side) == row.side
        found[row.label][row.unit] = row.side
    return found


def test_classes_that_share_units_are_split_so_that_each_has_a_training_row(spark: SparkSession) -> None:
    units = [r.id for r in spark.sql("SELECT id FROM range(3) ORDER BY xxhash64(42, id)").collect()]
    first, second, third = units
    pairs = [(label, unit) for label, of in (("a", units[:2]), ("b", units[1:])) for unit in of]
    rows = spark.createDataFrame(pairs, "label STRING, unit LONG").coalesce(1)
    # Class b holds out `second`, which is all that class a trains on.
    assert set(by_class(split_by_hash(rows, 0.5, 42))["a"].values()) == {"validation"}
    found = by_class(split_for_every_class(rows, 0.5, 42))
    assert found["a"] == {first: "validation", second: "train"}
    assert found["b"] == {second: "train", third: "validation"}  # `third` is held out in place of `second`


def test_a_split_changes_only_if_a_class_has_no_training_row(spark: SparkSession) -> None:
    """In 100 sets of six classes that share up to eight units; no unit belongs to two of the sets."""
    draw = random.Random(5)
    pairs = [
        (f"{world} {name}", 100 * world + unit)
        for world in range(100)
        for name in "abcdef"
        for unit in draw.choices(range(8), k=draw.randint(1, 6))
    ]
    rows = spark.createDataFrame(pairs, "label STRING, unit LONG").coalesce(1)
    before = by_class(split_by_hash(rows, 0.3, 42, test=0.2))
    after = by_class(split_for_every_class(rows, 0.3, 42, test=0.2))
    assert all("train" in sides.values() for sides in after.values())
    wrong = {label.split()[0] for label, sides in before.items() if "train" not in sides.values()}
    assert 10 < len(wrong) < 90
    changed = {label.split()[0] for label in before if before[label] != after[label]}
    assert changed == wrong
