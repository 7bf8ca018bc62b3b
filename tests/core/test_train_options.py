"""Options that change the training (mlp, optimizers, class weights, ends, metrics, promotion), and concurrent queries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import Row, SparkSession

from sqlext.bigdl.optimizers import OPTIMIZERS
from sqlext.catalog import ModelCatalog, ModelRef
from tests.support.results import one


@pytest.fixture(scope="module")
def world(spark: SparkSession) -> Iterator[SparkSession]:
    """Tables `rare` (75 rows, 6 of them of class 'b') and `ring` (no line separates its classes)."""
    spark.sql("CREATE DATABASE options")
    spark.sql("USE options")
    spark.sql(
        "CREATE TABLE rare STORED AS PARQUET AS SELECT IF(id < 6, 'b', 'a') AS y, IF(id < 6, 1.1, 0) + randn(1) AS u, randn(2) AS v "
        "FROM range(0, 75, 1, 1)"
    )
    spark.sql(
        "CREATE TABLE ring STORED AS PARQUET AS SELECT u, v, u * u + v * v > 1.4 AS y FROM "
        "(SELECT randn(3) AS u, randn(4) AS v FROM range(0, 240, 1, 1))"
    )
    yield spark
    spark.sql("USE default")
    spark.sql("DROP DATABASE options CASCADE")


def recall(spark: SparkSession, model: str) -> float:
    """The recall of class 'b' over all of `rare`."""
    rows = spark.sql(f"SELECT classify('{model}', array(u, v)) AS p FROM rare WHERE y = 'b'").collect()
    return sum(r.p == "b" for r in rows) / len(rows)


@pytest.mark.slow
def test_class_weights_raise_the_recall_of_a_rare_class(world: SparkSession) -> None:
    train = "TRAIN MODEL {} FROM (SELECT array(u, v) AS x, y FROM rare) LABEL y VALIDATE NONE OPTIONS (epochs = 30{})"
    world.sql(train.format("plain", ""))
    world.sql(train.format("weighted", ", class_weights = 'auto'"))
    world.sql(train.format("by_hand", """, class_weights = '{"a": 1, "b": 11.5}'"""))
    plain, weighted, by_hand = (recall(world, m) for m in ("plain", "weighted", "by_hand"))
    assert plain <= 0.5 < weighted == by_hand  # auto is 75 / (2 * 69) and 75 / (2 * 6): the same ratio


def test_mlp_learns_what_no_line_separates(world: SparkSession) -> None:
    linear = one(world, "TRAIN MODEL linear FROM ring LABEL y")
    mlp = one(world, "TRAIN MODEL mlp FROM ring LABEL y USING mlp OPTIONS (hidden = '16', metric = 'f1_score')")
    assert mlp.metric_name == "f1_score"
    assert linear.metric_value < 0.8 < 0.85 < mlp.metric_value
    assert mlp.baseline_value < mlp.metric_value
    assert "without a model" in mlp.message
    catalog = ModelCatalog(world)
    saved = catalog.read_manifest(catalog.resolve(ModelRef.parse("mlp", "options")))
    assert saved["details"]["layers"] == "Linear(2 -> 16), ReLU, Linear(16 -> 2), LogSoftMax; 82 trained parameters"
    assert saved["sources"][0]["table"] == "options.ring"
    assert saved["sources"][0]["bytes"] > 0 < saved["sources"][0]["latest_modification"]


@pytest.mark.slow  # tests/core/test_bigdl_training.py trains with each of them without SQL
def test_every_optimizer_trains(world: SparkSession) -> None:
    weights = set()
    for optimizer in OPTIMIZERS:
        row = one(
            world,
            f"TRAIN MODEL optimizers FROM rare LABEL y OPTIONS (optimizer = '{optimizer}', epochs = 3, early_stop = false, clip_norm = 5)",
        )
        history = world.sql(f"SELECT loss FROM optimizers WHERE version = {row.version} ORDER BY epoch").collect()
        assert history[-1].loss < history[0].loss, optimizer
        weights.add(round(row.loss, 6))
    assert len(weights) == len(OPTIMIZERS)


def test_ends_and_the_seed_of_the_split(world: SparkSession) -> None:
    row = one(world, "TRAIN MODEL ends FROM rare LABEL y OPTIONS (max_runtime = '1ms', early_stop = false)")
    assert (row.epochs, "ended by max_runtime after epoch 1" in row.message) == (1, True)
    row = one(world, "TRAIN MODEL ends FROM rare LABEL y OPTIONS (min_loss = 100, precision = 'bf16', seed = 7)")
    assert (row.epochs, "ended by min_loss after epoch 1" in row.message) == (1, True)
    assert "scores in f32, not bf16: arrays are scored in f32" in row.message
    held_out = [
        [r.row_hash for r in world.read.parquet(f"{v.model_folder}/held_out.parquet").orderBy("row_hash").collect()]
        for v in ModelCatalog(world).get(ModelRef.parse("ends", "options").name).versions
    ]
    assert held_out[0] != held_out[1]  # without SEED, the option seed also fixes the split


def test_held_out_rows_with_the_features_of_training_rows_are_counted(world: SparkSession) -> None:
    row = one(
        world,
        "TRAIN MODEL shared FROM rare LABEL y VALIDATE FROM (SELECT * FROM rare WHERE u > 0.5) OPTIONS (epochs = 1)",
    )
    assert f"{row.rows_validated} validation rows have the same features as a training row" in row.message


@pytest.fixture
def two(world: SparkSession) -> Row:
    return one(world, "TRAIN OR REPLACE MODEL busy FROM ring LABEL y OPTIONS (epochs = 1)")


def test_a_query_that_has_started_keeps_its_version(world: SparkSession, two: Row) -> None:
    query = "SELECT predict('busy', array(u, v)).version AS version FROM ring"
    rows = world.sql(query).repartition(8).toLocalIterator()
    seen = [next(rows).version]
    newer = one(world, "TRAIN OR REPLACE MODEL busy FROM ring LABEL y OPTIONS (epochs = 1, promote = 'always')")
    seen += [row.version for row in rows]
    assert (set(seen), len(seen)) == ({two.version}, 240)
    assert {r.version for r in world.sql(query).collect()} == {newer.version}


def test_a_renamed_model_scores_after_its_old_name_was_trained_and_dropped(world: SparkSession, two: Row) -> None:
    world.sql("ALTER MODEL busy RENAME TO renamed")
    world.sql("TRAIN MODEL busy FROM ring LABEL y OPTIONS (epochs = 1)")
    world.sql("DROP MODEL busy")
    rows = world.sql("SELECT predict('renamed', array(u, v)).version AS version FROM ring").collect()
    assert {r.version for r in rows} == {two.version}
    world.sql("DROP MODEL renamed")
