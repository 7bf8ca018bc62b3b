"""sqlext_bigdl_forward: BigDL modules inside the executors' JVMs, compared with NumPy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from sqlext.bigdl.records import HeadSpec
from sqlext.bigdl.scoring import ModuleFiles, is_registered, register_modules, unregister_modules
from sqlext.bigdl.training import save_head
from tests.support.training_data import log_probabilities, outputs

LOWER = HeadSpec(width=6, classes=None, hidden=(5,))  # 6 numbers -> 1
CLASSES = HeadSpec(width=6, classes=3, hidden=(4,))


def _weights(head: HeadSpec, seed: int) -> list[np.ndarray]:  # type: ignore[type-arg]
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype(np.float32) for shape in head.shapes]


def _saved(spark: SparkSession, head: HeadSpec, seed: int, folder: Path) -> ModuleFiles:
    folder.mkdir()
    save_head(spark, head, _weights(head, seed), folder)
    return ModuleFiles(folder / "model.bigdl", folder / "model.bigdl.weights", (head.width,))


@pytest.fixture(scope="module")
def classifier(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    files = _saved(spark, CLASSES, 1, tmp_path_factory.mktemp("modules") / "c")
    register_modules(spark, "classifier", [files])
    shutil.rmtree(files.definition.parent)  # read once, when registered
    yield "classifier"
    unregister_modules(spark, "classifier")
    assert not is_registered(spark, "classifier")


def test_every_row_in_every_task_agrees_with_numpy(spark: SparkSession, classifier: str) -> None:
    features = np.random.default_rng(2).normal(size=(400, 6)).astype(np.float32)
    frame = spark.createDataFrame(
        [(i, row.tolist()) for i, row in enumerate(features)], "id INT, features ARRAY<FLOAT>"
    )
    frame = frame.repartition(4).selectExpr("id", f"sqlext_bigdl_forward('{classifier}', features) AS scores")
    for _ in range(2):  # the second time with modules that the first tasks gave back
        scores = np.array([row.scores for row in frame.orderBy("id").collect()])
        assert scores == pytest.approx(log_probabilities(_weights(CLASSES, 1), features), abs=1e-5)


@pytest.mark.parametrize(
    ("argument", "is_null"),
    [
        ("CAST(NULL AS ARRAY<FLOAT>)", True),
        ("array(1.0f, CAST(NULL AS FLOAT), 1.0f, 1.0f, 1.0f, 1.0f)", True),
        ("array(1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f)", False),
        ("array(1, 1, 1, 1, 1, 1)", False),
        ("transform(sequence(1, 6), x -> x + CAST(id AS DOUBLE))", False),
    ],
)
def test_nulls_and_other_numbers(spark: SparkSession, classifier: str, argument: str, is_null: bool) -> None:
    (row,) = spark.sql(f"SELECT sqlext_bigdl_forward('{classifier}', {argument}) FROM range(1)").collect()
    assert (row[0] is None) == is_null
    assert is_null or np.exp(row[0]).sum() == pytest.approx(1)


def test_a_chain_feeds_one_module_to_the_next(spark: SparkSession, tmp_path: Path) -> None:
    """A module's output, whatever its shape, is reshaped to the next one's input."""
    first = HeadSpec(width=6, classes=4)
    second = HeadSpec(width=4, classes=None)
    register_modules(
        spark, "chain", [_saved(spark, first, 3, tmp_path / "a"), _saved(spark, second, 4, tmp_path / "b")]
    )
    (row,) = spark.sql("SELECT sqlext_bigdl_forward('chain', array(1, 2, 3, 4, 5, 6))").collect()
    between = log_probabilities(_weights(first, 3), np.array([[1, 2, 3, 4, 5, 6]]))
    assert row[0] == pytest.approx(outputs(_weights(second, 4), between)[0], rel=1e-5)
    unregister_modules(spark, "chain")


@pytest.mark.parametrize("call", ["('nobody', array(1.0f))", "(CAST(id AS STRING), array(1.0f))", "('nobody')"])
def test_wrong_calls_fail_at_analysis(spark: SparkSession, call: str) -> None:
    with pytest.raises(AnalysisException):
        spark.sql(f"SELECT sqlext_bigdl_forward{call} FROM range(1)")


def test_a_definition_that_names_another_class_is_not_loaded(spark: SparkSession, tmp_path: Path) -> None:
    """BigDL's loader would construct any class: the one here creates a folder that the file names."""
    good = _saved(spark, LOWER, 5, tmp_path / "good")
    layer, other = b"com.intel.analytics.bigdl.dllib.nn.Sequential", b"com.intel.analytics.bigdl.visualization.Train"
    assert len(layer) == len(other)
    good.definition.write_bytes(good.definition.read_bytes().replace(layer, other))
    with pytest.raises(Exception, match="which is not a network layer"):
        register_modules(spark, "hostile", [good])
    assert not is_registered(spark, "hostile")
