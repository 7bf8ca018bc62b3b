"""Regressors as ONNX and BigDL files: after EXPORT and IMPORT they predict the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from tests.support.results import one

FEATURES = {"of_images": "image", "of_arrays": "pair", "of_columns": "a, b"}


@pytest.fixture(scope="module")
def prices(spark: SparkSession, shop: str) -> Iterator[str]:
    """Database `prices`: table `rows` of images, arrays and columns, and a regressor on each."""
    spark.sql("CREATE DATABASE prices")
    spark.sql("USE prices")
    spark.sql(
        "CREATE TABLE rows STORED AS PARQUET AS SELECT *, array(a, b) AS pair, 200000 + 9 * a + 500 * b AS price FROM "
        "(SELECT id, image, CAST(length(image) AS DOUBLE) AS a, length(species) * 1.0D AS b FROM shop.holdout)"
    )
    for model, features in FEATURES.items():
        backbone = "BACKBONE models.small" if features == "image" else ""
        spark.sql(
            f"TRAIN MODEL {model} FROM rows FEATURES ({features}) TARGET price {backbone} OPTIONS (epochs = 3, batch_size = 8)"
        )
    yield "prices"
    spark.sql("USE default")
    spark.sql("DROP DATABASE prices CASCADE")


def values(spark: SparkSession, model: str, features: str) -> list[float]:
    return [r.v for r in spark.sql(f"SELECT predict_value('{model}', {features}) AS v FROM rows ORDER BY id").collect()]


@pytest.mark.parametrize("format", ["ONNX", pytest.param("BIGDL", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("model", "features"), FEATURES.items())
def test_the_same_numbers(
    spark: SparkSession, prices: str, tmp_path: Path, model: str, features: str, format: str
) -> None:
    spark.sql(f"EXPORT MODEL {model} TO 'file:{tmp_path}/m' FORMAT {format}")
    back = f"{model}_{format}"
    load = f"IMPORT MODEL {back} FROM 'file:{tmp_path}/m' FORMAT {format}"
    assert one(spark, load).status == "IMPORTED"
    wanted = values(spark, model, features)
    assert len(set(wanted)) > 5
    assert values(spark, back, features) == pytest.approx(wanted, rel=1e-6)
    assert one(spark, load).status == "EXISTS"
    rmse = [one(spark, f"EVALUATE MODEL {m} FROM rows LABEL price").rmse for m in (model, back)]
    assert rmse[1] == pytest.approx(rmse[0], rel=1e-4)
    outputs = {row.col_name: row.comment for row in spark.sql(f"DESCRIBE MODEL {back}").collect()}
    assert "predict_value()" in outputs["value"]
    with pytest.raises(AnalysisException, match=r"OPTION_WITHOUT_EFFECT.*scores.*a number"):
        spark.sql(f"{load} OPTIONS (scores = 'logits')")
    with pytest.raises(AnalysisException, match=r"NO_CLASSES.*Leave LABELS out"):
        spark.sql(f"IMPORT MODEL other FROM 'file:{tmp_path}/m' FORMAT {format} LABELS ('a')")


def test_a_network_that_predicts_a_number(spark: SparkSession, prices: str, tmp_path: Path) -> None:
    spark.sql(f"EXPORT MODEL of_images TO 'file:{tmp_path}/m.onnx' FORMAT ONNX")
    spark.sql(f"IMPORT MODEL network FROM 'file:{tmp_path}/m.onnx'")
    with pytest.raises(
        AnalysisException, match=r"WRONG_KIND_OF_MODEL.*network is a regressor.*predict_value\('network'"
    ):
        spark.sql("SELECT classify('network', image) FROM rows")
    row = one(spark, "SELECT p.* FROM (SELECT predict('network', image) AS p FROM rows LIMIT 1)")
    assert (row.label, row.score, row.error) == (None, None, None)
    assert row.value is not None
    wanted = values(spark, "network", "image")
    spark.sql(f"EXPORT MODEL network TO 'file:{tmp_path}/again.onnx' FORMAT ONNX")
    spark.sql(f"EXPORT MODEL network TO 'file:{tmp_path}/folder'")
    for path in ("again.onnx", "folder"):
        assert one(spark, f"IMPORT MODEL network FROM 'file:{tmp_path}/{path}'").status == "EXISTS"
    spark.sql("SET spark.sqlext.engine = bigdl")
    try:
        assert values(spark, "network", "image") == pytest.approx(wanted, rel=1e-5)
    finally:
        spark.sql("RESET spark.sqlext.engine")
