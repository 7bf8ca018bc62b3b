"""What IMPORT takes the outputs of a network for, compared with what onnxruntime returns for the original file."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from sqlext.engines.onnxruntime import onnxruntime
from sqlext.errors import SqlExtError
from sqlext.images.preprocessing import Preprocessing, tensor
from sqlext.networks.network import Network
from sqlext.scoring.worker import ScoringSpec, predictions
from sqlext.statements import parse_statement
from sqlext.statements.import_model import ImportModel
from sqlext.transfer.check import check, pictures
from sqlext.transfer.formats.base import GraphFile
from sqlext.transfer.import_network import read_file
from sqlext.transfer.publishing import fingerprint
from tests.support.small_networks import RESIDUAL, RESIDUAL_WEIGHTS, build

Array = NDArray[Any]

BODY = RESIDUAL[: RESIDUAL.index("logits =")]
MAPS = RESIDUAL[: RESIDUAL.index("pooled =")]
SOFTMAX = "soft = Softmax <axis = 1> (logits)\n"
SIZE = Preprocessing(image_size=32, resize="none")
f32 = np.float32


def model(nodes: str, weights: dict[str, Any] | None = None, output: str = "q", opset: int = 17) -> onnx.ModelProto:
    """The residual network with other weights and another end; its logits have a spread of about 3."""
    random = np.random.default_rng(3)
    strong = {"w4": (random.standard_normal((7, 19)) * 2).astype(f32), "w1": (8, 3, 3, 3)}
    return build(nodes, {**RESIDUAL_WEIGHTS, **strong, **(weights or {})}, output=output, opset=opset)


def original(file: onnx.ModelProto, batch: Array, output: str | None = None) -> Array:
    """One output of the file as it is, computed by onnxruntime for one picture at a time."""
    if output is not None:
        file = onnx.load_from_string(file.SerializeToString())
        del file.graph.output[:]
        file.graph.output.append(onnx.ValueInfoProto(name=output))
    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([np.asarray(session.run(None, {"x": x[None]})[0]).reshape(1, -1) for x in batch])


def photographs(count: int = 4) -> Array:
    return np.stack([tensor(picture, SIZE) for picture in pictures(count)])


def read(
    file: onnx.ModelProto, clauses: str = "", options: str = "", *, graph_options: dict[str, Any] | None = None
) -> tuple[Network, str]:
    """What IMPORT reads from the file, and what it says about it.

    :param graph_options: what the file's metadata say.
    """
    more = f", {options}" if options else ""
    statement = parse_statement(f"IMPORT MODEL m FROM 'x.onnx' FORMAT ONNX {clauses} OPTIONS (resize = 'none'{more})")
    assert isinstance(statement, ImportModel)
    graph = GraphFile(file.SerializeToString(), "", None, None, graph_options or {})
    network_file, understood = read_file(graph, statement.request, statement.request.labels)
    said = [*understood.notes, *(f"{key} = {value}" for key, value in understood.assumed.items())]
    return network_file.network, "; ".join(said)


def test_other_labels_make_another_version() -> None:
    """IMPORT of a file with the labels of an existing version publishes nothing; with other labels it must."""
    statement = parse_statement("IMPORT MODEL m FROM 'x.onnx' FORMAT ONNX OPTIONS (resize = 'none')")
    assert isinstance(statement, ImportModel)
    content = model(BODY + "logits = Gemm <transB = 1> (features, w4, b4)", output="logits").SerializeToString()
    file, _ = read_file(GraphFile(content, "", None, None, {}), statement.request, None)
    names = tuple("abcdefg")
    found = [fingerprint(file, labels) for labels in (None, names, names, tuple(reversed(names)))]
    assert found[1] == found[2]
    assert len(set(found)) == 3


def run(network: Network, batch: Array) -> list[Array]:
    session = onnxruntime.InferenceSession(network.to_bytes(), providers=["CPUExecutionProvider"])
    return [np.asarray(values) for values in session.run(None, {network.input_name: batch})]


def classified(network: Network, batch: Array, labels: tuple[str, ...] = ()) -> Any:
    """The columns label and score as classify() and classify_score() return them."""
    spec = ScoringSpec("", labels=labels, scores_kind=network.scores_kind)
    return predictions(list(run(network, batch)[1]), [None] * len(batch), spec)


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


# --- probabilities and logits -----------------------------------------------------------------------------------------

HEAD2 = "second = Gemm <transB = 1> (features, w9, b4)\n"
W9 = {"w9": (7, 19)}
# End of the graph -> weights. The output is already probabilities, so no softmax follows.
PROBABILITIES: dict[str, tuple[str, dict[str, Any]]] = {
    "softmax": ("q = Softmax <axis = 1> (logits)", {}),
    "cast": (SOFTMAX + "q = Cast <to = 1> (soft)", {}),
    "clip": (SOFTMAX + "q = Clip (soft, low, high)", {"low": f32(1e-7), "high": f32(1 - 1e-7)}),
    "tight clip": (SOFTMAX + "q = Clip (soft, low, high)", {"low": f32(0.02), "high": f32(0.9)}),
    "max and min": (SOFTMAX + "a1 = Max (soft, low)\n q = Min (a1, high)", {"low": f32(0), "high": f32(1)}),
    "multiplied": (SOFTMAX + "q = Mul (soft, unit)", {"unit": f32(1)}),
    "divided": (SOFTMAX + "q = Div (soft, unit)", {"unit": f32(1)}),
    "two heads": (
        SOFTMAX + HEAD2 + "soft2 = Softmax (second)\n both = Add (soft, soft2)\n q = Mul (both, half)",
        {**W9, "half": f32(0.5)},
    ),
    "mean of two heads": (SOFTMAX + HEAD2 + "soft2 = Softmax (second)\n q = Mean (soft, soft2)", W9),
    "exponent": (
        "ex = Exp (logits)\n su = ReduceSum <keepdims = 1> (ex, one)\n q = Div (ex, su)",
        {"one": np.array([1])},
    ),
    "stable exponent": (
        "top = ReduceMax <axes = [1]> (logits)\n lower = Sub (logits, top)\n ex = Exp (lower)\n"
        "su = ReduceSum (ex, one)\n re = Reciprocal (su)\n q = Mul (ex, re)",
        {"one": np.array([1])},
    ),
    "log softmax and exponent": ("lo = LogSoftmax (logits)\n q = Exp (lo)", {}),
    "transposed twice": (
        "tr = Transpose <perm = [1, 0]> (logits)\n so = Softmax <axis = 0> (tr)\n q = Transpose <perm = [1, 0]> (so)",
        {},
    ),
    "reshaped": (SOFTMAX + "q = Reshape (soft, sizes)", {"sizes": np.array([-1, 7])}),
    "four axes": (
        "wide = Unsqueeze (logits, axes)\n so = Softmax <axis = 1> (wide)\n q = Squeeze (so, axes)",
        {"axes": np.array([2, 3])},
    ),
    "channels last": (
        "wide = Unsqueeze (logits, axes)\n q = Softmax <axis = 3> (wide)",
        {"axes": np.array([1, 2])},
    ),
    "groups of classes": (SOFTMAX + "q = MatMul (soft, merge)", {"merge": np.eye(7, 3, dtype=f32) + np.eye(7, 3, -3, dtype=f32) + np.eye(7, 3, -6, dtype=f32)}),
    "without background": (SOFTMAX + "q = Slice (soft, from1, to7, axis)", {"from1": np.array([1]), "to7": np.array([7]), "axis": np.array([1])}),
}  # fmt: skip


@pytest.mark.parametrize("kind", PROBABILITIES)
def test_probabilities_stay_as_they_are(kind: str) -> None:
    end, weights = PROBABILITIES[kind]
    file = model(RESIDUAL + end, weights)
    batch = photographs()
    right = original(file, batch)
    for options in ("", "embedding = 'features'", "scores = 'probabilities'"):
        network, said = read(file, options=options)
        rows = classified(network, batch)
        assert np.allclose(list(rows.score), right.max(1), atol=1e-5), options
        assert list(rows.label) == [str(best) for best in right.argmax(1)]
        assert network.scores_kind == "probabilities" and "several labels" not in said
        assert network.embedding_name == "features"
    assert np.allclose(run(network, batch)[0], original(file, batch, "features"), atol=1e-5)


# End of the graph -> weights: the scores of classify() are the softmax of the output.
LOGITS: dict[str, tuple[str, dict[str, Any]]] = {
    "gemm": ("q = Identity (logits)", {}),
    "log softmax": ("q = LogSoftmax <axis = 1> (logits)", {}),
    "logarithm": (SOFTMAX + "q = Log (soft)", {}),
    "temperature": ("q = Div (logits, two)", {"two": f32(2)}),
    "soft cap": ("q = Clip (logits, low, high)", {"low": f32(-30), "high": f32(30)}),
    "sum of two heads": (HEAD2 + "q = Add (logits, second)", W9),
    "matrix": ("w = Transpose <perm = [1, 0]> (w4)\n q = MatMul (features, w)", {}),
    "einsum": ('q = Einsum <equation = "nd,cd->nc"> (features, w4)', {}),
    "small values": ("tiny = Mul (w4, thousandth)\n q = Gemm <transB = 1> (features, tiny, half)", {"thousandth": f32(1e-4), "half": np.full(7, 0.4, f32)}),
}  # fmt: skip


@pytest.mark.parametrize("kind", LOGITS)
def test_logits_get_one_softmax(kind: str) -> None:
    end, weights = LOGITS[kind]
    file, batch = model(RESIDUAL + end, weights), photographs()
    network, said = read(file)
    right = softmax(original(file, batch))
    assert np.allclose(list(classified(network, batch).score), right.max(1), atol=1e-5)
    assert (network.embedding_name, network.scores_kind) == ("features", "logits")
    assert said.endswith("embedding = features; scores = logits")


@pytest.mark.parametrize(
    ("end", "options", "reason"),
    [
        (SOFTMAX + "q = Cast <to = 1> (soft)", "scores = 'logits'", "expected 'probabilities', since .* are probabilities"),
        ("q = Sigmoid (logits)", "scores = 'logits'", "expected 'probabilities', since 'q' is the result of a sigmoid"),
        ("q = Identity (logits)", "scores = 'probabilities'", "expected 'logits', since 'q' has values from -"),
        ("q = Identity (logits)", "scores = 'value'", "since 'q' has 7 values per picture"),
    ],
)  # fmt: skip
def test_an_option_that_the_values_contradict(end: str, options: str, reason: str) -> None:
    with pytest.raises(SqlExtError, match=reason) as error:
        read(model(RESIDUAL + end), options=options)
    assert error.value.error_class == "INVALID_OPTION_VALUE" and error.value.offset is not None


def test_percentages_are_refused_with_the_tensor_before_the_factor() -> None:
    file = model(RESIDUAL + SOFTMAX + "q = Mul (soft, hundred)", {"hundred": f32(100)})
    with pytest.raises(SqlExtError, match=r"have the sum 100 .* OPTIONS \(output = 'soft'\)"):
        read(file)
    network, _ = read(file, options="output = 'soft'")
    assert network.scores_kind == "probabilities"


@pytest.mark.parametrize(
    ("end", "weights", "says"),
    [
        (
            SOFTMAX + "q = Sub (one, soft)",
            {"one": f32(1)},
            r"have the sum 6 .* 1 minus probabilities.*\(output = 'soft'\)",
        ),
        (SOFTMAX + "q = Mul (half, soft)", {"half": f32(0.5)}, r"have the sum 0.5 .*\(output = 'soft'\)"),
        ("ls = LogSoftmax (logits)\n q = Neg (ls)", {}, r"are negative logarithms of probabilities.*\(output = 'ls'\)"),
    ],
)
def test_values_that_only_the_graph_turns_into_probabilities(end: str, weights: dict[str, Any], says: str) -> None:
    """Their largest or their own values are not the scores."""
    file = model(RESIDUAL + end, weights)
    with pytest.raises(SqlExtError, match=says):
        read(file)
    tensor = says.split("'")[1]
    rows = classified(read(file, options=f"output = '{tensor}'")[0], photographs(6))
    right = softmax(original(file, photographs(6), "logits"))
    assert np.allclose(list(rows.score), right.max(1), atol=1e-3)
    assert list(rows.label) == [str(best) for best in right.argmax(1)]


@pytest.mark.parametrize(
    ("end", "weights"),
    [
        (SOFTMAX + "m1 = Mul (soft, th)\n r1 = Round (m1)\n q = Div (r1, th)", {"th": f32(1000)}),
        (
            SOFTMAX + "m1 = Greater (soft, least)\n q = Where (m1, soft, nothing)",
            {"least": f32(1e-3), "nothing": f32(0)},
        ),
    ],
)
def test_rounded_probabilities(end: str, weights: dict[str, Any]) -> None:
    file, batch = model(RESIDUAL + end, weights), photographs(6)
    network, _ = read(file)
    assert (network.scores_kind, network.embedding_in_file) == ("probabilities", "features")
    assert np.allclose(list(classified(network, batch).score), original(file, batch).max(1), atol=1e-5)


# --- one output -------------------------------------------------------------------------------------------------------


def one_output() -> dict[str, Any]:
    """Weights of a layer with one output, whose values for the pictures have both signs."""
    features = original(model(BODY, output="features"), photographs(6))
    weights = np.random.default_rng(4).standard_normal((1, 19)).astype(f32)
    values = features @ weights.T
    return {"w5": weights * 2 / values.std(), "b5": -values.mean(0) * 2 / values.std()}


ONE = one_output()
LOGIT = BODY + "z = Gemm <transB = 1> (features, w5, b5)\n"
CLASSES = "LABELS ('cat', 'dog')"
SIGMOID: dict[str, tuple[str, dict[str, Any]]] = {
    "sigmoid": ("q = Sigmoid (z)", {}),
    "squeezed": ("sg = Sigmoid (z)\n q = Squeeze (sg, one)", {"one": np.array([1])}),
    "cast": ("sg = Sigmoid (z)\n q = Cast <to = 1> (sg)", {}),
    "exponent": ("m = Neg (z)\n ex = Exp (m)\n su = Add (ex, unit)\n q = Reciprocal (su)", {"unit": f32(1)}),
    "second of two": (
        "other = Sub (zero, z)\n both = Concat <axis = 1> (other, z)\n so = Softmax (both)\n q = Gather <axis = 1> (so, one)",
        {"one": np.array([1])},
    ),
    "hard sigmoid": ("q = HardSigmoid (z)", {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", SIGMOID)
def test_one_sigmoid_is_two_classes(kind: str) -> None:
    end, weights = SIGMOID[kind]
    file, batch = model(LOGIT + end, {**ONE, **weights}), photographs(6)
    p = original(file, batch)[:, 0]
    assert (p < 0.5).any() and (p > 0.5).any()
    network, said = read(file, CLASSES)
    rows = classified(network, batch, ("cat", "dog"))
    assert np.allclose(list(rows.score), np.maximum(p, 1 - p), atol=1e-5)
    assert list(rows.label) == ["dog" if value > 0.5 else "cat" for value in p]
    assert np.allclose([list(row) for row in rows.scores], np.stack([1 - p, p], 1), atol=1e-5)
    assert "is the probability of 'dog', and 'cat' gets the rest" in said
    assert network.embedding_width == 19 and network.scores_width == 2
    assert set(check(network, SIZE).usable) >= {"openvino", "onnxruntime"}


def test_one_sigmoid_without_labels() -> None:
    with pytest.raises(SqlExtError, match=r"one output, 'q', .* LABELS \('first', 'second'\)") as error:
        read(model(LOGIT + "q = Sigmoid (z)", ONE))
    assert error.value.error_class == "LABELS_NEEDED"
    network, _ = read(model(LOGIT + "q = Sigmoid (z)", ONE), options="output = 'features', embedding = 'features'")
    assert (network.embedding_name, network.scores_name) == ("features", None)
    with pytest.raises(SqlExtError, match="which stands for two classes"):
        read(model(LOGIT + "q = Sigmoid (z)", ONE), "LABELS ('a', 'b', 'c')")


def test_one_logit_with_two_labels() -> None:
    file, batch = model(LOGIT + "q = Identity (z)", ONE), photographs(6)
    with pytest.raises(SqlExtError, match=r"has values from -.* write OPTIONS \(scores = 'logits'\)"):
        read(file, CLASSES)
    network, said = read(file, CLASSES, "scores = 'logits'")
    p = 1 / (1 + np.exp(-original(file, batch)[:, 0].astype(np.float64)))
    assert np.allclose([row[1] for row in classified(network, batch, ("cat", "dog")).scores], p, atol=1e-5)
    assert "is the logit of 'dog'" in said


@pytest.mark.parametrize("options", ["", "LABELS ('a', 'b', 'c', 'd', 'e', 'f', 'g')"])
def test_the_largest_over_height_and_width_is_a_score(options: str) -> None:
    """Scores per position, of which the largest counts, are not sorted classes."""
    nodes = (
        MAPS + "l = Conv (h, wc, b4)\n s1 = Softmax <axis = 1> (l)\n q = ReduceMax <axes = [2, 3], keepdims = 0> (s1)"
    )
    file, batch = model(nodes, {"wc": (7, 19, 1, 1)}), photographs()
    network, _ = read(file, options)
    assert np.allclose(run(network, batch)[-1], original(file, batch), atol=1e-5)


@pytest.mark.parametrize("end", ["q = Tanh (z)", "q = Mul (z, two)", "a1 = Mul (z, tenth)\n a2 = Add (a1, one)\n q = Tanh (a2)"])  # fmt: skip
def test_one_output_that_is_neither(end: str) -> None:
    """The values of a Tanh can all be positive for the pictures of the check."""
    file = model(LOGIT + end, {**ONE, "two": f32(2), "tenth": f32(0.1), "one": f32(1)})
    with pytest.raises(SqlExtError, match="not the probability of the second label"):
        read(file, CLASSES)


@pytest.mark.parametrize("options", ["", "scores = 'value'"])
def test_one_number(options: str) -> None:
    """Without labels, an output that is not a probability is a number for predict_value()."""
    file, batch = model(LOGIT + "q = Mul (z, forty)", {**ONE, "forty": f32(40)}), photographs()
    network, said = read(file, options=options)
    assert network.scores_kind == "value" and ("was taken as a number" in said) == (not options)
    assert np.allclose(run(network, batch)[1], original(file, batch), atol=1e-4)
    with pytest.raises(SqlExtError, match="has no classes"):
        read(file, CLASSES, "scores = 'value'")


# --- several labels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clauses", ["", "LABELS ('a', 'b', 'c', 'd', 'e', 'f', 'g')"])
@pytest.mark.parametrize("end", ["q = Sigmoid (logits)", "m = Neg (logits)\n ex = Exp (m)\n su = Add (ex, unit)\n q = Reciprocal (su)"])  # fmt: skip
def test_independent_sigmoids_never_get_a_softmax(end: str, clauses: str) -> None:
    file, batch = model(RESIDUAL + end, {"unit": f32(1)}), photographs()
    network, said = read(file, clauses)
    right = original(file, batch)
    rows = classified(network, batch)
    assert np.allclose(list(rows.score), right.max(1), atol=1e-5)
    assert list(rows.label) == [str(best) for best in right.argmax(1)]
    assert "networks with several labels per picture are not supported" in said
    assert network.embedding_name == "features"


SORTED = {
    "values of TopK": RESIDUAL + "q, i = TopK <axis = 1> (logits, all)",
    "softmax of TopK": RESIDUAL + "v, i = TopK <axis = 1> (logits, all)\n q = Softmax (v)",
    "the largest of a TopK": RESIDUAL
    + SOFTMAX
    + "v, i = TopK <axis = 1> (soft, all)\n q = Slice (v, from0, to5, axis)",
    "TopK of a softmax in percent": RESIDUAL
    + SOFTMAX
    + "v, i = TopK <axis = 1> (soft, all)\n p1 = Mul (v, hundred)\n q = Identity (p1)",
    "the largest of a softmax": RESIDUAL + SOFTMAX + "q = ReduceMax <axes = [1]> (soft)",
    "the largest of a softmax without an axis": RESIDUAL + SOFTMAX + "q = ReduceMax <axes = [1], keepdims = 0> (soft)",
    "the best class as a decimal number": RESIDUAL + "best = ArgMax <axis = 1> (logits)\n q = Cast <to = 1> (best)",
}


@pytest.mark.parametrize("kind", SORTED)
def test_scores_that_are_sorted_are_taken_before_sorting(kind: str) -> None:
    """The position of a sorted score is not that of its class."""
    weights: dict[str, Any] = {"all": np.array([7]), "hundred": f32(100)}
    weights |= {"from0": np.array([0]), "to5": np.array([5]), "axis": np.array([1])}
    used = {name: value for name, value in weights.items() if name in SORTED[kind]}
    file, batch = model(SORTED[kind], used), photographs(6)
    network, _ = read(file)
    assert any("the class scores are in '" in note for note in network.input_spec.notes)
    logits = original(file, batch, "logits")
    rows = classified(network, batch)
    assert list(rows.label) == [str(best) for best in logits.argmax(1)]
    assert np.allclose(list(rows.score), softmax(logits).max(1), atol=1e-3)
