"""Reading ONNX networks: what is found in them, which ones are refused and why, and the numeric self-check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from pyspark.sql import SparkSession

from sqlext.engines.onnxruntime import onnxruntime
from sqlext.errors import SqlExtError
from sqlext.images.preprocessing import Preprocessing, tensor
from sqlext.networks.graph import read_network
from sqlext.networks.network import Network, load_network
from sqlext.transfer.check import Runs, check, first_values, pictures
from sqlext.transfer.dispute import EXACT, agreeing
from sqlext.transfer.formats.onnx import open_graph
from tests.support.small_networks import RESIDUAL, RESIDUAL_WEIGHTS, build, residual, squeeze

HEADLESS = RESIDUAL[: RESIDUAL.index("features =")]


def run(data: bytes, batch: np.ndarray[Any, Any], names: list[str] | None = None) -> list[Any]:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return list(session.run(names, {session.get_inputs()[0].name: batch}))


def batch(count: int = 3) -> np.ndarray[Any, Any]:
    return np.random.default_rng(5).standard_normal((count, 3, 32, 32)).astype(np.float32)


def test_a_network_with_a_classifier() -> None:
    network = read_network(residual())
    assert (network.embedding_name, network.embedding_width) == ("features", 19)
    assert (network.scores_name, network.scores_width, network.scores_kind) == ("logits", 7, "logits")
    assert (network.input_name, network.input_shape) == ("x", (3, 32, 32))
    assert network.operators["Conv"] == 3 and network.operators["Gemm"] == 1
    assert network.parameters == 8 * 27 + 16 + 8 * 72 + 8 + 19 * 8 + 19 + 2 + 7 * 19 + 7
    wanted = onnx.load_from_string(residual())
    wanted.graph.output.append(onnx.ValueInfoProto(name="features"))
    scores, features = run(wanted.SerializeToString(), batch())
    got = run(network.to_bytes(), batch())
    assert np.array_equal(got[0], features) and np.array_equal(got[1], scores)


def test_the_artifact_is_reproducible_and_reads_back() -> None:
    data = read_network(residual()).to_bytes()
    assert data == read_network(residual()).to_bytes() == load_network(data).to_bytes()
    again, first = load_network(data), read_network(residual())
    assert {k: v for k, v in vars(again).items() if k != "model"} == {
        k: v for k, v in vars(first).items() if k != "model"
    }


def test_a_convolution_as_classifier() -> None:
    """SqueezeNet: the embedding is the pooled input of the last convolution."""
    network = read_network(squeeze())
    assert (network.embedding_width, network.scores_width, network.scores_kind) == (9, 6, "probabilities")
    reference = onnx.load_from_string(squeeze())
    reference.graph.output.append(onnx.ValueInfoProto(name="kept"))
    prob, kept = run(reference.SerializeToString(), batch())
    embedding, scores = run(network.to_bytes(), batch())
    assert np.allclose(embedding, kept.mean((2, 3)), atol=1e-6) and np.allclose(scores, prob[:, :, 0, 0])


@pytest.mark.parametrize(
    ("nodes", "output", "options", "embedding", "width", "scores"),
    [
        (HEADLESS, "pooled", {}, "pooled_flat", 19, None),
        (HEADLESS, "h", {}, "h_pooled_flat", 19, None),
        (RESIDUAL, "logits", {"embedding": "logits"}, "logits", 7, None),
        (RESIDUAL, "logits", {"embedding": "f"}, "f_pooled_flat", 8, "logits"),
        (RESIDUAL, "logits", {"output": "features"}, "features", 19, None),
        (RESIDUAL + "prob = Softmax (logits)", "prob", {}, "features", 19, "prob"),
        (RESIDUAL, "logits, features", {"output": "logits"}, "features", 19, "logits"),
    ],
)
def test_where_the_embedding_is(
    nodes: str, output: str, options: dict[str, Any], embedding: str, width: int, scores: str | None
) -> None:
    network = read_network(build(nodes, RESIDUAL_WEIGHTS, output=output).SerializeToString(), **options)
    assert (network.embedding_name, network.embedding_width, network.scores_name) == (embedding, width, scores)
    assert [v.name for v in network.model.graph.output] == [name for name in (embedding, scores) if name]
    assert network.scores_kind == ("probabilities" if output == "prob" else "logits")
    assert len(run(network.to_bytes(), batch())[0]) == 3


def test_scores_kind_can_be_set() -> None:
    assert read_network(residual(), scores="probabilities").scores_kind == "probabilities"
    with pytest.raises(SqlExtError, match="neither 'logits' nor 'probabilities'"):
        read_network(residual(), scores="odds")


@pytest.mark.parametrize("inputs", ["float[1, 3, 32, 32] x", "float[N, 3, H, W] x", "float[B, C, H, W] x"])
def test_the_batch_becomes_free_and_sizes_fixed(inputs: str) -> None:
    data = build(RESIDUAL, RESIDUAL_WEIGHTS, output="logits", inputs=inputs).SerializeToString()
    network = read_network(data, image_size=32)
    assert network.input_shape == (3, 32, 32)
    assert [len(output) for output in run(network.to_bytes(), batch(5))] == [5, 5]
    if "H" in inputs:
        assert read_network(data).input_shape == (3, 224, 224)


def test_an_inner_input_and_node_names() -> None:
    """The input can be chosen after the preprocessing with which a graph starts."""
    nodes = "scaled = Mul (x, half)\n" + RESIDUAL.replace("(x, w1)", "(scaled, w1)")
    model = build(nodes, {**RESIDUAL_WEIGHTS, "half": np.float32(0.5)}, output="logits")
    model.graph.node[0].name = "the_scaling"
    data = model.SerializeToString()
    inside = read_network(data, input="the_scaling")
    assert inside.input_name == "scaled" and "Mul" not in inside.operators
    whole, half = run(read_network(data).to_bytes(), batch()), run(inside.to_bytes(), batch() / 2)
    assert np.allclose(whole[1], half[1], atol=1e-6)


def test_every_node_has_a_unique_name_and_no_notes() -> None:
    model = onnx.load_from_string(residual())
    for node in model.graph.node:
        node.name, node.doc_string = "same", "/home/author/train.py"
    model.metadata_props.add(key="path", value="/home/author")
    network = read_network(model.SerializeToString())
    names = [node.name for node in network.model.graph.node]
    assert len(set(names)) == len(names) and "" not in names
    assert b"/home/author" not in network.to_bytes()


def changed(data: bytes, change: Any) -> bytes:
    model = onnx.load_from_string(data)
    change(model)
    return bytes(model.SerializeToString())


def foreign(model: onnx.ModelProto) -> None:
    """An operator that ONNX does not define."""
    model.graph.node[4].domain = "my.operators"
    model.opset_import.add(domain="my.operators", version=1)


REFUSED: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "empty": (b"", {}, "not an ONNX network"),
    "text": (b"name,label\nrose,1\n", {}, "not an ONNX network"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(100), {}, r"a picture \(JPEG\), not an ONNX network"),
    "torch": (b"PK\x03\x04" + bytes(100), {}, "a zip archive, such as PyTorch's .pt"),
    "half a file": (residual()[: len(residual()) // 2], {}, "not an ONNX network"),
    "unknown operator": (residual().replace(b"Relu", b"Ralu"), {}, "ONNX's checker says: .*Ralu"),
    "no such tensor": (residual(), {"embedding": "featres"}, "nothing named 'featres'. Did you mean features\\?"),
    "two inputs": (
        build("y = Add (x, z)", output="y", inputs="float[N,3,32,32] x, float[N,3,32,32] z").SerializeToString(),
        {},
        r"2 inputs \('x', 'z'\); name one: OPTIONS \(input",
    ),
    "second input needed": (
        build("y = Add (x, z)", output="y", inputs="float[N,3,32,32] x, float[N,3,32,32] z").SerializeToString(),
        {"input": "x"},
        "inputs other than 'x': z",
    ),
    "two outputs": (
        build(RESIDUAL, RESIDUAL_WEIGHTS, output="logits, features").SerializeToString(),
        {},
        r"2 outputs \('logits', 'features'\); name one: OPTIONS \(output",
    ),
    "text input": (
        build("y = Identity (x)", output="y", inputs="float[N,40] x").SerializeToString(),
        {},
        "N x 40, not N x 3",
    ),
    "grey": (build("y = Relu (x)", output="y", inputs="float[N,1,32,32] x").SerializeToString(), {}, "N x 1 x 32 x 32"),
    "not square": (
        build("y = Relu (x)", output="y", inputs="float[N,3,32,64] x").SerializeToString(),
        {},
        "only square",
    ),
    "other size": (residual(), {"image_size": 64}, "image_size = 64, but its input 'x' is N x 3 x 32 x 32"),
    "sizes": (changed(residual(), lambda m: m.graph.initializer[11].dims.__setitem__(slice(None), [19, 7])), {}, "."),
    "training": (
        changed(residual(), lambda m: m.graph.node[1].attribute.append(onnx.helper.make_attribute("training_mode", 1))),
        {},
        "call model.eval\\(\\)",
    ),
    "sizes unknown": (
        changed(residual(), foreign),
        {},
        r"the width of 'features' is unknown: .* after 'conv_4' \(my.operators.Conv\)",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_networks_are_refused_with_a_reason(kind: str) -> None:
    data, options, reason = REFUSED[kind]
    with pytest.raises(SqlExtError, match=reason) as error:
        read_network(data, **options)
    assert error.value.error_class == "INVALID_NETWORK" and "\n" not in str(error.value)


def external(folder: Path, location: str) -> bytes:
    """The residual network with w2 in a second file."""
    model = onnx.load_from_string(residual())
    tensor = next(t for t in model.graph.initializer if t.name == "w2")
    (folder / "weights.bin").write_bytes(b"skip" * 4 + tensor.raw_data)
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "16"), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)
    return bytes(model.SerializeToString())


def test_weights_in_a_second_file(tmp_path: Path) -> None:
    data = external(tmp_path, "weights.bin")
    assert read_network(data, folder=tmp_path).to_bytes() == read_network(residual()).to_bytes()


def test_weights_in_a_second_file_of_another_file_system(spark: SparkSession, tmp_path: Path) -> None:
    """They are copied with the network, and only from its folder. Hadoop's view file system, used here, needs no server."""
    mount = "fs.viewfs.mounttable.networks.link./all"
    (tmp_path / "all" / "sub").mkdir(parents=True)
    (tmp_path / "all" / "good.onnx").write_bytes(external(tmp_path / "all" / "sub", "sub/weights.bin"))
    (tmp_path / "all" / "bad.onnx").write_bytes(external(tmp_path, "../weights.bin"))
    (tmp_path / "all" / "odd.onnx").write_bytes(external(tmp_path, f"file:{tmp_path}/weights.bin"))
    spark.conf.set(mount, (tmp_path / "all").as_uri())
    try:
        with open_graph(spark, "viewfs://networks/all/good.onnx") as graph:
            assert read_network(graph.data, folder=graph.folder).to_bytes() == read_network(residual()).to_bytes()
        opening = open_graph(spark, "viewfs://networks/all/bad.onnx")
        with pytest.raises(SqlExtError, match="point outside its folder"), opening:
            pass
        odd = open_graph(spark, "viewfs://networks/all/odd.onnx")
        with odd as graph, pytest.raises(SqlExtError, match="which is not in its folder"):
            read_network(graph.data, folder=graph.folder)
    finally:
        spark.conf.unset(mount)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("../inner/weights.bin", "point outside its folder"),
        ("/etc/passwd", "point outside its folder"),
        ("", "point outside its folder"),
        ("link.bin", "is a link to"),
        ("missing.bin", "which is not in its folder"),
    ],
)
def test_weights_from_elsewhere_are_refused(tmp_path: Path, location: str, reason: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(10_000))
    (inner / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(SqlExtError, match=reason):
        read_network(external(inner, location), folder=inner)
    with pytest.raises(SqlExtError, match=r"must be in its folder|outside its folder"):
        read_network(external(inner, location))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("inside", ["function", "graph"])
def test_weights_from_elsewhere_cannot_hide(tmp_path: Path, inside: str, sparse: bool) -> None:
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret.bin")
    if sparse:
        indices = onnx.helper.make_tensor("indices", TensorProto.INT64, [1], [0])
        node = onnx.helper.make_node("Constant", [], ["b"])
        attribute = node.attribute.add(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR)
        attribute.sparse_tensor.CopyFrom(onnx.SparseTensorProto(values=tensor, indices=indices, dims=[1]))
    else:
        node = onnx.helper.make_node("Constant", [], ["b"], value=tensor)
    model = onnx.load_from_string(residual())
    if inside == "function":
        opset = [onnx.helper.make_opsetid("", 13)]
        model.functions.append(onnx.helper.make_function("own", "bias", [], ["b"], [node], opset))
    else:
        model.graph.node.append(node)
    (tmp_path / "secret.bin").write_bytes(bytes(4))
    with pytest.raises(SqlExtError, match="'hidden' point outside its folder"):
        read_network(model.SerializeToString(), folder=tmp_path)


# --- the self-check ---------------------------------------------------------------------------------------------------

SIZE = Preprocessing(image_size=32, resize="short_side:36")


def test_pictures_are_fixed_and_different() -> None:
    first, again = pictures(3), pictures(3)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))
    assert len({picture.tobytes() for picture in first}) == 3


def test_engines_that_agree() -> None:
    result = check(read_network(residual()), SIZE, bigdl_reason="no Erf x 3")
    assert result.engines == {"openvino": None, "onnxruntime": None, "bigdl": "no Erf x 3"}
    assert result.usable == ["openvino", "onnxruntime"] and max(result.differences.values()) < 1e-5
    assert "openvino, onnxruntime" in result.summary()


# The engines average the last window of a padded ceil-mode pool differently; onnxruntime does as ONNX says.
POOL = "q = AveragePool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], ceil_mode=1, count_include_pad=1> (f)"


def test_engines_that_disagree() -> None:
    result = check(with_steps(POOL), SIZE)
    reason = "from 'q' (AveragePool) on, it differs from onnxruntime, which agrees with ONNX's reference implementation"
    assert result.engines["openvino"] == reason and result.usable == ["onnxruntime"]
    assert result.summary().startswith("only onnxruntime: engines differ")


def test_engines_that_disagree_about_what_the_reference_cannot_run() -> None:
    network = with_steps(POOL + "\n r = com.microsoft.Gelu (q)", "r")
    with pytest.raises(
        SqlExtError,
        match=r"differ by .* in 'features' .*; they part at 'q' \(AveragePool\); .* cannot run the network at an operator Gelu\.",
    ) as error:
        check(network, SIZE)
    assert error.value.error_class == "IMPORT_CHECK_FAILED"


def test_the_reference_may_agree_with_nobody() -> None:
    network, batch = read_network(residual()), np.zeros((1, 3, 32, 32), np.float32)
    right = run(network.to_bytes(), batch)
    assert agreeing(network, {"a": right, "b": [right[0] + 1, right[1]]}, batch, EXACT) == ["a"]
    assert agreeing(network, {"b": [right[0], right[1] + 1]}, batch, EXACT) == []


def test_engines_that_differ_where_the_reference_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference implementation judges the first picture only. Two engines must not both score if they differ on others."""
    monkeypatch.setattr("sqlext.transfer.check.agreeing", lambda *_: ["openvino", "onnxruntime"])
    with pytest.raises(SqlExtError, match="openvino and onnxruntime differ by .* of the largest number in 'features'"):
        check(with_steps(POOL), SIZE)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"w1": np.zeros((8, 3, 3, 3), np.float32)}, "'features' is the same for different pictures"),
        ({"b4": np.full(7, np.nan, np.float32)}, "'logits' has values that are not finite"),
        ({"w4": np.zeros((7, 19), np.float32)}, "'logits' is the same for different pictures"),
    ],
)
def test_dead_networks(weights: dict[str, Any], reason: str) -> None:
    network = read_network(build(RESIDUAL, {**RESIDUAL_WEIGHTS, **weights}, output="logits").SerializeToString())
    with pytest.raises(SqlExtError, match=reason):
        check(network, SIZE)


# onnxruntime lacks convolutions in double precision, and OpenVINO lacks determinants.
DOUBLE = """
    double = Cast <to = 11> (f)
    wide = Conv <kernel_shape = [1, 1]> (double, w64)
    q = Cast <to = 1> (wide)
"""
DETERMINANT = """
    det = Det (f)
    spread = Unsqueeze (det, axes)
    q = Add (f, spread)
"""


@pytest.mark.parametrize(
    ("steps", "engine", "lacks"), [(DOUBLE, "onnxruntime", "no Conv"), (DETERMINANT, "openvino", "no Det")]
)
def test_an_engine_that_lacks_an_operator(steps: str, engine: str, lacks: str) -> None:
    result = check(with_steps(steps), SIZE)
    assert result.engines[engine] == lacks and len(result.usable) == 1
    assert result.summary() == f"only {result.usable[0]} can run it: nothing to compare"


def test_a_network_that_no_engine_takes() -> None:
    network = with_steps(DETERMINANT.replace("q =", "f2 =") + DOUBLE.replace("(f)", "(f2)"))
    with pytest.raises(
        SqlExtError, match=r"no engine can run it \(openvino: no Det; onnxruntime: no Conv; bigdl: no Det"
    ):
        check(network, SIZE, bigdl_reason="no Det x 1")


def with_steps(steps: str, last: str = "q") -> Network:
    """The residual network with additional operators before its last convolution, which reads the tensor ``last``."""
    nodes = RESIDUAL.replace("g = Conv", f"{steps}\n g = Conv").replace("(f, w3, b3)", f"({last}, w3, b3)")
    weights = {**RESIDUAL_WEIGHTS, "w64": np.ones((8, 8, 1, 1)), "axes": np.array([2, 3])}
    return read_network(build(nodes, weights, output="logits", domains=("com.microsoft",)).SerializeToString())


def test_a_squeezenet_passes() -> None:
    assert check(read_network(squeeze()), SIZE).differences["openvino, onnxruntime"] < 1e-5


def test_a_network_is_compiled_once() -> None:
    """The check uses what reading has run; another network or another preprocessing runs again."""
    runs, network = Runs(), read_network(residual())
    values = first_values(network, SIZE, runs)
    assert values is not None
    pixels = np.stack([tensor(picture, SIZE) for picture in pictures(6)])
    engine, outputs = runs.run("onnxruntime", network, pixels)
    assert outputs[1] is values
    check(network, SIZE, runs=runs)
    assert runs.run("onnxruntime", network, pixels)[0] is engine
    assert runs.run("onnxruntime", network, pixels + 1)[0] is not engine
    assert runs.run("onnxruntime", read_network(squeeze()), pixels)[0] is not engine
