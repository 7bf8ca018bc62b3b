"""Training heads with BigDL on both paths: records, seeds, reasons to stop, files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession

from sqlext.bigdl.installed import missing
from sqlext.bigdl.optimizers import OPTIMIZERS
from sqlext.bigdl.placement import Placement, place
from sqlext.bigdl.records import Epoch, HeadSpec, TrainedHead, TrainSettings
from sqlext.bigdl.training import train_head
from sqlext.errors import SqlExtError
from tests.support.training_data import Blobs, blobs, log_probabilities, outputs

SGD = TrainSettings(epochs=6, batch_size=4, optimizer="sgd", learning_rate=0.01, momentum=0.9)
ADAM = TrainSettings(epochs=8, optimizer="adam", learning_rate=0.01)
LINEAR = HeadSpec(width=64, classes=2)


@pytest.fixture(scope="module")
def data() -> Blobs:
    return blobs()


@pytest.fixture(scope="module")
def rows(spark: SparkSession, data: Blobs) -> Iterator[DataFrame]:
    frame = data.frame(spark)
    yield frame
    frame.unpersist()


# Where to train. With a local master, the distributed path has one executor with two cores.
PATHS = pytest.mark.parametrize("placement", [None, Placement(1, 2, 32)], ids=["one task", "distributed"])


def difference(first: TrainedHead, second: TrainedHead) -> float:
    """The largest difference between two weights."""
    return max(float(np.abs(a - b).max()) for a, b in zip(first.weights, second.weights, strict=True))


@PATHS
def test_records_hold_the_losses_that_the_weights_have(
    spark: SparkSession, data: Blobs, rows: DataFrame, placement: Placement | None
) -> None:
    heard: list[Epoch] = []
    trained = train_head(spark, rows, LINEAR, SGD, lambda e: heard.append(e) is None, placement=placement)
    once = train_head(spark, rows, LINEAR, dataclasses.replace(SGD, epochs=1), placement=placement)
    assert [e.epoch for e in trained.history] == [1, 2, 3, 4, 5, 6]
    assert heard == trained.history, "the caller gets the same epochs as the result has"
    assert trained.distributed == (placement is not None)
    for head, record in ((trained, trained.history[-1]), (once, once.history[0])):
        assert data.losses(head.weights) == pytest.approx((record.loss, record.val_loss), abs=1e-6)
        assert data.accuracy(head.weights) == pytest.approx(record.metric_value)
    assert trained.history[-1].loss < trained.history[0].loss < 1.5
    if placement is None:
        assert [e.iteration for e in trained.history] == [49 * i for i in range(1, 7)]
        assert once.history[0].loss == pytest.approx(trained.history[0].loss, abs=1e-6)


def test_one_task_is_repeatable_whatever_the_partitions(spark: SparkSession, data: Blobs, rows: DataFrame) -> None:
    shuffled = np.random.default_rng(1).permutation(len(data.target))
    other = Blobs(data.features[shuffled], data.target[shuffled], data.validates[shuffled]).frame(spark, partitions=5)
    first, second = (train_head(spark, frame, LINEAR, SGD) for frame in (rows, other))
    assert difference(first, second) <= 1e-6 and first.reproducible
    assert difference(first, train_head(spark, rows, LINEAR, dataclasses.replace(SGD, seed=43))) > 1e-3


def test_dropout_is_off_in_the_records_and_not_repeatable(spark: SparkSession, data: Blobs, rows: DataFrame) -> None:
    head = HeadSpec(width=64, classes=2, hidden=(16, 8), dropout=0.5)
    trained = train_head(spark, rows, head, ADAM)
    assert [w.shape for w in trained.weights] == [(16, 64), (16,), (8, 16), (8,), (2, 8), (2,)]
    assert not trained.reproducible
    record = trained.history[-1]
    assert data.losses(trained.weights) == pytest.approx((record.loss, record.val_loss), abs=1e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns(spark: SparkSession, rows: DataFrame, optimizer: str) -> None:
    rate = {"ftrl": 0.1, "lbfgs": 0.5}.get(optimizer, 0.01)
    trained = train_head(spark, rows, LINEAR, TrainSettings(epochs=8, optimizer=optimizer, learning_rate=rate))
    # Adadelta has no learning rate and starts slowly.
    assert trained.history[-1].loss < trained.history[0].loss * (0.999 if optimizer == "adadelta" else 0.9)
    assert trained.history[-1].learning_rate == (None if optimizer == "adadelta" else rate)


@PATHS
def test_early_stop_publishes_the_best_epoch(
    spark: SparkSession, data: Blobs, rows: DataFrame, placement: Placement | None
) -> None:
    hasty = TrainSettings(epochs=60, learning_rate=0.05, early_stop=True, early_stop_patience=2)
    trained = train_head(spark, rows, LINEAR, hasty, placement=placement)
    values = [e.val_loss for e in trained.history]
    assert trained.stopped == "early_stop" and len(values) < 60
    assert trained.best_epoch == int(np.argmin(values)) + 1 == len(values) - 2
    assert data.losses(trained.weights)[1] == pytest.approx(min(v for v in values if v is not None), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "stopped", "epochs"),
    [({"min_loss": 0.1}, "min_loss", None), ({"max_runtime": 0.0}, "max_runtime", 1), ({}, None, 8)],
)
def test_other_reasons_to_stop(
    spark: SparkSession, rows: DataFrame, change: dict[str, Any], stopped: str | None, epochs: int | None
) -> None:
    trained = train_head(spark, rows, LINEAR, dataclasses.replace(ADAM, **change))
    assert trained.stopped == stopped
    if epochs is None:
        assert trained.history[-1].loss < 0.1 <= trained.history[-2].loss
    else:
        assert len(trained.history) == trained.best_epoch == epochs


@PATHS
def test_callback_cancels_in_the_same_epoch(spark: SparkSession, rows: DataFrame, placement: Placement | None) -> None:
    trained = train_head(spark, rows, LINEAR, ADAM, lambda e: e.epoch < 3, placement=placement)
    assert trained.stopped == "cancelled" and len(trained.history) == 3


def test_an_exception_of_the_callback_ends_training(spark: SparkSession, rows: DataFrame) -> None:
    def fail(_: Epoch) -> bool:
        raise LookupError("the run's file is gone")

    with pytest.raises(LookupError, match="file is gone"):
        train_head(spark, rows, LINEAR, ADAM, fail)


@PATHS
def test_job_cancel_stops_at_once(spark: SparkSession, rows: DataFrame, placement: Placement | None) -> None:
    context, heard, ended = spark.sparkContext, [], Event()

    def cancel() -> None:  # repeatedly, because between two jobs no job can be cancelled
        while not ended.wait(0.1):
            context.cancelJobGroup("to-cancel")

    def at_third_epoch(epoch: Epoch) -> bool:
        heard.append(epoch.epoch)
        if epoch.epoch == 3:
            Thread(target=cancel).start()
        return True

    context.setJobGroup("to-cancel", "to be cancelled")
    try:
        with pytest.raises(Py4JJavaError, match="cancelled"):
            train_head(spark, rows, LINEAR, dataclasses.replace(ADAM, epochs=1000), at_third_epoch, placement=placement)
    finally:
        ended.set()
        context.setLocalProperty("spark.jobGroup.id", None)
    assert 3 <= len(heard) < 1000
    assert train_head(spark, rows, LINEAR, ADAM).stopped is None, "the next training works"


def test_distributed_leaves_nothing_cached(spark: SparkSession, rows: DataFrame) -> None:
    rows.count()
    before = spark.sparkContext._jsc.sc().getPersistentRDDs().size()
    train_head(spark, rows, LINEAR, dataclasses.replace(ADAM, epochs=1), placement=Placement(1, 2, 32))
    assert spark.sparkContext._jsc.sc().getPersistentRDDs().size() == before


def test_class_weights_change_training_and_not_the_losses(spark: SparkSession, data: Blobs, rows: DataFrame) -> None:
    plain = train_head(spark, rows, LINEAR, ADAM)
    weighted = train_head(spark, rows, LINEAR, dataclasses.replace(ADAM, class_weights=[0.1, 10.0]))
    record = weighted.history[-1]
    assert data.losses(weighted.weights) == pytest.approx((record.loss, record.val_loss), abs=1e-6)
    share = [np.mean(log_probabilities(t.weights, data.features).argmax(1) == 1) for t in (plain, weighted)]
    assert share[1] > share[0]


def test_regulariser_decay_and_clipping_take_effect(spark: SparkSession, rows: DataFrame) -> None:
    plain, decayed, clipped, slowed = (
        train_head(spark, rows, LINEAR, dataclasses.replace(ADAM, **change))
        for change in ({}, {"weight_decay": 0.1}, {"optimizer": "sgd", "clip_norm": 1e-3}, {"learning_rate_decay": 0.1})
    )
    assert np.linalg.norm(decayed.weights[0]) < np.linalg.norm(plain.weights[0])
    assert clipped.history[-1].loss == pytest.approx(clipped.history[0].loss, abs=2e-3)
    iterations = slowed.history[-1].iteration
    assert slowed.history[-1].learning_rate == pytest.approx(0.01 / (1 + 0.1 * (iterations - 1)))


def test_regression(spark: SparkSession, data: Blobs) -> None:
    target = (data.features[:, 0] * 2 + np.abs(data.features[:, 1])).astype(np.float64)
    values = Blobs(data.features, target, data.validates)
    trained = train_head(spark, values.frame(spark), HeadSpec(64, None), TrainSettings(epochs=30, learning_rate=0.05))
    error = outputs(trained.weights, data.features)[:, 0] - target
    record = trained.history[-1]
    assert record.loss == pytest.approx(np.mean(error[~data.validates] ** 2), rel=1e-4)
    assert record.metric_value == pytest.approx(np.sqrt(np.mean(error[data.validates] ** 2)), rel=1e-4)
    assert record.loss < 0.2 * np.var(target)


def test_without_validation_rows(spark: SparkSession, data: Blobs) -> None:
    frame = Blobs(data.features, data.target, np.zeros_like(data.validates)).frame(spark)
    trained = train_head(spark, frame, LINEAR, dataclasses.replace(ADAM, early_stop=True))
    assert {(e.val_loss, e.metric_value) for e in trained.history} == {(None, None)}
    assert trained.best_epoch == 8 and trained.stopped is None


def test_divergence_is_an_error(spark: SparkSession, rows: DataFrame) -> None:
    with pytest.raises(SqlExtError, match=r"of shop[.]x diverged") as caught:
        train_head(spark, rows, HeadSpec(64, None), dataclasses.replace(SGD, learning_rate=1e9), name="shop.x")
    assert caught.value.error_class == "TRAINING_DIVERGED"


STANDALONE = {"spark.master": "spark://h:7077", "spark.executor.cores": "2", "spark.cores.max": "6"}
DYNAMIC = {**STANDALONE, "spark.dynamicAllocation.enabled": "true"}
FIXED = {"spark.dynamicAllocation.minExecutors": "4", "spark.dynamicAllocation.maxExecutors": "4"}
YARN = {"spark.master": "yarn", "spark.executor.cores": "2", "spark.executor.instances": "3"}


@pytest.mark.parametrize(
    ("conf", "batch", "expected"),
    [
        (STANDALONE, 32, Placement(3, 2, 36, "batch_size raised from 32 to 36, a multiple of the 6 cores")),
        (STANDALONE, 36, Placement(3, 2, 36)),
        (YARN, 6, Placement(3, 2, 6)),
        ({**DYNAMIC, **FIXED}, 8, Placement(4, 2, 8)),
        ({"spark.master": "local[2]"}, 8, Placement(1, 2, 8)),
    ],
)
def test_large_sets_go_to_all_executors(conf: dict[str, str], batch: int, expected: Placement) -> None:
    assert place(1000, 64, batch, conf, local_max=0, heap=2**20, threads=2) == expected


@pytest.mark.parametrize(
    ("conf", "named"),
    [
        (DYNAMIC, "spark.dynamicAllocation.enabled"),
        ({"spark.master": "spark://h:7077"}, "spark.executor.cores and spark.cores.max"),
        ({k: v for k, v in YARN.items() if "instances" not in k}, "spark.executor.instances"),
    ],
)
def test_a_cluster_that_bigdl_cannot_use(conf: dict[str, str], named: str) -> None:
    fits = place(1000, 64, 32, conf, local_max=1000, heap=2**30, threads=2)
    assert fits.executors == 0 and named in str(fits.note)
    with pytest.raises(SqlExtError) as caught:
        place(10_000_000, 64, 32, conf, local_max=1000, heap=2**30, threads=2)
    assert caught.value.error_class == "TRAINING_TOO_LARGE" and named in str(caught.value)


def test_small_sets_stay_in_one_task() -> None:
    assert place(20, 64, 32, STANDALONE, local_max=2**28, heap=2**30, threads=2) == Placement(0, 1, 20)


def test_bigdl_is_installed(spark: SparkSession) -> None:
    assert missing(spark) is None
