"""spark.sqlext.engine and .precision: parity between the engines in SQL, and clear errors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from sqlext.engines import cpu_supports_bf16
from tests.support.results import one

QUERY = (
    "SELECT id, embed('models.small', image) AS e, predict('shop.flowers', image) AS p FROM shop.holdout ORDER BY id"
)


@pytest.fixture
def settings(spark: SparkSession) -> Iterator[SparkSession]:
    yield spark
    for name in ("engine", "precision", "embed.precision"):
        spark.conf.unset(f"spark.sqlext.{name}")


@pytest.fixture(scope="module")
def reference(spark: SparkSession, flowers: Row) -> list[Row]:
    spark.conf.set("spark.sqlext.engine", "onnxruntime")
    try:
        return spark.sql(QUERY).collect()
    finally:
        spark.conf.unset("spark.sqlext.engine")


@pytest.mark.parametrize("engine", ["openvino", "bigdl"])
def test_engines_give_the_same_answers(settings: SparkSession, reference: list[Row], engine: str) -> None:
    settings.conf.set("spark.sqlext.engine", engine)
    settings.conf.set("spark.sqlext.precision", "f32")
    rows = settings.sql(QUERY).collect()
    difference = max(np.abs(np.array(a.e) - np.array(b.e)).max() for a, b in zip(rows, reference, strict=True))
    print(f"\n{engine} against onnxruntime: largest difference of an embedding {difference:.1e}")
    assert difference < 1e-3
    assert [r.p.label for r in rows] == [r.p.label for r in reference]
    assert max(abs(a.p.score - b.p.score) for a, b in zip(rows, reference, strict=True)) < 1e-4


def test_bigdl_scores_arrays_and_bad_images(settings: SparkSession, flowers: Row) -> None:
    settings.conf.set("spark.sqlext.engine", "bigdl")
    row = one(
        settings,
        "SELECT predict('shop.flowers', features).label AS a, predict('shop.flowers', CAST('x' AS BINARY)) AS b, "
        "predict('shop.flowers', CAST(NULL AS BINARY)).error AS c FROM shop.emb WHERE NOT train LIMIT 1",
    )
    assert row.a is not None
    assert (row.b.label, row.c) == (None, "no image")
    assert row.b.error


@pytest.mark.skipif(not cpu_supports_bf16(), reason="this CPU has no bf16 instructions")
def test_bf16_is_close_and_only_on_request_for_embeddings(settings: SparkSession, reference: list[Row]) -> None:
    settings.conf.set("spark.sqlext.embed.precision", "bf16")
    rows = settings.sql(QUERY).collect()
    pairs = [(np.array(a.e), np.array(b.e)) for a, b in zip(rows, reference, strict=True)]
    cosines = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]
    assert min(cosines) > 0.999
    assert any((a != b).any() for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("engine", "torch", "INVALID_SETTING.*auto, openvino, onnxruntime, bigdl"),
        ("precision", "f16", "INVALID_SETTING.*auto, f32, bf16"),
    ],
)
def test_wrong_settings(settings: SparkSession, flowers: Row, name: str, value: str, says: str) -> None:
    settings.conf.set(f"spark.sqlext.{name}", value)
    with pytest.raises(AnalysisException, match=says):
        settings.sql("SELECT classify('shop.flowers', image) FROM shop.holdout")


def test_onnxruntime_has_no_bf16(settings: SparkSession, flowers: Row) -> None:
    settings.conf.set("spark.sqlext.engine", "onnxruntime")
    settings.conf.set("spark.sqlext.precision", "bf16")
    with pytest.raises(AnalysisException, match="ENGINE_CANNOT_SCORE.*bf16"):
        settings.sql("SELECT classify('shop.flowers', image) FROM shop.holdout")
