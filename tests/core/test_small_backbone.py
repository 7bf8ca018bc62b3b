"""The shipped backbone is what its metadata says, measured on pictures that are drawn here."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from sqlext.cli import demo_images, drawing
from sqlext.images.preprocessing import Preprocessing, tensor

ROOT = Path(__file__).parents[2]
FILE = ROOT / "sqlext" / "networks" / "small.onnx"
PLAIN_OPERATORS = {"Conv", "BatchNormalization", "Relu", "MaxPool", "GlobalAveragePool", "Add", "Flatten", "Gemm"}


@pytest.fixture(scope="module")
def network() -> onnx.ModelProto:
    return onnx.load(str(FILE))


@pytest.fixture(scope="module")
def metadata(network: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in network.metadata_props}


@pytest.fixture
def draw_set(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The drawing code of the training script, which is no part of the package."""
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "small_backbone"))
    import pictures

    drawer: Callable[..., Any] = pictures.draw_set
    return drawer


def outputs(network: onnx.ModelProto, inputs: np.ndarray, name: str = "logits") -> np.ndarray:
    extended = onnx.ModelProto.FromString(network.SerializeToString())
    if name != "logits":
        extended.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(extended.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run([name], {"image": inputs})[0]
    return found


def test_its_form(network: onnx.ModelProto) -> None:
    assert FILE.stat().st_size < 2_000_000
    assert {node.op_type for node in network.graph.node} <= PLAIN_OPERATORS
    (image,), (logits,) = network.graph.input, network.graph.output
    sides = [d.dim_value for d in image.type.tensor_type.shape.dim]
    assert (image.name, sides, logits.name) == ("image", [0, 3, 64, 64], "logits")
    assert image.type.tensor_type.shape.dim[0].dim_param


@pytest.mark.slow
def test_its_accuracy_on_drawings_it_has_not_seen(
    network: onnx.ModelProto, metadata: dict[str, str], draw_set: Callable[..., Any]
) -> None:
    pictures, labels = draw_set(int(metadata["sqlext.held_out_seed"]), int(metadata["sqlext.held_out_per_class"]))
    preprocessing = Preprocessing.from_dict(json.loads(metadata["sqlext.preprocessing"]))
    inputs = np.stack([tensor(Image.fromarray(picture), preprocessing) for picture in pictures])
    measured = float((outputs(network, inputs).argmax(1) == labels).mean())
    # Two pictures of 1,600: another Pillow may draw a pixel differently.
    assert measured == pytest.approx(float(metadata["sqlext.held_out_accuracy"]), abs=0.0013)
    assert measured > 0.93
    assert metadata["sqlext.held_out_accuracy"] in FILE.with_suffix(".md").read_text()


def test_no_flower_is_among_its_classes(metadata: dict[str, str]) -> None:
    assert not set(json.loads(metadata["sqlext.labels"])) & set(demo_images.SPECIES)


def test_a_linear_head_tells_flowers_apart_but_not_shuffled_ones(
    network: onnx.ModelProto, metadata: dict[str, str]
) -> None:
    preprocessing = Preprocessing.from_dict(json.loads(metadata["sqlext.preprocessing"]))
    pooled = next(node.output[0] for node in network.graph.node if node.op_type == "Flatten")

    def drawn(part: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([11, part])
        species = np.repeat(np.arange(5), count)
        files = [drawing.jpeg(rng, demo_images.picture(rng, list(demo_images.SPECIES)[i])) for i in species]
        images = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
        return outputs(network, np.stack([tensor(image, preprocessing) for image in images]), pooled), species

    (inputs, labels), (held_out, expected) = drawn(0, 20), drawn(1, 20)
    assert inputs.shape == (100, 160)
    shuffled = np.random.default_rng(0).permutation(labels)
    scores = [LogisticRegression(max_iter=2000).fit(inputs, y).score(held_out, expected) for y in (labels, shuffled)]
    assert scores[0] > 0.9
    assert scores[1] < 0.5


def test_the_demo_pictures_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert demo_images.write_flowers(tmp_path / name, train=2, validation=1, seed=seed) == 15
    files = {name: [f.read_bytes() for f in sorted((tmp_path / name).rglob("*.jpg"))] for name in "abc"}
    assert files["a"] == files["b"]
    assert len(set(files["a"]) | set(files["c"])) == 30
