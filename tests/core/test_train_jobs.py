"""The numbers of Spark jobs and tasks of a TRAIN on few rows are small, for any spark.sql.shuffle.partitions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pyspark.sql import Row, SparkSession

from sqlext.catalog import ModelCatalog, ModelRef
from sqlext.context import Context
from sqlext.networks.head import Head
from sqlext.statements import parse_statement
from sqlext.training import features
from sqlext.training import rows as training_rows
from sqlext.training.labels import read_labels
from sqlext.training.plan import existing_model, make_plan
from sqlext.training.recorder import RunRecorder
from sqlext.training.rows import prepare
from tests.support.results import one

OPTIONS = "OPTIONS (epochs = 2, early_stop = false)"
NUMBERS = f"TRAIN OR REPLACE MODEL m FROM points FEATURES (a, b, c) LABEL label {OPTIONS}"
# Other plans that used to shuffle: a regression with test rows, groups that stay together, two sources, a split by a column.
OTHERS = {
    "regression": f"TRAIN MODEL r FROM points FEATURES (a, b) TARGET c VALIDATE SPLIT 0.2 TEST 0.1 {OPTIONS}",
    "group": f"TRAIN MODEL g FROM points FEATURES (a, b, c) LABEL label VALIDATE SPLIT 0.2 GROUP part {OPTIONS}",
    "from": f"TRAIN MODEL f FROM points FEATURES (a, b, c) LABEL label VALIDATE FROM (SELECT * FROM points WHERE a > 0.5) {OPTIONS}",
    "by": f"TRAIN MODEL b FROM (SELECT *, a > 0.5 AS v FROM points) FEATURES (a, b, c) LABEL label VALIDATE BY v {OPTIONS}",
}


@dataclass(frozen=True)
class Started:
    """What a statement returned, and the numbers of its jobs and tasks."""

    row: Row
    jobs: int
    tasks: int


def run(spark: SparkSession, sql: str) -> Started:
    before = {number for number, _ in _jobs(spark)}
    row = one(spark, sql)
    tasks = [tasks for number, tasks in _jobs(spark) if number not in before]
    return Started(row, len(tasks), sum(tasks))


def _jobs(spark: SparkSession) -> list[tuple[int, int]]:
    """Number and finished tasks of every job in Spark's status store."""
    context = spark.sparkContext._jsc.sc()  # type: ignore[attr-defined]
    context.listenerBus().waitUntilEmpty()
    found = context.statusStore().jobsList(None)
    return [(job.jobId(), job.numCompletedTasks()) for job in (found.apply(i) for i in range(found.size()))]


@pytest.fixture
def points(spark: SparkSession, database: str) -> str:
    """400 rows of three numbers, a label and a group, in one file."""
    spark.sql(
        "CREATE TABLE points STORED AS PARQUET AS SELECT /*+ COALESCE(1) */ cos(id) AS a, sin(id) AS b, cos(3 * id) AS c, "
        "CAST(id % 20 AS INT) AS part, if(sin(id) > cos(3 * id), 'up', 'down') AS label FROM range(400)"
    )
    return "points"


@pytest.fixture
def many_shuffle_partitions(spark: SparkSession) -> Iterator[None]:
    """Sets Spark's default number of shuffle partitions, which most clusters have."""
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", "200")
    yield
    spark.conf.set("spark.sql.shuffle.partitions", before)


def test_numbers_take_seven_jobs_of_one_or_two_tasks(
    spark: SparkSession, points: str, many_shuffle_partitions: None
) -> None:
    started = run(spark, NUMBERS)
    assert (started.row.rows_trained, started.row.rows_validated) == (320, 80)
    # labels (two jobs), features and counts, scaling, training, held-out rows, suspicious columns
    assert started.jobs <= 7
    assert started.tasks <= 2 * started.jobs


def test_a_further_trial_takes_two_jobs(spark: SparkSession, points: str, many_shuffle_partitions: None) -> None:
    one_trial = run(spark, f"{NUMBERS} TUNE (learning_rate IN (0.1))")
    three = run(spark, f"{NUMBERS} TUNE (learning_rate IN (0.1, 0.01, 0.001))")
    # training, held-out rows; the trials share the scaling
    assert three.jobs == one_trial.jobs + 2 * 2
    assert three.row.rows_trained == one_trial.row.rows_trained


def test_images_take_five_jobs(spark: SparkSession, shop: str, many_shuffle_partitions: None) -> None:
    options = OPTIONS.replace(")", ", precision = 'f32')")  # with bf16 there would be one more job
    started = run(spark, f"TRAIN MODEL shop.few FROM shop.images LABEL species BACKBONE models.small {options}")
    spark.sql("DROP MODEL shop.few")
    assert started.row.rows_trained + started.row.rows_validated == 80
    # labels (two jobs), features and counts, training, held-out rows
    assert started.jobs <= 5
    assert started.tasks <= 20


@pytest.mark.parametrize("kind", ["group", *(pytest.param(k, marks=pytest.mark.slow) for k in OTHERS if k != "group")])
def test_tasks_follow_the_rows(spark: SparkSession, points: str, many_shuffle_partitions: None, kind: str) -> None:
    started = run(spark, OTHERS[kind])
    assert started.row.rows_validated > 0
    assert started.jobs <= 10
    assert started.tasks <= 3 * started.jobs


def test_images_of_a_join_are_embedded_by_few_tasks(spark: SparkSession, shop: str) -> None:
    joined = spark.sql("SELECT i.image FROM shop.images i JOIN (SELECT DISTINCT id FROM shop.images) d ON i.id = d.id")
    before = len(_jobs(spark))
    spread = features._spread(spark, joined, 80)
    assert len(_jobs(spark)) == before, "the source must not run to learn its number of partitions"
    assert spread.rdd.getNumPartitions() == 5


def _published(spark: SparkSession) -> tuple[Head, list[tuple[Any, ...]]]:
    """The head of model m, and its held-out rows with their split."""
    catalog = ModelCatalog(spark)
    version = catalog.resolve(ModelRef.parse("m", spark.catalog.currentDatabase()))
    head = Head.from_onnx(catalog.read_bytes(version, "head.onnx"))
    rows = spark.sql("SELECT row_hash, split, label FROM sqlext_held_out('m') ORDER BY ALL").collect()
    return head, [tuple(row) for row in rows]


def test_many_rows_are_split_like_few_rows(
    spark: SparkSession, points: str, many_shuffle_partitions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, (head, held_out) = run(spark, NUMBERS), _published(spark)
    monkeypatch.setattr(training_rows, "_GATHERED_SHARE", 2**62)  # no row is few enough
    many, (other, same) = run(spark, NUMBERS), _published(spark)
    assert same == held_out
    assert len(held_out) == 80
    for one_weight, other_weight in zip(head.weights, other.weights, strict=True):
        np.testing.assert_allclose(one_weight, other_weight, atol=1e-6)
    assert many.row.loss == pytest.approx(few.row.loss, abs=1e-6)
    assert many.jobs > few.jobs
    assert many.tasks < 60


def test_a_training_that_ends_leaves_the_rows_of_another(spark: SparkSession, points: str) -> None:
    """Two trainings of the same rows at once: Spark would find the second one's rows in the cache entry of the first."""
    sql = NUMBERS.replace("OR REPLACE ", "")
    request = parse_statement(sql).request  # type: ignore[attr-defined]
    context = Context(spark, sql)
    plan = make_plan(context, request, *existing_model(context, request))
    labels = read_labels(plan)
    with suppress(LookupError), RunRecorder(context, plan) as one_run, RunRecorder(context, plan) as other_run:
        first, second = (prepare(context, plan, labels, run) for run in (one_run, other_run))
        first.release()
        assert "InMemoryRelation" in second.usable._jdf.queryExecution().withCachedData().toString()
        assert second.usable.count() == 400
        second.release()
        raise LookupError("the runs end here")  # their records read FAILED
