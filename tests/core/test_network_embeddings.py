"""Where IMPORT finds the embedding of a network: its values are compared with the tensor of the original file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper, parser

from sqlext.networks.embedding import find_embedding, limits_of
from sqlext.networks.graph import read_network
from sqlext.networks.wiring import Wiring
from tests.core.test_network_outputs import BODY, MAPS, SOFTMAX, W9, f32, model, original, photographs, read, run
from tests.support.small_networks import RESIDUAL, RESIDUAL_WEIGHTS, build

# End of the graph -> weights, and the tensor that the classifier reads, which may be of another shape.
FOUND: dict[str, tuple[str, dict[str, Any], str]] = {
    "transposed weight": (BODY + "w = Transpose <perm = [1, 0]> (w4)\n m = MatMul (features, w)\n q = Add (m, b4)", {}, "features"),
    "cast weight": (
        BODY + "w = Cast <to = 1> (h4)\n q = Gemm <transB = 1> (features, w, b4)",
        {"h4": np.random.default_rng(0).standard_normal((7, 19)).astype("f2")},
        "features",
    ),
    "reshaped weight": (BODY + "w = Reshape (w5, sizes)\n q = Gemm <transB = 1> (features, w, b4)", {"w5": (133,), "sizes": np.array([7, 19])}, "features"),
    "dequantised weight": (
        BODY + "w = DequantizeLinear (w8, by, zp)\n q = Gemm <transB = 1> (features, w, b4)",
        {"w8": np.random.default_rng(0).integers(-99, 99, (7, 19)).astype("i1"), "by": f32(0.01), "zp": np.int8(0)},
        "features",
    ),
    "scaled weight": (
        BODY + "s1 = Squeeze (w5, first)\n s2 = Mul (s1, two)\n w = Identity (s2)\n q = Gemm <transB = 1> (features, w, b4)",
        {"w5": (1, 7, 19), "first": np.array([0]), "two": f32(2)},
        "features",
    ),
    "normalised weight": (
        BODY + "n = ReduceL2 <axes = [1]> (w4)\n v = Div (w4, n)\n w = Mul (v, gain)\n q = Gemm <transB = 1> (features, w, b4)",
        {"gain": np.full((7, 1), 3, f32)},
        "features",
    ),
    "cast input": (BODY + "wide = Cast <to = 11> (features)\n thin = Cast <to = 1> (wide)\n q = Gemm <transB = 1> (thin, w4, b4)", {}, "thin"),
    "double precision": (
        BODY + "wide = Cast <to = 11> (features)\n w = Cast <to = 11> (w4)\n bw = Cast <to = 11> (b4)\n l = Gemm <transB = 1> (wide, w, bw)\n q = Cast <to = 1> (l)",
        {},
        "features",
    ),
    "computed sizes": (
        BODY + "n = Shape <start = 0, end = 1> (x)\n s = Concat <axis = 0> (n, rest)\n r = Reshape (features, s)\n"
        "l = Gemm <transB = 1> (r, w4, b4)\n q = Reshape (l, s7)",
        {"rest": np.array([19]), "s7": np.array([-1, 7])},
        "r",
    ),
    "cosine": (
        BODY + "n = ReduceL2 <axes = [1]> (features)\n unit = Div (features, n)\n wn = ReduceL2 <axes = [1]> (w4)\n wu = Div (w4, wn)\n"
        "w = Transpose <perm = [1, 0]> (wu)\n co = MatMul (unit, w)\n q = Mul (co, heat)",
        {"heat": f32(20)},
        "unit",
    ),
    "two heads": (BODY + "l1 = Gemm <transB = 1> (features, w4, b4)\n l2 = Gemm <transB = 1> (features, w9, b4)\n s = Add (l1, l2)\n q = Div (s, two)", {**W9, "two": f32(2)}, "features"),
    "branches of a head": (
        BODY + "l1 = Gemm <transB = 1> (features, w3of, b3of)\n l2 = Gemm <transB = 1> (features, w4of, b4of)\n q = Concat <axis = 1> (l1, l2)",
        {"w3of": (3, 19), "b3of": (3,), "w4of": (4, 19), "b4of": (4,)},
        "features",
    ),
    "1 x 1 convolution of pooled features": (MAPS + "pooled = GlobalAveragePool (h)\n l = Conv (pooled, wc, b4)\n q = Flatten (l)", {"wc": (7, 19, 1, 1)}, "pooled"),
    "convolution over the whole map": (MAPS + "l = Conv (h, wc, b4)\n q = Flatten (l)", {"wc": (7, 19, 8, 8)}, "h"),
    "averaged scores of a 1 x 1 convolution": (MAPS + "l = Conv (h, wc, b4)\n g2 = ReduceMean <axes = [2, 3], keepdims = 0> (l)\n q = Softmax (g2)", {"wc": (7, 19, 1, 1)}, "h"),
    "weight times features": (BODY + "ft = Transpose <perm = [1, 0]> (features)\n z = MatMul (w4, ft)\n q = Transpose <perm = [1, 0]> (z)", {}, "features"),
    "features turned for Gemm": (BODY + "ft = Transpose <perm = [1, 0]> (features)\n q = Gemm <transA = 1, transB = 1> (ft, w4, b4)", {}, "features"),
    "one by one": (RESIDUAL + "tr = Transpose <perm = [1, 0]> (logits)\n q = Transpose <perm = [1, 0]> (tr)", {}, "features"),
    "batch normalisation before a softmax": (
        RESIDUAL + "n = BatchNormalization (logits, s7, h7, mean7, var7)\n q = Softmax (n)",
        {"s7": (7,), "h7": (7,), "mean7": (7,), "var7": (7,)},
        "features",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOUND)
def test_the_embedding_is_what_the_classifier_reads(kind: str) -> None:
    nodes, weights, tensor = FOUND[kind]
    file, batch = model(nodes, weights), photographs()
    network, said = read(file)
    embedding, scores = run(network, batch)
    wanted = original(file, batch, tensor)
    if tensor == "h":
        wanted = wanted.reshape(len(batch), 19, -1).mean(2)
    assert embedding.shape == (len(batch), 19) and np.allclose(embedding, wanted, atol=1e-5)
    assert np.allclose(scores, original(file, batch), atol=1e-4)
    assert f"embedding = {tensor}" in said


# Networks whose output is an embedding, or the features of a hidden layer: there are no class scores.
HEADLESS: dict[str, tuple[str, dict[str, Any]]] = {
    "projection of length 1": (BODY + "p1 = Gemm <transB = 1> (features, w4, b4)\n n = ReduceL2 <axes = [1]> (p1)\n q = Div (p1, n)", {}),
    "normalised projection": (BODY + "p1 = Gemm <transB = 1> (features, w4, b4)\n q = LpNormalization <axis = 1> (p1)", {}),
    "batch normalisation after a projection": (
        BODY + "p1 = Gemm <transB = 1> (features, w4, b4)\n q = BatchNormalization (p1, s7, h7, mean7, var7)",
        {"s7": (7,), "h7": (7,), "mean7": (7,), "var7": (7,)},
    ),
    "hidden layer with ReLU": (RESIDUAL + "q = Relu (logits)", {}),
    "hidden layer with ReLU6": (RESIDUAL + "q = Clip (logits, zero, six)", {}),
    "hidden layer with Swish": (RESIDUAL + "sg = Sigmoid (logits)\n q = Mul (logits, sg)", {}),
    "hidden layer with tanh": (RESIDUAL + "q = Tanh (logits)", {}),
    "pooled maps of a Swish": (MAPS + "sg = Sigmoid (g)\n sw = Mul (g, sg)\n pooled = GlobalAveragePool (sw)\n q = Flatten (pooled)", {}),
    "convolution with ReLU6 after the pooling": (MAPS + "pooled = GlobalAveragePool (h)\n l = Conv (pooled, wc, b4)\n cl = Clip (l, zero, six)\n q = Flatten (cl)", {"wc": (7, 19, 1, 1)}),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADLESS)
def test_an_output_that_is_an_embedding(kind: str) -> None:
    nodes, weights = HEADLESS[kind]
    file, batch = model(nodes, weights), photographs()
    network, said = read(file)
    assert network.scores_name is None
    assert np.allclose(run(network, batch)[0], original(file, batch), atol=1e-5)
    assert "'q' (" in said and "was taken as the embedding; if it holds class scores, write OPTIONS (scores = " in said
    network, said = read(file, options="embedding = 'q'")
    assert network.scores_name is None and said == ""


def test_labels_say_that_an_output_holds_scores() -> None:
    labels = "LABELS ('a', 'b', 'c', 'd', 'e', 'f', 'g')"
    for kind in ("normalised projection", "hidden layer with ReLU", "batch normalisation after a projection"):
        nodes, weights = HEADLESS[kind]
        for clauses, options in ((labels, ""), ("", "scores = 'logits'")):
            network, _ = read(model(nodes, weights), clauses, options)
            assert (network.embedding_name, network.scores_width) == ("features", 7)


# Two classifiers of different features: no tensor is the embedding of both.
ENSEMBLE = (
    BODY
    + "l1 = Gemm <transB = 1> (features, w4, b4)\n hidden = Relu (features2)\n l2 = Gemm <transB = 1> (hidden, w9, b4)\n"
    + "s = Add (l1, l2)\n q = Softmax (s)"
).replace("features = Flatten", "features2 = Gemm <transB = 1> (flat, wh, b19)\n features = Flatten").replace(
    "pooled = GlobalAveragePool (h)", "pooled = GlobalAveragePool (h)\n flat = Flatten (pooled)"
)  # fmt: skip


def test_scores_without_an_embedding() -> None:
    """embed() would return the scores: IMPORT says so, and proposes a tensor that works."""
    file, batch = model(ENSEMBLE, {**W9, "wh": (19, 19), "b19": (19,)}), photographs()
    network, said = read(file)
    right = original(file, batch)
    assert all(np.allclose(values, right, atol=1e-5) for values in run(network, batch))
    assert "so embed() returns the scores" in said and "OPTIONS (embedding = 'features')" in said
    network, said = read(file, options="embedding = 'features'")
    assert np.allclose(run(network, batch)[0], original(file, batch, "features"), atol=1e-5)
    assert "embed() returns" not in said


def test_no_softmax_says_that_the_output_may_be_scores() -> None:
    """Without Softmax nothing shows that the sum of the two classifiers holds class scores."""
    file = model(ENSEMBLE.replace("q = Softmax (s)", "q = Identity (s)"), {**W9, "wh": (19, 19), "b19": (19,)})
    network, said = read(file)
    assert network.scores_name is None
    assert "write OPTIONS (scores = 'logits', embedding = 'features')" in said
    network, said = read(file, options="scores = 'logits', embedding = 'features'")
    assert (network.embedding_width, network.scores_width, said) == (19, 7, "")


@pytest.mark.parametrize(("axes", "width"), [([2, 3], 7), ([1, 2], 7), ([2], 7)])
def test_scores_with_axes_of_size_one(axes: list[int], width: int) -> None:
    file, batch = model(RESIDUAL + SOFTMAX + "q = Unsqueeze (soft, axes)", {"axes": np.array(axes)}), photographs()
    network = read_network(file.SerializeToString())
    assert network.scores_width == width
    assert np.allclose(run(network, batch)[1], original(file, batch), atol=1e-6)


ML = (
    BODY
    + 'label, scored = ai.onnx.ml.LinearClassifier <coefficients = [{}], intercepts = [{}], classlabels_ints = [0, 1, 2], post_transform = "{}"> (features)\n q = {} (scored)'
)


@pytest.mark.parametrize(("transform", "end"), [("SOFTMAX", "Identity"), ("NONE", "Softmax"), ("NONE", "Identity")])
def test_the_embedding_before_a_classifier_of_scikit_learn(transform: str, end: str) -> None:
    numbers = ", ".join(f"{value:.3f}" for value in np.random.default_rng(4).standard_normal(57) * 3)
    nodes = ML.format(numbers, "0.1, 0.2, 0.3", transform, end)
    file, batch = build(nodes, RESIDUAL_WEIGHTS, output="q", domains=("ai.onnx.ml",)), photographs()
    network, said = read(file)
    embedding, scores = run(network, batch)
    assert network.embedding_in_file == "features" and "returns the scores" not in said
    assert np.allclose(embedding, original(file, batch, "features"), atol=1e-5)
    right = original(file, batch)
    assert np.allclose(scores, right, atol=1e-5)
    is_softmax = transform == "SOFTMAX" or end == "Softmax"
    assert network.scores_kind == ("probabilities" if is_softmax else "logits")


def test_the_search_visits_each_tensor_a_few_times() -> None:
    """A chain of 5000 joins of two paths has 2 ** 5000 paths, and a recursive search would exceed Python's stack."""
    kinds = ("Relu", "Abs", "Softmax", "Tanh", "Sqrt", "Exp")
    steps = ["j0 = Identity (logits)"]
    for i in range(5000):
        one, two = kinds[i % 6], kinds[(i // 6 + 1) % 6]
        steps += [f"l{i} = {one} (j{i})", f"r{i} = {two} (j{i})", f"j{i + 1} = Add (l{i}, r{i})"]
    text = f'<ir_version: 8, opset_import: ["": 17]> g (float[N, 3, 32, 32] x) => (float[N, 7] j5000) {{ {RESIDUAL} {chr(10).join(steps)} }}'
    graph = parser.parse_model(text.replace("Abs", "Sigmoid")).graph
    wiring = Wiring(graph)
    wiring.constants |= set(RESIDUAL_WEIGHTS)
    assert find_embedding(wiring, "j5000", {}, classes=True) == "features"


@pytest.mark.parametrize("bound", ["nothing", "several"])
def test_limits_that_are_not_one_number(bound: str) -> None:
    """Such a Max is not a ReLU that would hide the classifier."""
    values = {"nothing": np.zeros((0,), f32), "several": np.zeros((7,), f32)}
    graph = model(RESIDUAL + "q = Max (logits, low)", {"low": f32(0)}).graph
    next(t for t in graph.initializer if t.name == "low").CopyFrom(numpy_helper.from_array(values[bound], "low"))
    assert limits_of(Wiring(graph), graph.node[-1]) == (None, None)
    clip = helper.make_node("Clip", ["logits", "low", ""], ["q"])
    assert limits_of(Wiring(graph), clip) == (None, None)
