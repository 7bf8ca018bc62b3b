"""IMPORT MODEL of networks with unusual outputs, from the file to classify() and embed() in SQL, in one database."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from tests.core.test_network_embeddings import ENSEMBLE
from tests.core.test_network_outputs import CLASSES, LOGIT, ONE, PROBABILITIES, W9, f32, model, original, photographs
from tests.core.test_networks import POOL
from tests.core.test_quantised_networks import quantised
from tests.support.results import one
from tests.support.small_networks import RESIDUAL

Array = NDArray[Any]
WARM = {"w5": ONE["w5"], "b5": ONE["b5"]}


@pytest.fixture(scope="module")
def pics(spark: SparkSession) -> Iterator[Array]:
    """Database `odd` with a view `pics` of PNG files that need no resizing; their tensors as the networks see them."""
    from PIL import Image

    from sqlext.transfer.check import pictures

    rows = []
    for number, picture in enumerate(pictures(6)):
        left, top = (picture.width - 32) // 2, (picture.height - 32) // 2
        file = io.BytesIO()
        cut: Image.Image = picture.crop((left, top, left + 32, top + 32))
        cut.save(file, "PNG")
        rows.append((number, file.getvalue()))
    spark.sql("CREATE DATABASE odd")
    spark.sql("USE odd")
    spark.createDataFrame(rows, "id INT, image BINARY").createOrReplaceTempView("pics")
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(data)), np.float32) for _, data in rows]) / 255
    yield ((pixels - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])).transpose(0, 3, 1, 2)
    spark.sql("USE default")
    spark.sql("DROP DATABASE odd CASCADE")


def load(
    spark: SparkSession, folder: Path, name: str, file: onnx.ModelProto, clauses: str = "", options: str = ""
) -> Any:
    onnx.save(file, folder / f"{name}.onnx")
    more = f", {options}" if options else ""
    return one(
        spark,
        f"IMPORT MODEL {name} FROM 'file:{folder}/{name}.onnx' FORMAT ONNX {clauses} OPTIONS (resize = 'none'{more})",
    )


def column(spark: SparkSession, call: str) -> list[Any]:
    return [row.v for row in spark.sql(f"SELECT {call} AS v FROM pics ORDER BY id").collect()]


def test_the_tensors_of_this_test(pics: Array) -> None:
    assert np.allclose(pics, photographs(6), atol=1e-5)


def test_probabilities_two_classes_and_several_labels(spark: SparkSession, pics: Array, tmp_path: Path) -> None:
    for kind in ("tight clip", "exponent", "two heads"):
        file = model(RESIDUAL + PROBABILITIES[kind][0], PROBABILITIES[kind][1])
        name = kind.replace(" ", "_")
        message = load(spark, tmp_path, name, file).message
        assert "embedding = features, scores = probabilities" in message
        assert column(spark, f"classify_score('{name}', image)") == pytest.approx(
            list(original(file, pics).max(1)), abs=1e-4
        )
    file = model(RESIDUAL + "q = Sigmoid (logits)")
    assert "several labels per picture are not supported" in load(spark, tmp_path, "many", file).message
    assert column(spark, "classify_score('many', image)") == pytest.approx(list(original(file, pics).max(1)), abs=1e-4)


@pytest.mark.slow
def test_one_sigmoid_in_every_engine_and_after_an_export(spark: SparkSession, pics: Array, tmp_path: Path) -> None:
    file = model(LOGIT + "q = Sigmoid (z)", WARM)
    p = original(file, pics)[:, 0]
    with pytest.raises(AnalysisException, match=r"LABELS_NEEDED.*LABELS \('first', 'second'\)"):
        load(spark, tmp_path, "pets", file)
    assert "'cat' gets the rest" in load(spark, tmp_path, "pets", file, CLASSES).message
    try:
        for engine in ("onnxruntime", "openvino", "bigdl"):
            spark.conf.set("spark.sqlext.engine", engine)
            assert column(spark, "classify('pets', image)") == ["dog" if x > 0.5 else "cat" for x in p], engine
            assert column(spark, "classify_score_of('pets', 'dog', image)") == pytest.approx(list(p), abs=1e-4)
    finally:
        spark.conf.unset("spark.sqlext.engine")
    for format in ("ONNX", "BIGDL"):
        spark.sql(f"EXPORT MODEL pets TO 'file:{tmp_path}/pets_{format}' FORMAT {format}")
        back = one(spark, f"IMPORT MODEL pets_{format} FROM 'file:{tmp_path}/pets_{format}' FORMAT {format}")
        assert back.status == "IMPORTED"
        assert column(spark, f"classify_score_of('pets_{format}', 'cat', image)") == pytest.approx(
            list(1 - p), abs=1e-4
        )
    again = one(spark, spark.sql("SHOW CREATE MODEL pets").first()[0])  # type: ignore[index]
    assert again.status == "EXISTS"


def test_a_number_an_embedding_and_scores_only(spark: SparkSession, pics: Array, tmp_path: Path) -> None:
    file = model(LOGIT + "q = Mul (z, forty)", {**WARM, "forty": f32(40)})
    assert "taken as a number for predict_value()" in load(spark, tmp_path, "price", file).message
    assert column(spark, "predict_value('price', image)") == pytest.approx(
        list(original(file, pics)[:, 0]), rel=1e-3, abs=1e-2
    )
    file = model(RESIDUAL + "q = LpNormalization <axis = 1> (logits)")
    assert "was taken as the embedding" in load(spark, tmp_path, "tower", file).message
    assert np.allclose(column(spark, "embed('tower', image)"), original(file, pics), atol=1e-4)
    with pytest.raises(AnalysisException, match="NO_CLASSIFIER"):
        spark.sql("SELECT classify('tower', image) FROM pics")
    file = model(ENSEMBLE, {**W9, "wh": (19, 19), "b19": (19,)})
    assert "so embed() returns the scores" in load(spark, tmp_path, "pair", file).message
    assert column(spark, "classify_score('pair', image)") == pytest.approx(list(original(file, pics).max(1)), abs=1e-4)


def test_a_version_is_pinned_to_the_engines_that_are_right(spark: SparkSession, pics: Array, tmp_path: Path) -> None:
    nodes = (
        RESIDUAL.replace("g = Conv", f"{POOL}\n g = Conv").replace("(f, w3, b3)", "(q, w3, b3)")
        + "probs = Softmax (logits)"
    )
    file = model(nodes, output="probs")
    message = load(spark, tmp_path, "pinned", file).message
    assert "openvino: from 'q' (AveragePool) on, it differs from onnxruntime" in message
    assert column(spark, "classify_score('pinned', image)") == pytest.approx(
        list(original(file, pics).max(1)), abs=1e-4
    )
    described = {row.col_name: row.data_type for row in spark.sql("DESCRIBE MODEL EXTENDED pinned").collect()}
    assert "not openvino (from 'q' (AveragePool) on" in described["Engines"]
    spark.conf.set("spark.sqlext.engine", "openvino")
    try:
        with pytest.raises(AnalysisException, match=r"ENGINE_CANNOT_SCORE.*from 'q' \(AveragePool\) on, it differs"):
            spark.sql("SELECT classify('pinned', image) FROM pics")
    finally:
        spark.conf.unset("spark.sqlext.engine")


@pytest.mark.parametrize("form", ["QDQ", "QOperator", "dynamic"])
def test_a_quantised_file(spark: SparkSession, pics: Array, tmp_path: Path, form: str) -> None:
    file = quantised(model(RESIDUAL + "q = Softmax (logits)"), form, tmp_path)
    load(spark, tmp_path, f"small_{form}", file)
    right = original(file, pics)
    assert column(spark, f"classify_score('small_{form}', image)") == pytest.approx(list(right.max(1)), abs=0.02)
    assert len(column(spark, f"embed('small_{form}', image)")[0]) == 19
