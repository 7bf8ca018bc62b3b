"""The operators of the ONNX -> BigDL table, each compared with onnxruntime, and whole networks: outputs, files, loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from sqlext.bigdl import onnx_to_bigdl
from sqlext.bigdl.installed import missing
from sqlext.bigdl.onnx_to_bigdl import convert, forward, overwriting, plan, save, unsupported
from sqlext.bigdl.operators import OPERATORS
from sqlext.catalog.layout import BIGDL_FILES
from sqlext.engines import load_engine
from sqlext.images.decode import decode
from sqlext.images.preprocessing import Preprocessing, tensor
from sqlext.networks.graph import read_network
from sqlext.networks.network import Network
from sqlext.transfer.check import check
from tests.support.small_networks import build, residual, squeeze

CONV = "kernel_shape = [3, 3]"
POOL = "kernel_shape = [3, 3], strides = [2, 2]"
W8 = {"w": (8, 3, 3, 3)}
# name -> (nodes from x, N x 3 x 13 x 13, to y; weights). The first word of the name is the operator under test.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "Conv": (f"y = Conv <{CONV}> (x, w, b)", {**W8, "b": (8,)}),
    "Conv without bias": (f"y = Conv <{CONV}, strides = [2, 1], pads = [1, 0, 1, 0]> (x, w)", W8),
    "Conv of 1 x 1": ("y = Conv (x, w)", {"w": (5, 3, 1, 1)}),
    "Conv of 1 x 3": ("y = Conv <pads = [0, 1, 0, 1]> (x, w)", {"w": (5, 3, 1, 3)}),
    "Conv with uneven pads": (f"y = Conv <{CONV}, pads = [0, 1, 2, 0]> (x, w)", W8),
    "Conv SAME_UPPER": (f'y = Conv <{CONV}, strides = [2, 2], auto_pad = "SAME_UPPER"> (x, w)', W8),
    "Conv SAME_LOWER": ('y = Conv <auto_pad = "SAME_LOWER"> (x, w)', {"w": (4, 3, 2, 2)}),
    "Conv in groups": (f"y = Conv <{CONV}, group = 3, pads = [1, 1, 1, 1]> (x, w, b)", {"w": (6, 1, 3, 3), "b": (6,)}),
    "Conv with dilation": (f"y = Conv <{CONV}, dilations = [2, 2], pads = [2, 2, 2, 2]> (x, w, b)", {**W8, "b": (8,)}),
    "BatchNormalization": (
        "y = BatchNormalization <epsilon = 0.001> (x, s, b, m, var)",
        dict.fromkeys(("s", "b", "m", "var"), (3,)),
    ),
    "BatchNormalization of rows": (
        "f = Flatten (x)\n g = Gemm (f, w)\n y = BatchNormalization (g, s, b, m, var)",
        {"w": (507, 6), **dict.fromkeys(("s", "b", "m", "var"), (6,))},
    ),
    "Relu": ("y = Relu (x)", {}),
    "Relu of a branch": ("a = Conv (x, w)\n r = Relu (a)\n y = Add (a, r)", {"w": (3, 3, 1, 1)}),
    "Sigmoid": ("y = Sigmoid (x)", {}),
    "Tanh": ("y = Tanh (x)", {}),
    "Clip 0..6": ("y = Clip (x, lo, hi)", {"lo": np.float32(0), "hi": np.float32(6)}),
    "Clip -0.5..0.7": ("y = Clip (x, lo, hi)", {"lo": np.float32(-0.5), "hi": np.float32(0.7)}),
    "Clip from 0": ("y = Clip (x, lo)", {"lo": np.float32(0)}),
    "MaxPool": (f"y = MaxPool <{POOL}> (x)", {}),
    "MaxPool with pads": (f"y = MaxPool <{POOL}, pads = [1, 1, 1, 1]> (below)\n", {}),
    "MaxPool rounding up": ("y = MaxPool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (below)", {}),
    "MaxPool with end pads": ("y = MaxPool <kernel_shape = [2, 2], strides = [2, 2], pads = [0, 0, 1, 1]> (below)", {}),
    "AveragePool": (f"y = AveragePool <{POOL}> (x)", {}),
    "AveragePool over pads": (f"y = AveragePool <{POOL}, pads = [1, 1, 1, 1], count_include_pad = 1> (x)", {}),
    "AveragePool without pads": (f"y = AveragePool <{POOL}, pads = [1, 1, 1, 1]> (x)", {}),
    "AveragePool rounding up": ("y = AveragePool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1> (x)", {}),
    "GlobalAveragePool": ("y = GlobalAveragePool (x)", {}),
    "ReduceMean": ("y = ReduceMean <axes = [2, 3]> (x)", {}),
    "ReduceMean without the axes": ("y = ReduceMean <axes = [-1, -2], keepdims = 0> (x)", {}),
    "Add": ("a = Conv (x, w)\n b = Conv (x, v)\n y = Add (a, b)", {"w": (3, 3, 1, 1), "v": (3, 3, 1, 1)}),
    "Add of the input": ("a = Conv (x, w)\n y = Add (x, a)", {"w": (3, 3, 1, 1)}),
    "Add of a number": ("y = Add (c, x)", {"c": np.float32(1.5)}),
    "Add per channel": ("y = Add (x, c)", {"c": (3, 1, 1)}),
    "Add of a gate": ("g = GlobalAveragePool (x)\n y = Add (g, x)", {}),
    "Sub": ("y = Sub (x, c)", {"c": (1, 3, 1, 1)}),
    "Mul": ("s = Sigmoid (x)\n y = Mul (x, s)", {}),
    "Mul by a gate": ("g = GlobalAveragePool (x)\n s = Sigmoid (g)\n y = Mul (x, s)", {}),
    "Mul by a number": ("y = Mul (x, c)", {"c": np.float32(0.25)}),
    "Mul per channel": ("y = Mul (x, c)", {"c": (3, 1, 1)}),
    "Div": ("y = Div (x, c)", {"c": np.float32(4)}),
    "Concat": ("a = Conv (x, w)\n y = Concat <axis = 1> (a, x, a)", {"w": (4, 3, 1, 1)}),
    "Concat of rows": (
        "f = Flatten (x)\n g = GlobalAveragePool (x)\n h = Flatten (g)\n y = Concat <axis = -1> (f, h)",
        {},
    ),
    "Flatten": ("y = Flatten (x)", {}),
    "Reshape": ("y = Reshape (x, sizes)", {"sizes": np.array([-1, 39, 13])}),
    "Reshape with zeros": ("y = Reshape (x, sizes)", {"sizes": np.array([0, 0, -1])}),
    "Squeeze": ("g = GlobalAveragePool (x)\n y = Squeeze (g, axes)", {"axes": np.array([2, 3])}),
    "Unsqueeze": ("f = Flatten (x)\n y = Unsqueeze (f, axes)", {"axes": np.array([1, 3])}),
    "Gemm": ("f = Flatten (x)\n y = Gemm <transB = 1> (f, w, b)", {"w": (5, 507), "b": (5,)}),
    "Gemm scaled": ("f = Flatten (x)\n y = Gemm <alpha = 0.5, beta = 2.0> (f, w, b)", {"w": (507, 5), "b": (1, 5)}),
    "Gemm without bias": ("f = Flatten (x)\n y = Gemm (f, w)", {"w": (507, 5)}),
    "MatMul": ("f = Flatten (x)\n y = MatMul (f, w)", {"w": (507, 5)}),
    "MatMul on the last axis": ("y = MatMul (x, w)", {"w": (13, 5)}),
    "MatMul and Add": ("f = Flatten (x)\n m = MatMul (f, w)\n y = Add (m, b)", {"w": (507, 5), "b": (5,)}),
    "Dropout": ("d = Dropout (x)\n y = Relu (d)", {}),
    "Identity": ("a = Relu (x)\n y = Identity (a)", {}),
    "Softmax": ("g = GlobalAveragePool (x)\n f = Flatten (g)\n y = Softmax (f)", {}),
    "Softmax of maps": ("g = GlobalAveragePool (x)\n y = Softmax <axis = 1> (g)", {}),
    "LogSoftmax": ("g = GlobalAveragePool (x)\n f = Flatten (g)\n y = LogSoftmax (f)", {}),
}


def network_of(nodes: str, weights: dict[str, Any], below: bool = False) -> Network:
    """Returns a network whose output is y, flattened.

    :param below: adds a tensor `below`, x with only negative values, so that a padding of zeros would win a maximum.
    """
    first = "lower = Clip (x, low, top)\n below = Sub (lower, away)\n" if below else ""
    drawn = {"low": np.float32(-3), "top": np.float32(3), "away": np.float32(4)} if below else {}
    text = f"{first}{nodes}\n out = Flatten (y)"
    model = build(text, {**weights, **drawn}, output="out", inputs="float[N, 3, 13, 13] x")
    return read_network(model.SerializeToString(), embedding="out")


def batch(count: int = 3, size: int = 13) -> np.ndarray[Any, Any]:
    return np.random.default_rng(7).standard_normal((count, 3, size, size)).astype(np.float32)


@pytest.fixture(scope="module")
def jvm(spark: SparkSession) -> Any:
    assert missing(spark) is None
    return spark._jvm


@pytest.mark.parametrize("case", CASES)
def test_operator(case: str, jvm: Any) -> None:
    nodes, weights = CASES[case]
    network = network_of(nodes, weights, below="below" in nodes)
    assert unsupported(network) == []
    expected, _ = load_engine("onnxruntime", network.to_bytes()).run(batch())
    module = convert(network, jvm)
    for count in (3, 1):
        got, scores = forward(module, batch()[:count])
        assert scores is None and got.shape == (count, expected.shape[1])
        assert np.abs(got - expected[:count]).max() < 2e-6 * max(1.0, np.abs(expected).max())


def test_every_operator_has_a_case() -> None:
    assert {name.split(" ")[0] for name in CASES} == set(OPERATORS)


# --- missing operators ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "weights", "named"),
    [
        ("a = Erf (x)\n b = Erf (a)\n y = Elu (b)", {}, ["Elu x 1", "Erf x 2"]),
        (
            f"y = Conv <{CONV}, group = 3, dilations = [2, 2]> (x, w)",
            {"w": (3, 1, 3, 3)},
            ["Conv (dilation together with groups) x 1"],
        ),
        ("y = Softmax <axis = 1> (x)", {}, ["Softmax (only over the classes of N x C) x 1"]),
        ("y = MatMul (x, x)", {}, ["MatMul (input 1 is computed, not a constant) x 1"]),
        (
            "y = MaxPool <kernel_shape = [3, 3], pads = [2, 2, 0, 0]> (x)",
            {},
            ["MaxPool (pads that BigDL's pooling does not support) x 1"],
        ),
    ],
)
def test_missing_operators_are_named_with_counts(nodes: str, weights: dict[str, Any], named: list[str]) -> None:
    """They are found without a JVM."""
    network = network_of(nodes, weights)
    assert unsupported(network) == named
    with pytest.raises(ValueError, match="BigDL lacks"):
        convert(network, None)


def test_in_place_layers_overwrite_only_what_nobody_else_reads() -> None:
    """In the residual network: the ReLU after batch normalisation, the sum and its ReLU. In a branch: none."""
    layers = plan(read_network(residual()))
    kinds = {layer.name: layer.create for layer in layers.layers}
    assert sorted(kinds[name] for name in overwriting(layers)) == ["createCAddTable", "createReLU", "createReLU"]
    for case in ("Relu of a branch", "Relu", "Dropout"):
        assert not overwriting(plan(network_of(*CASES[case])))


# --- whole networks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [residual(), squeeze()], ids=["residual", "squeeze"])
def test_whole_networks(data: bytes, jvm: Any, tmp_path: Path) -> None:
    """Both outputs are right, every conversion writes the same files, and BigDL loads them without this package."""
    network = read_network(data)
    modules = [convert(network, jvm) for _ in range(2)]
    embedding, scores = load_engine("onnxruntime", network.to_bytes()).run(batch(3, 32))
    for module, folder in zip(modules, (tmp_path / "one", tmp_path / "two"), strict=True):
        folder.mkdir()
        save(module, folder)
        got = forward(module, batch(3, 32))
        assert np.abs(got[0] - embedding).max() < 1e-5 and np.abs(got[1] - scores).max() < 1e-5
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert tuple(files) == BIGDL_FILES
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    got = read_by_bigdl(tmp_path / "one", batch(3, 32))
    assert np.abs(got[0] - embedding).max() < 1e-5 and np.abs(got[1] - scores).max() < 1e-5


def test_layers_carry_the_names_of_the_nodes(jvm: Any) -> None:
    network = read_network(residual())
    names = {node.element().getName() for node in convert(network, jvm).getForwardExecutions()}
    assert names == {node.name for node in network.model.graph.node} | {"x"}


def test_the_gradient_of_a_gate(jvm: Any) -> None:
    """Compares it with finite differences: BigDL's plain CMulTable gives the small operand a gradient of the wrong size."""
    network = network_of("g = GlobalAveragePool (x)\n s = Sigmoid (g)\n y = Mul (x, s)", {})
    module = convert(network, jvm)
    x, direction = batch(1), np.random.default_rng(9).standard_normal((1, 3, 13, 13)).astype(np.float32)
    after, before = (forward(module, x + step * direction)[0].astype(float).sum() for step in (1e-2, -1e-2))
    forward(module, x)
    builder = onnx_to_bigdl._ModuleBuilder(jvm)
    ones = np.ones((1, 507), np.float32)
    gradient = builder.array(
        builder.factory.modelBackward(module, builder.tensors([x]), False, builder.tensors([ones]), False)[0]
    )
    assert float((gradient * direction).sum()) == pytest.approx((after - before) / 2e-2, rel=2e-3)


def test_the_check_of_import_includes_bigdl(jvm: Any) -> None:
    network, size = read_network(squeeze()), Preprocessing(image_size=32, resize="short_side:36")
    result = check(network, size, lambda: convert(network, jvm))
    assert result.usable == ["openvino", "onnxruntime", "bigdl"] and len(result.differences) == 3
    assert max(result.differences.values()) < 1e-5


def test_nothing_is_printed(jvm: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """BigDL's Python classes print 'creating: ..' for every layer."""
    module = convert(read_network(residual()), jvm)
    save(module, tmp_path)
    forward(module, batch(1, 32))
    printed = capfd.readouterr()
    assert printed.out == "" and "creating" not in printed.err


def read_by_bigdl(folder: Path, batch: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Runs the files with BigDL's own Python API, without this package."""
    from bigdl.dllib.nn.layer import Model

    model = Model.loadModel(str(folder / "model.bigdl"), weightPath=str(folder / "model.bigdl.weights"))
    model.evaluate()
    outputs = model.forward(batch)
    return outputs if isinstance(outputs, list) else [outputs]


@pytest.mark.real_data
def test_resnet50_on_photographs(jvm: Any, real_data: Path, tmp_path: Path) -> None:
    """Without this package, BigDL computes the same embeddings of real photographs from the two files as onnxruntime."""
    network = read_network((real_data / "models" / "resnet50.onnx").read_bytes())
    assert network.parameters == 25_557_032 and unsupported(network) == []
    save(convert(network, jvm), tmp_path)
    files = sorted((real_data / "hymenoptera" / "val").glob("*/*.jp*g"))[::77]
    photographs = np.stack([tensor(decode(file.read_bytes()), Preprocessing()) for file in files])
    embedding, scores = load_engine("onnxruntime", network.to_bytes(), threads=2).run(photographs)
    got = read_by_bigdl(tmp_path, photographs)
    assert scores is not None
    assert np.abs(got[0] - embedding).max() < 1e-4 and np.abs(got[1] - scores).max() < 1e-4
    assert (got[1].argmax(1) == scores.argmax(1)).all()
