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


STRONG = (np.random.default_rng(3).standard_normal((7, 19)) * 2).astype(np.float32)
# The end of a network whose output is 8-bit numbers of logits, without zero points where ONNX lets them out.
EIGHT_BITS = {
    "DynamicQuantizeLinear": "q, by, zero_q = DynamicQuantizeLinear (logits)",
    "QuantizeLinear without a zero point": "q = QuantizeLinear (logits, by)",
    "QuantizeLinear": "q = QuantizeLinear (logits, by, zp)",
    "QLinearAdd": "a1 = QuantizeLinear (logits, by, zp)\n q = com.microsoft.QLinearAdd (a1, by, zp, one, by, zp, twice, zp)",
    "QLinearAdd without a zero point": "a1 = QuantizeLinear (logits, by, zp)\n q = com.microsoft.QLinearAdd (a1, by, zp, one, by, zp, twice)",
    "QLinearMul without a zero point": "a1 = QuantizeLinear (logits, by, zp)\n q = com.microsoft.QLinearMul (a1, by, zp, one, by, zp, twice)",
    "QLinearSigmoid": "a1 = QuantizeLinear (logits, by, zp)\n q = com.microsoft.QLinearSigmoid (a1, by, zp, fine, zp)",
}


@pytest.mark.parametrize("end", EIGHT_BITS)
def test_outputs_of_8_bits_are_multiplied_with_their_scale(end: str) -> None:
    weights = {
        "by": np.float32(0.11),
        "zp": np.uint8(0),
        "one": np.uint8([9]),
        "twice": np.float32(0.22),
        "fine": np.float32(1 / 256),
    }
    used = {
        name: value
        for name, value in weights.items()
        if name in EIGHT_BITS[end] and not (name == "by" and "q, by" in EIGHT_BITS[end])
    }
    text = RESIDUAL + EIGHT_BITS[end]
    file = build(text, {**RESIDUAL_WEIGHTS, "w4": STRONG, **used}, output="q", domains=("com.microsoft",))
    file.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    scale: Any = {"QLinearAdd": 0.22, "QLinearMul": 0.22, "QLinearSigmoid": 1 / 256}.get(end.split()[0], 0.11)
    batch = photographs()
    right = original(file, batch).astype(np.float32)
    if "Dynamic" in end:
        right, scale = right - original(file, batch, "zero_q"), original(file, batch, "by")
    network, _ = read(file, options="output = 'q', scores = 'logits'" if "Sigmoid" not in end else "")
    scores = np.concatenate([load_engine("onnxruntime", network.to_bytes()).run(one[None])[1] for one in batch])  # type: ignore[arg-type]
    np.testing.assert_allclose(scores, right * scale, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("end", ["q = Identity (sums)", "q = ArgMax <axis = 1> (sums)"])
def test_whole_numbers_of_an_integer_product_are_not_labels(end: str) -> None:
    nodes = BODY + "f8, by, zp = DynamicQuantizeLinear (features)\n sums = MatMulInteger (f8, w8, zp)\n" + end
    file = model(nodes, {"w8": np.random.default_rng(0).integers(-99, 99, (19, 7)).astype("i1")})
    file.graph.output[0].type.tensor_type.elem_type = (
        onnx.TensorProto.INT64 if "ArgMax" in end else onnx.TensorProto.INT32
    )
    with pytest.raises(
        SqlExtError,
        match=r"the whole numbers of the integer product '\S+' \(MatMulInteger\), and their scale is unknown",
    ):
        read(file)


@pytest.mark.parametrize("form", ["QDQ"])
def test_a_quantised_network_that_normalises_pictures_itself(form: str, tmp_path: Path) -> None:
    """A quantiser puts QuantizeLinear and DequantizeLinear around Sub and Div; the file takes 0 to 255."""
    nodes = "s = Sub (x, m)\n y = Div (s, sd)\n" + RESIDUAL.replace("(x, w1)", "(y, w1)") + "q = Softmax (logits)"
    mean, deviation = (
        np.float32([123.7, 116.3, 103.5]).reshape(1, 3, 1, 1),
        np.float32([58.4, 57.1, 57.4]).reshape(1, 3, 1, 1),
    )

    class Pictures(Calibration):
        def __init__(self) -> None:
            self._batches = iter((drawn(24)[:, None] * 60 + 120).clip(0, 255))

    source, target = str(tmp_path / "float.onnx"), str(tmp_path / "quantised.onnx")
    onnx.save(model(nodes, {"m": mean, "sd": deviation}), source)
    quantize_static(
        source,
        target,
        Pictures(),
        quant_format=QuantFormat[form],
        op_types_to_quantize=["Sub", "Div", "Conv", "Gemm"],
        extra_options={"ForceQuantizeNoInputCheck": True},
    )
    file = onnx.load(target)
    for name in ("s", "y"):  # the tools of ONNX Runtime have no rule for Sub
        file = _rounded(file, name)
    expected = read_network(file.SerializeToString()).input_spec
    assert expected.preprocessing == {"scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    assert any("takes values 0 to 255" in note for note in expected.notes)


def _rounded(file: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The file with a pair of QuantizeLinear and DequantizeLinear after a tensor."""
    position = next(i for i, node in enumerate(file.graph.node) if name in node.output)
    for node in file.graph.node:
        node.input[:] = [f"{name}_dq" if each == name else each for each in node.input]
    by, zero = f"{name}_by", f"{name}_zero"
    file.graph.initializer.append(onnx.numpy_helper.from_array(np.float32({"s": 2.0, "y": 0.03}[name]), by))
    file.graph.initializer.append(onnx.numpy_helper.from_array(np.uint8(128), zero))
    file.graph.node.insert(position + 1, onnx.helper.make_node("QuantizeLinear", [name, by, zero], [f"{name}_q"]))
    file.graph.node.insert(
        position + 2, onnx.helper.make_node("DequantizeLinear", [f"{name}_q", by, zero], [f"{name}_dq"])
    )
    return file
