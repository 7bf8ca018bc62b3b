"""Quantised files, as ONNX Runtime's tools write them: what our engines return, and what onnxruntime does with the file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from sqlext.engines import load_engine
from sqlext.errors import SqlExtError
from sqlext.networks.graph import read_network
from sqlext.transfer.check import check
from tests.core.test_network_outputs import BODY, MAPS, SIZE, classified, model, original, photographs, read
from tests.support.small_networks import RESIDUAL, RESIDUAL_WEIGHTS, build

Array = NDArray[Any]
FORMS = ("QDQ", "QOperator", "dynamic", "dynamic, unsigned weights")


@cache
def drawn(count: int) -> Array:
    """Smooth pictures with different colours, as the network sees them."""
    random = np.random.default_rng(8)
    coarse = random.standard_normal((count, 3, 4, 4)).astype(np.float32)
    return np.asarray(np.kron(coarse, np.ones((1, 1, 8, 8), np.float32)))


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self._batches: Iterator[Array] = iter(drawn(24)[:, None])

    def get_next(self) -> dict[str, Array] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"x": batch}


def quantised(file: onnx.ModelProto, form: str, folder: Path) -> onnx.ModelProto:
    source, target = str(folder / "float.onnx"), str(folder / "quantised.onnx")
    onnx.save(file, source)
    if form.startswith("dynamic"):
        quantize_dynamic(source, target, weight_type=QuantType.QUInt8 if "unsigned" in form else QuantType.QInt8)
    else:
        quantize_static(source, target, Calibration(), quant_format=QuantFormat[form])
    return onnx.load(target)


CONVOLUTION = MAPS + "pooled = GlobalAveragePool (h)\n l = Conv (pooled, wc, b4)\n q = Flatten (l)"
ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "probabilities": (RESIDUAL + "q = Softmax (logits)", {}),
    "logits": (RESIDUAL + "q = Identity (logits)", {}),
    "convolution": (CONVOLUTION, {"wc": (7, 19, 1, 1)}),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("form", FORMS)
def test_quantised_networks_score_as_in_onnxruntime(form: str, end: str, tmp_path: Path) -> None:
    nodes, weights = ENDS[end]
    file = quantised(model(nodes, weights), form, tmp_path)
    network, said = read(file)
    batch = drawn(100)
    right = original(file, batch)
    assert (network.embedding_width, network.scores_width) == (19, 7)
    assert network.scores_kind == ("probabilities" if end == "probabilities" else "logits")
    assert "returns the scores" not in said and "several labels" not in said
    checked = check(network, SIZE)
    assert "onnxruntime" in checked.usable
    for engine in checked.usable:
        embedding, scores = load_engine(engine, network.to_bytes()).run(batch)
        assert scores is not None and np.isfinite(embedding).all() and np.ptp(embedding, axis=0).max() > 0
        assert (scores.argmax(1) == right.argmax(1)).mean() >= 0.95
        assert np.abs(scores - right).mean() / np.abs(right).mean() < 0.1
    best = list(classified(network, batch).label)
    assert np.mean([label == str(index) for label, index in zip(best, right.argmax(1), strict=True)]) >= 0.95


@pytest.mark.parametrize("form", FORMS)
def test_the_embedding_of_a_quantised_network(form: str, tmp_path: Path) -> None:
    """It is close to that of the network before it was quantised."""
    exact = model(RESIDUAL + "q = Softmax (logits)")
    network, _ = read(quantised(exact, form, tmp_path))
    got = load_engine("onnxruntime", network.to_bytes()).run(photographs())[0]
    right = original(exact, photographs(), "features")
    assert np.abs(got - right).mean() / np.abs(right).mean() < 0.2


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_picture_scores_the_same_in_every_batch(engine: str, tmp_path: Path) -> None:
    """DynamicQuantizeLinear takes its scale from the whole batch, so pictures must not share one."""
    file = quantised(model(RESIDUAL + "q = Softmax (logits)"), "dynamic", tmp_path)
    batch = drawn(4) * np.float32([1, 30, 1, 1]).reshape(4, 1, 1, 1)
    loaded = load_engine(engine, read(file)[0].to_bytes())
    scores = loaded.run(batch)[1]
    assert scores is not None and np.allclose(scores, original(file, batch), atol=1e-4)
    assert [len(values) for values in loaded.run(batch[:0]) if values is not None] == [0, 0]


def test_two_classes_of_a_quantised_sigmoid(tmp_path: Path) -> None:
    nodes = BODY + "z = Gemm <transB = 1> (features, w5, b5)\n q = Sigmoid (z)"
    for form in FORMS:
        file = quantised(model(nodes, {"w5": (1, 19), "b5": (1,)}), form, tmp_path)
        network, _ = read(file, "LABELS ('a', 'b')")
        p, scores = original(file, drawn(8))[:, 0], classified(network, drawn(8), ("a", "b")).scores
        assert np.abs(np.stack(list(scores))[:, 1] - p).max() < 0.05


def test_operators_of_onnx_runtime_whose_sizes_are_unknown() -> None:
    nodes = RESIDUAL.replace("h = Clip (g, zero, six)", "h = com.microsoft.NhwcMaxPool <kernel_shape = [1, 1]> (g)")
    file = build(nodes, RESIDUAL_WEIGHTS, output="logits", domains=("com.microsoft",))
    with pytest.raises(SqlExtError, match=r"NhwcMaxPool\), which only ONNX Runtime has; export .* QuantFormat.QDQ"):
        read_network(file.SerializeToString())


def test_an_integer_product_is_no_label() -> None:
    """Its whole numbers are scores without their scale; what it reads must not be taken for the scores."""
    nodes = BODY + "qf, sf, zf = DynamicQuantizeLinear (features)\n q = MatMulInteger (qf, w8, zf)"
    file = model(nodes, {"w8": np.ones((19, 7), np.int8)})
    with pytest.raises(SqlExtError, match="the scores cannot be found"):
        read(file)


@pytest.mark.parametrize("zero_points", [True, False])
def test_the_sum_of_two_quantised_tensors(zero_points: bool) -> None:
    """QLinearAdd of ONNX Runtime; zero points at the end may be missing."""
    last = ", z8)" if zero_points else ")"
    nodes = RESIDUAL + (
        f"qa = QuantizeLinear (logits, s8, z8)\n q = com.microsoft.QLinearAdd (qa, s8, z8, qa, s8, z8, s16{last}"
    )
    weights = {"s8": np.float32(0.05), "s16": np.float32(0.1), "z8": np.uint8(0)}
    file = build(nodes, {**RESIDUAL_WEIGHTS, **weights}, output="q", domains=("com.microsoft",))
    network = read_network(file.SerializeToString())
    scores = load_engine("onnxruntime", network.to_bytes()).run(photographs())[1]
    exact = original(build(RESIDUAL, RESIDUAL_WEIGHTS, output="logits"), photographs())
    assert scores is not None and np.allclose(scores, 2 * np.clip(exact, 0, 12.75), atol=0.15)
