"""EVALUATE MODEL, compared with scikit-learn on the predictions of SQL functions: several models, all forms, held-out rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Row, SparkSession
from sklearn import metrics as sk

from sqlext.catalog import ModelCatalog, ModelRef
from sqlext.context import Context
from sqlext.evaluation import rows as answers
from sqlext.evaluation.candidates import Candidate, compared_columns
from sqlext.grammar.reader import Source
from sqlext.statements.evaluate_model import CONFUSION_MATRIX, FORMS, PER_CLASS

LABELS = ["2", "10", "30"]  # in the order of their type


@pytest.fixture(scope="module")
def points(spark: SparkSession) -> Iterator[SparkSession]:
    """Database `points`: table t (90 rows of three overlapping classes), u (with a label that t lacks); models m and n."""
    spark.sql("CREATE DATABASE points")
    spark.sql("USE points")
    rng = np.random.default_rng(5)
    rows = [(i, int(LABELS[i % 3]), [float(x) for x in rng.normal(i % 3, 0.9, 2)]) for i in range(90)]
    spark.createDataFrame(rows, "id int, y int, x array<double>").write.saveAsTable("t")
    spark.sql(
        "CREATE VIEW u AS SELECT id, IF(id < 6, 7, y) AS kind, IF(id % 30 = 7, NULL, x) AS x FROM t WHERE id < 60"
    )
    spark.sql("TRAIN MODEL m FROM t LABEL y OPTIONS (epochs = 4)")
    spark.sql("TRAIN MODEL n FROM t LABEL y VALIDATE NONE OPTIONS (epochs = 1)")
    yield spark
    spark.sql("USE default")
    spark.sql("DROP DATABASE points CASCADE")


def rows(spark: SparkSession, sql: str) -> list[Row]:
    return spark.sql(sql).collect()


def test_several_models_on_the_same_rows(points: SparkSession) -> None:
    found = rows(points, "EVALUATE MODEL m, n VERSION 1, points.m ALIAS latest LABEL kind FROM u")
    assert [(r.model, r.version, r.source, r.split) for r in found] == [
        (f"points.{name}", 1, "u", "given") for name in ("m", "n", "m")
    ]
    assert len({r.evaluated_at for r in found}) == 1
    assert found[0][4:17] == found[2][4:17]
    for row in found[:2]:
        name = row.model.removeprefix("points.")
        scored = rows(
            points,
            f"SELECT CAST(kind AS STRING) AS y, p.label, classify_score_of('{name}', '2', x), classify_score_of('{name}', '10', x), "
            f"classify_score_of('{name}', '30', x) FROM (SELECT *, predict('{name}', x) AS p FROM u) WHERE p.label IS NOT NULL",
        )
        compare(row, [r.y for r in scored], [r.label for r in scored], np.array([r[2:] for r in scored]))


def compare(row: Row, truth: list[str], predicted: list[str], scores: np.ndarray) -> None:
    known = [label in LABELS for label in truth]
    assert (row.rows_evaluated, row.rows_skipped, row.rows_unknown_label) == (len(truth), 2, known.count(False))
    assert row.accuracy == sk.accuracy_score(truth, predicted)
    averages = sk.precision_recall_fscore_support(truth, predicted, average="macro", zero_division=0)
    assert (row.precision, row.recall, row.f1_score) == pytest.approx(averages[:3])
    index = [LABELS.index(label) for label, k in zip(truth, known, strict=True) if k]
    assert row.log_loss == pytest.approx(sk.log_loss(index, scores[known], labels=[0, 1, 2]))
    assert row.roc_auc == pytest.approx(sk.roc_auc_score(index, scores[known], multi_class="ovr"))
    assert (row.top_5_accuracy, row.rmse, row.mae, row.r2) == (None, None, None, None)
    assert row.baseline_value in [
        pytest.approx(truth.count(label) / len(truth)) for label in LABELS
    ]  # equally frequent


def test_per_class(points: SparkSession) -> None:
    frame = points.sql("EVALUATE MODEL m FROM u PER CLASS LABEL kind")
    assert frame.dtypes == [(name, kind.lower()) for name, kind in FORMS[PER_CLASS].items()]
    found = frame.collect()
    assert [r.label for r in found] == ["2", "10", "30", "7"]  # a label that the model never saw follows its own labels
    truth, predicted = zip(
        *rows(points, "SELECT CAST(kind AS STRING), classify('m', x) FROM u WHERE x IS NOT NULL"), strict=True
    )
    expected = sk.precision_recall_fscore_support(truth, predicted, labels=[r.label for r in found], zero_division=0)
    for column, name in zip(expected, ("precision", "recall", "f1_score", "support"), strict=True):
        assert [r[name] for r in found] == pytest.approx(column.tolist())
    assert {(r.model, r.version, r.split) for r in found} == {("points.m", 1, "given")}


def test_confusion_matrix(points: SparkSession) -> None:
    frame = points.sql("EVALUATE MODEL m CONFUSION MATRIX FROM u LABEL kind")
    assert frame.dtypes == [(name, kind.lower()) for name, kind in FORMS[CONFUSION_MATRIX].items()]
    found = frame.collect()
    names = [*LABELS, "7"]
    assert [(r.expected_label, r.predicted_label) for r in found] == list(product(names, LABELS))
    truth, predicted = zip(
        *rows(points, "SELECT CAST(kind AS STRING), classify('m', x) FROM u WHERE x IS NOT NULL"), strict=True
    )
    expected = sk.confusion_matrix(truth, predicted, labels=names)[:, :3]
    assert [r.row_count for r in found] == expected.ravel().tolist()


def test_held_out_rows_need_no_source(points: SparkSession) -> None:
    points.sql("CREATE TABLE gone AS SELECT * FROM t")
    trained, newer = (
        points.sql(f"TRAIN MODEL two FROM {source} LABEL y OPTIONS (epochs = 2)").first()
        for source in ("gone", "(SELECT * FROM gone WHERE id >= 30)")
    )
    points.sql("DROP TABLE gone")
    old, new = rows(points, "EVALUATE MODEL two VERSION 1, two")
    assert (old.version, old.rows_evaluated, old.accuracy) == (1, 18, trained.metric_value)
    assert (new.version, new.rows_evaluated, new.accuracy) == (2, newer.rows_validated, newer.metric_value)
    for row, condition in ((trained, ""), (newer, "WHERE id >= 30")):
        held_out = rows(points, f"SELECT * FROM sqlext_held_out('points.two@{row.version}')")
        assert len(held_out) == row.rows_validated
        assert {(r.model, r.version, r.split) for r in held_out} == {("two", row.version, "validation")}
        assert sum(r.label == r.predicted_label for r in held_out) / len(held_out) == row.metric_value
        labels = {(r.h, str(r.y)) for r in rows(points, f"SELECT xxhash64(x) AS h, y FROM t {condition}")}
        assert {(r.row_hash, r.label) for r in held_out} <= labels
    first, second = rows(points, "EVALUATE MODEL two VERSION 1, m")
    assert (first.split, first.rows_evaluated, first.accuracy) == ("validation", 18, trained.metric_value)
    assert first.source.startswith("gone VALIDATE SPLIT 0.2")
    assert second.model == "points.m"
    support = rows(points, "EVALUATE MODEL two VERSION 1 PER CLASS")
    assert sum(r.support for r in support) == 18
    assert {r.split for r in support} == {"validation"}


def test_two_heads_embed_each_image_once(spark: SparkSession, flowers: Row) -> None:
    for name in ("one", "two"):
        spark.sql(
            f"TRAIN MODEL shop.{name} FROM shop.emb LABEL species BACKBONE models.small VALIDATE NONE OPTIONS (epochs = 2)"
        )
    single = spark.sql("EVALUATE MODEL shop.one FROM shop.holdout").first()
    found = rows(spark, "EVALUATE MODEL shop.flowers, shop.one, shop.two FROM shop.holdout")
    assert [(r.model, r.rows_evaluated) for r in found] == [(f"shop.{name}", 40) for name in ("flowers", "one", "two")]
    assert found[1].accuracy == single.accuracy
    assert found[1].log_loss == pytest.approx(single.log_loss, abs=1e-6)
    catalog = ModelCatalog(spark)
    versions = [
        catalog.resolve(ModelRef.parse(name, "shop")) for name in ("flowers", "one", "two")
    ]  # classify() may score the first in bf16
    candidates = [Candidate(0, v, catalog.read_manifest(v)) for v in versions]
    source = Source("shop.holdout", "shop.holdout", 0, is_query=False)
    frame = spark.table("shop.holdout")
    compared = [compared_columns(frame, c, source, None) for c in candidates]
    plan = answers._scored(Context(spark, ""), frame, candidates, compared, source)._jdf.queryExecution().executedPlan()
    nodes = [line for line in plan.toString().splitlines() if "Scoring [" in line and "given_0" in line]
    assert len(nodes) == 1, plan.toString()
    for name in ("one", "two"):
        spark.sql(f"DROP MODEL shop.{name}")


def test_regressors_and_several_columns(spark: SparkSession, database: str) -> None:
    spark.sql(
        "CREATE TABLE sales AS SELECT 1000 * a + b AS price, a, b FROM "
        "(SELECT CAST(id % 9 AS DOUBLE) AS a, CAST(id * 7 % 50 AS DOUBLE) AS b FROM range(80))"
    )
    trained = spark.sql("TRAIN MODEL prices FROM sales TARGET price OPTIONS (epochs = 15)").first()
    recorded, given = (spark.sql(f"EVALUATE MODEL prices{source}").first() for source in ("", " FROM sales"))
    assert recorded.rmse == pytest.approx(trained.metric_value)
    assert (recorded.rows_evaluated, recorded.accuracy, recorded.log_loss) == (trained.rows_validated, None, None)
    price, predicted = zip(*rows(spark, "SELECT price, predict_value('prices', a, b) FROM sales"), strict=True)
    assert given.rmse == pytest.approx(sk.root_mean_squared_error(price, predicted))
    assert given.mae == pytest.approx(sk.mean_absolute_error(price, predicted))
    assert given.r2 == pytest.approx(sk.r2_score(price, predicted))
    assert given.baseline_value > given.rmse
    with pytest.raises(AnalysisException, match="NO_CLASSES"):
        spark.sql("EVALUATE MODEL prices PER CLASS").collect()


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("EVALUATE MODEL m, nn FROM t", "MODEL_NOT_FOUND.*points.nn"),
        ("EVALUATE MODEL m VERSION 9", "MODEL_VERSION_NOT_FOUND"),
        ("EVALUATE MODEL n", "NO_HELD_OUT_ROWS.*VALIDATE NONE"),
        ("EVALUATE MODEL m FROM t LABEL yy", "COLUMN_NOT_FOUND.*y"),
        ("EVALUATE MODEL m FROM (SELECT y FROM t)", "FEATURES_NOT_CLEAR"),
        ("EVALUATE MODEL m FROM (SELECT * FROM t WHERE id < 0)", "NO_ROWS"),
        ("EVALUATE MODEL m LABEL y", "Add FROM"),
        ("EVALUATE MODEL m FROM t PER CLASS CONFUSION MATRIX", "cannot be combined"),
        ("EVALUATE MODEL m FROM t OPTIONS (threshold = 0.5)", "UNKNOWN_OPTION"),
    ],
)
def test_errors(points: SparkSession, sql: str, error: str) -> None:
    points.sql("USE points")
    with pytest.raises(PySparkException, match=f"(?s){error}"):
        points.sql(sql).collect()
