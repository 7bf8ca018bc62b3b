"""The tutorial's data in SQL: ants and bees on ResNet-50, with shuffled labels as the control."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import Row, SparkSession

from tests.support.results import one

pytestmark = pytest.mark.real_data
OPTIONS = (
    "OPTIONS (epochs = 25, batch_size = 4, optimizer = 'sgd', learning_rate = 0.001, momentum = 0.9, seed = {seed})"
)


@pytest.fixture(scope="module")
def bugs(spark: SparkSession, real_data: Path) -> str:
    """Tables bugs.train and bugs.val, and the imported models.resnet50."""
    spark.sql("CREATE DATABASE bugs")
    spark.sql("CREATE DATABASE IF NOT EXISTS models")
    for part in ("train", "val"):
        spark.sql(
            f"CREATE TABLE bugs.{part} STORED AS PARQUET AS SELECT content AS image, element_at(split(path, '/'), -2) AS label "
            f"FROM binaryFile.`{real_data}/hymenoptera/{part}/*`"
        )
    spark.sql(f"IMPORT MODEL models.resnet50 FROM 'file:{real_data}/models/resnet50.onnx' FORMAT ONNX")
    return "bugs"


@pytest.fixture(scope="module")
def antbee(spark: SparkSession, bugs: str) -> Row:
    return one(
        spark,
        "TRAIN MODEL bugs.antbee FROM bugs.train FEATURES (image) LABEL label BACKBONE models.resnet50 VALIDATE FROM bugs.val "
        + OPTIONS.format(seed=1),
    )


@pytest.fixture(scope="module")
def embedded(spark: SparkSession, bugs: str) -> str:
    """The features of the photographs, as TRAIN on images computes them, computed once for all seeds."""
    for part in ("train", "val"):
        spark.sql(
            f"CREATE TABLE bugs.{part}_emb STORED AS PARQUET AS SELECT label, embed_resnet(image) AS features FROM bugs.{part}"
        )
    return "bugs"


def train_on_embeddings(spark: SparkSession, name: str, source: str, seed: int) -> Row:
    return one(
        spark,
        f"TRAIN MODEL {name} FROM {source} FEATURES (features) LABEL label BACKBONE models.resnet50 "
        f"VALIDATE FROM bugs.val_emb {OPTIONS.format(seed=seed)}",
    )


def test_photographs_to_a_model(spark: SparkSession, antbee: Row) -> None:
    assert (antbee.rows_trained, antbee.rows_validated, antbee.rows_skipped) == (244, 153, 0)
    assert (antbee.epochs, antbee.batch_size, antbee.classes) == (25, 4, 2)
    assert antbee.metric_value >= 0.935
    assert antbee.baseline_value == pytest.approx(70 / 153)  # 'ants' is the more frequent training label
    rows = spark.sql("SELECT epoch, loss, val_loss FROM bugs.antbee WHERE version = 1 ORDER BY epoch").collect()
    assert len(rows) == 25
    assert rows[-1].val_loss == antbee.val_loss < rows[0].val_loss


def test_accuracy_over_five_seeds(spark: SparkSession, antbee: Row, embedded: str) -> None:
    accuracies = [
        train_on_embeddings(spark, "bugs.by_seed", "bugs.train_emb", seed).metric_value for seed in range(1, 6)
    ]
    print(f"\nants/bees, accuracy over seeds 1..5: {accuracies}, mean {sum(accuracies) / 5:.4f}")
    assert accuracies[0] == pytest.approx(
        antbee.metric_value, abs=1e-9
    )  # images and their embeddings: the same training
    assert sum(accuracies) / 5 >= 0.95
    assert min(accuracies) >= 0.935


def test_shuffled_labels_give_chance_accuracy(spark: SparkSession, embedded: str) -> None:
    spark.sql(
        "CREATE TABLE bugs.shuffled STORED AS PARQUET AS SELECT f.features, l.label FROM "
        "(SELECT features, row_number() OVER (ORDER BY xxhash64(features)) AS i FROM bugs.train_emb) f JOIN "
        "(SELECT label, row_number() OVER (ORDER BY xxhash64(features, 17)) AS i FROM bugs.train_emb) l ON f.i = l.i"
    )
    row = train_on_embeddings(spark, "bugs.nonsense", "bugs.shuffled", 1)
    print(f"\nants/bees, labels shuffled: {row.metric_value:.4f}")
    assert row.metric_value <= 0.65


def test_evaluate_is_the_average_of_classify(spark: SparkSession, antbee: Row) -> None:
    evaluated = one(spark, "EVALUATE MODEL bugs.antbee FROM bugs.val")
    average = one(spark, "SELECT avg(if(classify('bugs.antbee', image) = label, 1, 0)) AS a FROM bugs.val").a
    print(f"\nants/bees, EVALUATE {evaluated.accuracy:.4f}, AVG of classify {average:.4f}")
    assert evaluated.accuracy == pytest.approx(average, abs=1e-12)
    assert evaluated.accuracy >= 0.935


def test_features_are_2048_numbers(spark: SparkSession, bugs: str) -> None:
    assert {r.n for r in spark.sql("SELECT size(embed_resnet(image)) AS n FROM bugs.val LIMIT 3").collect()} == {2048}


def test_engines_agree_on_photographs(spark: SparkSession, antbee: Row) -> None:
    """All engines in f32 give the same labels, and scores within 1e-3 of each other."""
    answers = {}
    for engine in ("onnxruntime", "openvino", "bigdl"):
        spark.conf.set("spark.sqlext.engine", engine)
        spark.conf.set("spark.sqlext.precision", "f32")
        try:
            rows = spark.sql(
                "SELECT xxhash64(image) AS k, predict('bugs.antbee', image) AS p FROM (SELECT image FROM bugs.val LIMIT 24)"
            ).collect()
        finally:
            spark.conf.unset("spark.sqlext.engine")
            spark.conf.unset("spark.sqlext.precision")
        answers[engine] = {r.k: (r.p.label, r.p.score) for r in rows}
    reference = answers.pop("onnxruntime")
    for engine, scored in answers.items():
        worst = max(abs(scored[k][1] - reference[k][1]) for k in reference)
        print(f"\nants/bees, {engine} against onnxruntime, both f32: largest difference of a score {worst:.1e}")
        assert {k: v[0] for k, v in scored.items()} == {k: v[0] for k, v in reference.items()}
        assert worst < 1e-3
