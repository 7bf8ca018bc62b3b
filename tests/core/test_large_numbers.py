"""Numbers with a large offset train, evaluate and score as without it; data that no model can learn from is described."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from tests.support.results import one

OFFSETS = {"plain": 0, "millis": 1_700_000_000_000, "huge": 10**39}
FAST = "OPTIONS (epochs = 30, learning_rate = 0.1, early_stop = false)"


@pytest.fixture(scope="module")
def large(spark: SparkSession) -> Iterator[str]:
    """Database `large`: 80 rows with x from 0 to 79,000 and y = 3 x, both also with an offset."""
    spark.sql("CREATE DATABASE large")
    spark.sql("USE large")
    spark.sql(
        "CREATE TABLE t STORED AS PARQUET AS SELECT id, id * 1000 AS plain, 1700000000000 + id * 1000 AS millis, "
        "1e39D * (1 + id) AS huge, id >= 40 AS late, IF(id % 5 = 0, 'validation', 'train') AS part, 3 * id AS y, "
        "1700000000000 + 3 * id AS y_millis FROM range(0, 80, 1, 1)"
    )
    yield "large"
    spark.sql("USE default")
    spark.sql("DROP DATABASE large CASCADE")


def train(spark: SparkSession, name: str, features: str, predicted: str, options: str = FAST) -> Row:
    return one(spark, f"TRAIN MODEL {name} FROM t FEATURES ({features}) {predicted} VALIDATE BY part {options}")


def values(spark: SparkSession, call: str) -> list[float]:
    return [row.v for row in spark.sql(f"SELECT {call} AS v FROM t ORDER BY id").collect()]


def test_features_with_an_offset(spark: SparkSession, large: str) -> None:
    plain = train(spark, "c_plain", "plain", "LABEL late")
    scores = values(spark, "classify_score_of('c_plain', true, plain)")
    assert plain.metric_value > 0.9
    accuracy = one(spark, "EVALUATE MODEL c_plain FROM t").accuracy
    for name, call in (("huge", "huge"), ("arrays", "array(millis)")):
        if name == "arrays":
            spark.sql("CREATE OR REPLACE TEMPORARY VIEW a AS SELECT array(millis) AS xs, late, part FROM t")
            row = one(spark, f"TRAIN MODEL c_arrays FROM a FEATURES (xs) LABEL late VALIDATE BY part {FAST}")
        else:
            row = train(spark, f"c_{name}", call, "LABEL late")
        assert (row.metric_value, row.rows_skipped) == (plain.metric_value, 0), name
        assert row.loss == pytest.approx(plain.loss, rel=1e-3)
        assert values(spark, f"classify_score_of('c_{name}', true, {call})") == pytest.approx(scores, abs=1e-3)
        found = one(spark, f"EVALUATE MODEL c_{name} FROM {'a' if name == 'arrays' else 't'}")
        assert found.accuracy == accuracy
    again = one(spark, "TRAIN MODEL c_huge OPTIONS (promote = 'if_better', epochs = 1, warm_start = 'c_huge@1')")
    assert again.loss <= row.loss * 1.05  # it starts where the other ended


@pytest.mark.parametrize("features", [pytest.param("plain", marks=pytest.mark.slow), "millis"])
def test_targets_with_an_offset(spark: SparkSession, large: str, tmp_path: Path, features: str) -> None:
    plain = train(spark, "r_plain", features, "TARGET y")
    wanted = values(spark, f"predict_value('r_plain', {features})")
    row = train(spark, "r_millis", features, "TARGET y_millis")
    assert row.metric_value == pytest.approx(plain.metric_value, rel=1e-3)
    assert row.baseline_value == pytest.approx(plain.baseline_value, rel=1e-3)
    found = np.array(values(spark, f"predict_value('r_millis', {features})")) - 1.7e12
    assert found == pytest.approx(wanted, abs=0.01)
    metrics = one(spark, "EVALUATE MODEL r_millis FROM t")
    errors = found - 3 * np.arange(80)
    assert metrics.rmse == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-4)
    assert metrics.mae == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert metrics.r2 == pytest.approx(1 - (errors**2).sum() / (9 * np.var(np.arange(80)) * 80), rel=1e-4)
    spark.conf.set("spark.sqlext.engine", "bigdl")
    by_bigdl = np.array(values(spark, f"predict_value('r_millis', {features})")) - 1.7e12
    spark.conf.unset("spark.sqlext.engine")
    assert by_bigdl == pytest.approx(found, abs=0.01)
    out = one(spark, f"EXPORT MODEL r_millis TO 'file:{tmp_path}/r.onnx' FORMAT ONNX")
    assert "output 'logits' (DOUBLE)" in out.message
    spark.sql(f"IMPORT MODEL r_back_{features} FROM 'file:{tmp_path}/r.onnx' FORMAT ONNX")
    back = np.array(values(spark, f"predict_value('r_back_{features}', {features})")) - 1.7e12
    assert back == pytest.approx(found, abs=0.001)
    with pytest.raises(AnalysisException, match=r"EXPORT_NOT_POSSIBLE.*need DOUBLE"):
        spark.sql(f"EXPORT MODEL r_millis TO 'file:{tmp_path}/r.bigdl' FORMAT BIGDL")


def test_numbers_that_do_not_fit(spark: SparkSession, large: str) -> None:
    spread = "(SELECT plain, 1e300D * id AS wide, late, part FROM t)"
    for clauses, says in (
        ("FEATURES (wide) LABEL late", r"INVALID_FEATURES.*wide.*divide them by a constant"),
        ("FEATURES (plain) TARGET wide", r"INVALID_TARGET.*wide.*divide them by a constant"),
    ):
        with pytest.raises(AnalysisException, match=says):
            spark.sql(f"TRAIN MODEL x FROM {spread} {clauses} VALIDATE BY part")
    train(spark, "c_small", "plain", "LABEL late")
    row = one(spark, "SELECT predict('c_small', 1e300D) AS p")
    assert (row.p.label, row.p.error) == (None, "the features are too large for this model")


@pytest.mark.parametrize(
    ("source", "clauses", "says"),
    [
        (
            "SELECT id AS x, string(id) AS y FROM range(2)",
            "LABEL y",
            "no validation rows (the only row of a class is used",
        ),
        pytest.param(
            "SELECT id AS x, id AS y FROM range(1)",
            "TARGET y",
            "no validation rows (the only row is used for training)",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "SELECT id AS x, string(id) AS y FROM range(20)",
            "LABEL y",
            "is y an id and not a class?",
            marks=pytest.mark.slow,
        ),
        (
            "SELECT id AS x, IF(id = 0, 'one', 'more') AS y FROM range(9)",
            "LABEL y",
            "classes with a single row, which is used for training: 'one'",
        ),
        pytest.param(
            "SELECT 5 AS x, id % 2 AS y FROM range(9)",
            "LABEL y",
            "x has the same value in each row",
            marks=pytest.mark.slow,
        ),
        ("SELECT id AS x, 5 AS y FROM range(9)", "TARGET y", "y has the same value in each training row"),
        (
            "SELECT array(id, 1, id * id, 3, 4, 5, 6, 7, 8, 9) AS x, id % 2 AS y FROM range(9)",
            "LABEL y",
            "10 features are more than",
        ),
    ],
)
def test_data_without_a_lesson(spark: SparkSession, large: str, source: str, clauses: str, says: str) -> None:
    row = one(
        spark, f"TRAIN MODEL degenerate_{clauses[:1]} FROM ({source}) FEATURES (x) {clauses} OPTIONS (epochs = 1)"
    )
    assert says in row.message


@pytest.mark.slow
def test_labels_of_other_numeric_types(spark: SparkSession, large: str) -> None:
    spark.sql(
        f"TRAIN MODEL by_type FROM (SELECT plain, CAST(late AS DECIMAL(10, 1)) AS y FROM t) LABEL y FEATURES (plain) {FAST}"
    )
    wanted = one(spark, "EVALUATE MODEL by_type FROM (SELECT plain, CAST(late AS DECIMAL(10, 1)) AS y FROM t)").accuracy
    assert wanted > 0.9
    for kind in ("DECIMAL(20, 4)", "INT", "DOUBLE", "STRING"):
        expression = f"CAST(CAST(late AS INT) AS {kind})"
        found = one(spark, f"EVALUATE MODEL by_type FROM (SELECT plain, {expression} AS y FROM t)")
        assert (found.accuracy, found.rows_unknown_label) == (wanted, 0), kind
        scores = values(spark, f"classify_score_of('by_type', {expression}, plain)")
        assert None not in scores
    found = one(spark, "EVALUATE MODEL by_type FROM (SELECT plain, CAST(late AS INT) + 0.5D AS y FROM t)")
    assert found.rows_unknown_label == 80
    assert None not in values(spark, "classify_score_of('by_type', 1, plain)")
    with pytest.raises(AnalysisException, match="UNKNOWN_LABEL"):
        spark.sql("SELECT classify_score_of('by_type', 0.5, plain) FROM t")


# One validation row is so far from the training rows that its scaled feature exceeds FLOAT.
FAR = "(SELECT id, IF(id = 5, 1e300D, double(plain)) AS x, late, y, part FROM t{})"


@pytest.mark.parametrize("predicted", [pytest.param("LABEL late", marks=pytest.mark.slow), "TARGET y"])
def test_held_out_rows_that_cannot_be_scored(spark: SparkSession, large: str, predicted: str) -> None:
    """As if the row was not in the source, except that it is counted."""
    spark.sql("DROP MODEL IF EXISTS far_control")
    spark.sql("DROP MODEL IF EXISTS far_away")
    train = "TRAIN MODEL far_{} FROM {} FEATURES (x) {} VALIDATE BY part " + FAST
    wanted = one(spark, train.format("control", FAR.format(" WHERE id <> 5"), predicted))
    row = one(spark, train.format("away", FAR.format(""), predicted))
    assert (row.rows_trained, row.rows_validated, row.rows_skipped) == (64, 15, 1)
    assert (row.metric_value, row.baseline_value) == (wanted.metric_value, wanted.baseline_value)
    assert (row.loss, row.val_loss) == (wanted.loss, wanted.val_loss)
    assert f"on {wanted.rows_validated} rows" in row.message
    reason, _, query = row.message.rpartition(": ")
    assert reason.endswith("skipped 1 x the features are too large for this model")
    assert [bad.id for bad in spark.sql(query).collect()] == [5]
    recorded = one(spark, "EVALUATE MODEL far_away")
    assert (recorded.rows_evaluated, recorded.rmse) == (15, one(spark, "EVALUATE MODEL far_control").rmse)
    given = one(spark, f"EVALUATE MODEL far_away FROM {FAR.format('')}")
    assert (given.rows_evaluated, given.rows_skipped) == (79, 1)


def test_held_out_rows_that_cannot_be_scored_may_be_refused(spark: SparkSession, large: str) -> None:
    with pytest.raises(AnalysisException) as caught:
        spark.sql(
            f"TRAIN MODEL x FROM {FAR.format('')} FEATURES (x) LABEL late VALIDATE BY part OPTIONS (epochs = 1, on_bad_row = 'fail')"
        )
    message = str(caught.value)
    assert "1 of 80 rows" in message and "1 x the features are too large for this model" in message
    query = message.split("This query shows the rows: ")[1].split("; line")[0].split("\n")[0].strip()
    assert [bad.id for bad in spark.sql(query).collect()] == [5]


@pytest.mark.parametrize("order", ["true, false", pytest.param("false, true", marks=pytest.mark.slow)])
def test_every_trial_can_use_the_rows(spark: SparkSession, large: str, order: str) -> None:
    """A training row above FLOAT is good only for trials that standardise."""
    source = "(SELECT id, IF(id = 1, 1e39D, double(id)) AS x, late, part FROM t)"
    row = one(
        spark,
        f"TRAIN MODEL tuned FROM {source} FEATURES (x) LABEL late VALIDATE BY part TUNE (standardize IN ({order})) "
        "OPTIONS (epochs = 2, early_stop = false)",
    )
    assert row.rows_skipped == 1
    assert " failed" not in row.message
    assert row.message.split("best of 2 trials")[1].endswith("OR isnan(x) OR abs(x) > 3.4028234663852886e38D")


def test_many_classes_are_measured_without_all_scores(
    spark: SparkSession, large: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = "TRAIN MODEL many_{} FROM (SELECT plain, plain DIV 10000 AS y, part FROM t) LABEL y FEATURES (plain) VALIDATE BY part "
    wanted = one(spark, train.format("control") + FAST)
    evaluated = one(spark, "EVALUATE MODEL many_control").asDict()
    monkeypatch.setattr("sqlext.evaluation.metrics.MAX_SCORES", 100)
    monkeypatch.setattr("sqlext.evaluation.metrics._FEW_CLASSES", 4)
    row = one(spark, train.format("few") + FAST)
    assert (row.metric_value, row.baseline_value) == (wanted.metric_value, wanted.baseline_value)
    assert (
        "log_loss, roc_auc, top_5_accuracy are not measured: 16 held-out rows x 8 classes are more than" in row.message
    )
    without = {"log_loss", "roc_auc", "top_5_accuracy"}
    source = "(SELECT plain, plain DIV 10000 AS y FROM t WHERE part = 'validation')"
    for found in (one(spark, "EVALUATE MODEL many_few"), one(spark, f"EVALUATE MODEL many_few FROM {source}")):
        for name, value in evaluated.items():
            if name in without:
                assert value is not None and found[name] is None, name
            elif name not in ("model", "evaluated_at", "source", "split"):
                assert found[name] == value, name
    none = one(spark, train.format("none") + FAST.replace("(", "(metric = 'roc_auc', "))
    assert none.metric_value is None and "roc_auc is not defined on these rows" in none.message
    labels = spark.sql(
        "SELECT label, predicted_label, score FROM sqlext_held_out('many_{}') ORDER BY row_hash".format("few")
    )
    control = spark.sql("SELECT label, predicted_label, score FROM sqlext_held_out('many_control') ORDER BY row_hash")
    assert labels.collect() == control.collect()
