"""Files that are odd or made to do harm: one sentence or the right numbers, never a Python error or a full memory."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from sqlext.errors import SqlExtError
from sqlext.networks.graph import read_network
from sqlext.networks.head import Head
from sqlext.transfer.formats.onnx import _graph
from sqlext.transfer.graphs import EXPORT_KEY, PREPROCESSING_KEY, Described
from sqlext.transfer.import_head import _chain
from tests.core.test_network_outputs import BODY, classified, model, original, photographs, read, run
from tests.support.small_networks import RESIDUAL, RESIDUAL_WEIGHTS, build

f32 = np.float32
DEEP = "[" * 65536


def test_json_that_is_nested_too_deeply(tmp_path: Any) -> None:
    with pytest.raises(SqlExtError, match="the file is a JSON text, not an ONNX network"):
        read_network(DEEP.encode())
    assert Described.from_json(DEEP) is None
    file = model(RESIDUAL, output="logits")
    helper.set_model_props(file, {EXPORT_KEY: DEEP, PREPROCESSING_KEY: DEEP})
    (tmp_path / "x.onnx").write_bytes(file.SerializeToString())
    graph = _graph(tmp_path / "x.onnx")
    assert (graph.described, graph.options) == (None, {})


@pytest.mark.parametrize("size", ["²", "224.5", "a lot"])
def test_an_image_size_in_the_metadata_that_is_no_number(size: str, tmp_path: Any) -> None:
    file = model(RESIDUAL, output="logits")
    helper.set_model_props(file, {PREPROCESSING_KEY: json.dumps({"image_size": size})})
    (tmp_path / "x.onnx").write_bytes(file.SerializeToString())
    with pytest.raises(SqlExtError, match=f"image_size.*{size}"):
        read(file, graph_options=_graph(tmp_path / "x.onnx").options)


# Steps that would need terabytes, before or behind the layers.
BOMBS: dict[str, tuple[str, dict[str, Any]]] = {
    "ConstantOfShape": ("huge = ConstantOfShape (sizes)\n m = ReduceMax <keepdims = 0> (huge)\n y = Add (x, m)", {"sizes": np.array([99999, 99999, 99])}),
    "Expand": ("huge = Expand (one, sizes)\n m = ReduceMax <keepdims = 0> (huge)\n y = Sub (x, m)", {"one": f32(1), "sizes": np.array([99999, 99999, 99])}),
    "Tile": ("huge = Tile (x, sizes)\n m = ReduceMax <axes = [2, 3], keepdims = 1> (huge)\n y = Sub (x, m)", {"sizes": np.array([1, 1, 99999, 99999])}),
    "Resize": ("huge = Resize (x, , , sizes)\n m = ReduceMax <axes = [2, 3], keepdims = 1> (huge)\n y = Sub (x, m)", {"sizes": np.array([1, 3, 999999, 99999])}),
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_tensors_that_need_too_much_memory(kind: str) -> None:
    steps, weights = BOMBS[kind]
    text = f'<ir_version: 8, opset_import: ["": 17]> g (float[N, 3, 32, 32] x) => (float[N, 7] logits) {{ {steps} {RESIDUAL.replace("(x, w1)", "(y, w1)")} }}'
    file = parser.parse_model(text.replace("(x, , , sizes)", "(x, none, none, sizes)"))
    for node in file.graph.node:
        node.input[:] = ["" if name == "none" else name for name in node.input]
    file.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items())
    known = build(RESIDUAL, RESIDUAL_WEIGHTS, output="logits")
    file.graph.initializer.extend(known.graph.initializer)
    with pytest.raises(
        SqlExtError, match=rf"\({kind}\) makes 'huge', which is .*: more than 268,435,456 numbers are not supported"
    ):
        read_network(file.SerializeToString())


def test_no_image_size_fits() -> None:
    nodes = RESIDUAL.replace("(x, w1)", "(y, w1)")
    steps = "y = Concat <axis = 2> (x, rows)\n"  # rows of one width
    steps += "z1 = Slice (x, from0, to3, axis2)\n z2 = Add (z1, odd)\n"
    weights = {
        "rows": (1, 3, 2, 31),
        "odd": (1, 3, 3, 37),
        "from0": np.array([0]),
        "to3": np.array([3]),
        "axis2": np.array([2]),
    }
    file = build(
        steps
        + nodes
        + "w = ReduceMean <axes = [1, 2, 3], keepdims = 0> (z2)\n v = Unsqueeze (w, one)\n q = Add (logits, v)",
        {**RESIDUAL_WEIGHTS, **weights, "one": np.array([1])},
        output="q",
        inputs="float[N, 3, H, W] x",
    )
    with pytest.raises(SqlExtError, match=r"pictures of 224 x 224 do not fit .*, nor does any other size up to 1024"):
        read_network(file.SerializeToString())


def test_an_identity_of_a_constant_that_a_branch_reads() -> None:
    nodes = RESIDUAL.replace("logits =", "plain =")
    branch = (
        "g1 () => (float[N, 7] t) { t = Add (plain, same) }",
        "g2 () => (float[N, 7] e3) { e2 = Sub (plain, same)\n e3 = Identity (e2) }",
    )
    steps = f"same = Identity (shift)\n logits = If (yes) <then_branch = {branch[0]}, else_branch = {branch[1]}>"
    values = {"shift": (7,), "yes": np.array(True)}
    file = build(nodes + steps, {**RESIDUAL_WEIGHTS, **values}, output="logits")
    batch = photographs()
    network, _ = read(file)
    assert np.allclose(run(network, batch)[-1], original(file, batch), atol=1e-5)


# Names that IMPORT would give to the tensors that it adds, used by the file itself.
def test_names_that_the_file_uses_already() -> None:
    nodes = BODY.replace("features = Flatten (pooled)", "pooled_flat = Flatten (pooled)") + (
        "z = Gemm <transB = 1> (pooled_flat, w5, b5)\n q_one = Sigmoid (z)\n q_sigmoid = Identity (q_one)\n"
        "q_both = Mul (q_sigmoid, half)\n q_first = Add (q_both, q_both)\n q_negative = Identity (q_first)\n q = Identity (q_negative)"
    )
    file = model(nodes, {"w5": (1, 19), "b5": (1,), "half": f32(0.5)})
    batch = photographs(6)
    network, _ = read(file, "LABELS ('cat', 'dog')", "embedding = 'pooled'")
    p = original(file, batch)[:, 0]
    assert np.allclose(
        [list(row) for row in classified(network, batch, ("cat", "dog")).scores], np.stack([1 - p, p], 1), atol=1e-5
    )
    assert np.allclose(run(network, batch)[0], original(file, batch, "pooled"), atol=1e-5)
    assert network.embedding_in_file == "pooled"


def head(**attributes: Any) -> tuple[onnx.ModelProto, Head]:
    """A square layer, whose weight could be read either way."""
    random = np.random.default_rng(2)
    weights = tuple(random.standard_normal(shape).astype(f32) for shape in ((4, 4), (4,), (4, 4), (4,)))
    file = onnx.load_from_string(Head(weights).to_onnx())
    for node in file.graph.node:
        if node.op_type == "Gemm":
            del node.attribute[:]
            node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return file, Head(weights)


def test_layers_whose_weights_are_not_transposed() -> None:
    features = np.random.default_rng(5).standard_normal((3, 4)).astype(f32)
    for attributes in ({"transB": 1}, {}):
        file, _ = head(**attributes)
        session = original_head(file, features)
        assert np.allclose(_chain(file.graph).logits(features), session, atol=1e-5)


def original_head(file: onnx.ModelProto, features: Any) -> Any:
    from sqlext.engines.onnxruntime import onnxruntime

    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"features": features})[0]


@pytest.mark.parametrize(
    "attributes", [{"transB": 1, "alpha": 0.5}, {"transB": 1, "beta": 2.0}, {"transB": 1, "transA": 1}]
)
def test_layers_with_factors_are_not_a_head(attributes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        _chain(head(**attributes)[0].graph)


def test_dropout_in_training_mode() -> None:
    nodes = (
        BODY
        + "ratio = Constant <value_float = 0.5> ()\n dropped = Dropout (features, ratio, yes)\n logits = Gemm <transB = 1> (dropped, w4, b4)"
    )
    with pytest.raises(SqlExtError, match="is in training mode: call model.eval"):
        read(model(nodes, {"yes": np.array(True)}, output="logits"))
    read(model(nodes, {"yes": np.array(False)}, output="logits"))


def test_a_mean_along_the_width_says_nothing_about_channels() -> None:
    """Coordinate attention averages along one axis, beside the convolution that says where the channels are."""
    nodes = (
        BODY.replace(
            "pooled = Global",
            "along = ReduceMean <axes = [3], keepdims = 1> (h)\n gate = Sigmoid (along)\n used = Mul (h, gate)\n pooled = Global",
        ).replace("(h)\n    features", "(used)\n    features")
        + "q = Gemm <transB = 1> (features, w4, b4)"
    )
    file, batch = model(nodes), photographs()
    network, _ = read(file, options="embedding = 'h'")
    wanted = original(file, batch, "h").reshape(len(batch), 19, 8, 8).mean(axis=(2, 3))
    assert np.allclose(run(network, batch)[0], wanted, atol=1e-5)
