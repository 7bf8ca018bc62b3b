"""What goes into imported networks: types, order of the axes, networks that normalise pictures themselves, outputs with labels.

The right values come from onnxruntime on the original file, fed with what that file takes.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper
from PIL import Image
from pyspark.sql import SparkSession

from sqlext.engines.onnxruntime import onnxruntime
from sqlext.errors import SqlExtError
from sqlext.images.preprocessing import Preprocessing, tensor
from sqlext.networks.graph import read_network
from sqlext.networks.network import Network
from sqlext.transfer.check import check
from tests.support.results import one
from tests.support.small_networks import RESIDUAL, RESIDUAL_WEIGHTS, build

Array = NDArray[Any]
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
CAFFE = np.array([103.939, 116.779, 123.68], np.float32)
FIRST = "Transpose <perm = [0, 3, 1, 2]>"
SIZE = {"image_size": 32, "resize": "none"}


def first(*shape: int) -> Any:
    """Turns three numbers into a constant with the channels first, or last."""
    return lambda values: np.asarray(values, np.float32).reshape(shape)


NCHW, CHW, NHWC = first(1, 3, 1, 1), first(3, 1, 1), first(1, 1, 1, 3)
HALF, ONE, TWO = np.float32(0.5), np.float32(1), np.float32(2)
STATISTICS = {"bn_g": np.array([1.3, 0.8, 1.1], np.float32), "bn_b": np.array([0.1, 0.2, 0.3], np.float32)}


def network(
    steps: str, weights: dict[str, Any] | None = None, inputs: str = "float[N, 3, 32, 32] x"
) -> onnx.ModelProto:
    """The residual network behind ``steps``, which lead from ``x`` to ``y``."""
    nodes = f"{steps}\n{RESIDUAL.replace('(x, w1)', '(y, w1)')}"
    return build(nodes, {**RESIDUAL_WEIGHTS, **(weights or {})}, output="logits", inputs=inputs)


def picture(seed: int) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8)))


PIXELS: Array = np.stack([np.asarray(picture(seed)).transpose(2, 0, 1) for seed in range(5)])
UNIT: Array = (PIXELS / 255).astype(np.float32)
DEFAULTS: Array = ((UNIT - NCHW(MEAN)) / NCHW(STD)).astype(np.float32)


def original(model: onnx.ModelProto, batch: Array) -> Array:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": batch})[0], np.float32)


def imported(model: onnx.ModelProto, *, checked: bool = False, **options: Any) -> tuple[Network, Array]:
    """The network as IMPORT stores it, and its scores for the pictures with the preprocessing that IMPORT assumes.

    :param checked: compares the engines, too.
    """
    read = read_network(model.SerializeToString(), **options)
    preprocessing = Preprocessing.from_options(
        {**SIZE, **read.input_spec.preprocessing}, image_size=read.input_shape[1]
    )
    if checked:
        assert check(read, preprocessing).usable == ["openvino", "onnxruntime"]
    batch = np.stack([tensor(picture(seed), preprocessing) for seed in range(5)])
    session = onnxruntime.InferenceSession(read.to_bytes(), providers=["CPUExecutionProvider"])
    assert batch.dtype == np.float32 and session.get_inputs()[0].type == "tensor(float)"
    return read, np.asarray(session.run(None, {read.input_name: batch})[-1])


QDQ = "qx = QuantizeLinear (x, qs)\n dx = DequantizeLinear (qx, qs)\n "
# Steps at the beginning, their constants, what the file takes.
NORMALISING: dict[str, tuple[str, dict[str, Any], Array]] = {
    "nothing": ("y = Identity (x)", {}, DEFAULTS),
    "Sub, Div": ("s = Sub (x, m)\n y = Div (s, sd)", {"m": NCHW(MEAN), "sd": NCHW(STD)}, UNIT),
    "3 x 1 x 1": ("s = Sub (x, m)\n y = Div (s, sd)", {"m": CHW(MEAN), "sd": CHW(STD)}, UNIT),
    "Sub alone": ("y = Sub (x, m)", {"m": NCHW(MEAN)}, UNIT),
    "Div alone": ("y = Div (x, sd)", {"sd": NCHW(STD)}, UNIT),
    "Mul, Add": ("s = Mul (x, sd)\n y = Add (s, m)", {"sd": NCHW(1 / STD), "m": NCHW(-MEAN / STD)}, UNIT),
    "x * 2 - 1": ("s = Mul (x, sd)\n y = Sub (s, m)", {"sd": TWO, "m": ONE}, UNIT),
    "x * 255": ("y = Mul (x, sd)", {"sd": np.float32(255)}, UNIT),
    "x / 255": ("y = Div (x, sd)", {"sd": np.float32(255)}, PIXELS),
    "x * 1/255": ("y = Mul (x, sd)", {"sd": np.float32(1 / 255)}, PIXELS),
    "x / 127.5 - 1": ("s = Div (x, sd)\n y = Sub (s, m)", {"sd": np.float32(127.5), "m": ONE}, PIXELS),
    "255 Sub, Div": ("s = Sub (x, m)\n y = Div (s, sd)", {"m": NCHW(255 * MEAN), "sd": NCHW(255 * STD)}, PIXELS),
    "rescaled": ("r = Mul (x, k)\n s = Sub (r, m)\n y = Div (s, sd)", {"k": np.float32(1 / 255), "m": NCHW(MEAN), "sd": NCHW(STD)}, PIXELS),
    "casts between": ("i = Identity (x)\n v = Cast <to = 1> (i)\n y = Sub (v, m)", {"m": NCHW(255 * MEAN)}, PIXELS),
    "statistics of 0 to 1": ("y = BatchNormalization (x, bn_g, bn_b, bn_m, bn_v)", {**STATISTICS, "bn_m": MEAN, "bn_v": STD**2}, UNIT),
    "statistics of 0 to 255": ("y = BatchNormalization (x, bn_g, bn_b, bn_m, bn_v)", {**STATISTICS, "bn_m": 255 * MEAN, "bn_v": (255 * STD) ** 2}, PIXELS),
    "statistics of normalised": ("y = BatchNormalization (x, bn_g, bn_b, bn_m, bn_v)", {**STATISTICS, "bn_m": np.array([0.01, -0.02, 0.03], np.float32), "bn_v": np.array([0.9, 1.1, 1], np.float32)}, DEFAULTS),
    "factors only": ("y = BatchNormalization (x, bn_g, bn_b, bn_m, bn_v)", {"bn_g": 1 / STD, "bn_b": -MEAN / STD, "bn_m": np.zeros(3, np.float32), "bn_v": np.ones(3, np.float32)}, UNIT),
    "from -1 to 1": ("r = Mul (x, hf)\n t = Add (r, hf)\n s = Sub (t, m)\n y = Div (s, sd)", {"hf": HALF, "m": NCHW(MEAN), "sd": NCHW(STD)}, 2 * UNIT - 1),
    "blue first": ("y = Sub (x, m)", {"m": NCHW(CAFFE)}, PIXELS[:, ::-1]),
    "red first": ("y = Sub (x, m)", {"m": NCHW(CAFFE[::-1])}, PIXELS),
    "computed constants": ("u = Unsqueeze (m1, ax)\n s = Sub (x, u)\n w = Unsqueeze (d1, ax)\n y = Div (s, w)", {"m1": MEAN, "d1": STD, "ax": np.array([0, 2, 3])}, UNIT),
    "resized first": ("r = Resize <mode = \"linear\"> (x, , scales)\n y = Div (r, sd)", {"scales": np.array([1, 1, 1, 1], np.float32), "sd": np.float32(255)}, PIXELS),
    "padded first": ("r = Pad (x, ends)\n s = Div (r, sd)\n y = Sub (s, m)", {"ends": np.zeros(8, np.int64), "sd": np.float32(127.5), "m": ONE}, PIXELS),
    "convolution per channel": ("y = Conv <group = 3> (x, k, m)", {"k": (1 / (255 * STD)).reshape(3, 1, 1, 1), "m": -MEAN / STD}, PIXELS),
    "QuantizeLinear of 0 to 255": ("r = QuantizeLinear (x, sd, z)\n y = DequantizeLinear (r, sd, z)", {"sd": ONE, "z": np.uint8(0)}, PIXELS),
    "QuantizeLinear of 0 to 1": ("r = QuantizeLinear (x, sd, z)\n y = DequantizeLinear (r, sd, z)", {"sd": np.float32(1 / 255), "z": np.int8(-128)}, UNIT),
    "QuantizeLinear of normalised pictures": ("r = QuantizeLinear (x, sd, z)\n y = DequantizeLinear (r, sd, z)", {"sd": np.float32(0.0187), "z": np.uint8(114)}, DEFAULTS),
    "Sum": ("y = Sum (x, m)", {"m": NCHW(-255 * MEAN)}, PIXELS),
    "Dropout, Round": ("i = Dropout (x)\n r = Round (i)\n y = Div (r, sd)", {"sd": np.float32(255)}, PIXELS),
    "Min and Max": ("r = Min (x, high)\n s = Max (r, zero)\n y = Div (s, high)", {"high": np.float32(255)}, PIXELS),
    "cut off at 1": ("r = Clip (x, zero, one)\n s = Sub (r, m)\n y = Div (s, sd)", {"one": ONE, "m": NCHW(MEAN), "sd": NCHW(STD)}, UNIT),
    "cut off at 255": ("r = Clip (x, zero, most)\n s = Sub (r, m)\n y = Div (s, sd)", {"most": np.float32(255), "m": NCHW(255 * MEAN), "sd": NCHW(255 * STD)}, PIXELS),
    "behind rounding, 0 to 1": (QDQ + "s = Sub (dx, m)\n y = Div (s, sd)", {"qs": np.float32(1 / 255), "m": NCHW(MEAN), "sd": NCHW(STD)}, UNIT),
    "behind rounding, 0 to 255": (QDQ + "y = Sub (dx, m)", {"qs": np.float32(1), "m": NCHW(255 * MEAN)}, PIXELS),
    "Clip to 0 to 255": ("y = Clip (x, zero, most)", {"most": np.float32(255)}, PIXELS),
    "Clip to 0 to 1": ("y = Clip (x, zero, one)", {"one": ONE}, UNIT),
    "Max and Min, -1 to 1": ("r = Max (x, least)\n y = Min (r, one)", {"least": -ONE, "one": ONE}, 2 * UNIT - 1),
    "Cast and QuantizeLinear": ("r = Cast <to = 1> (x)\n qx = QuantizeLinear (r, qs)\n y = DequantizeLinear (qx, qs)", {"qs": ONE}, PIXELS),
    "a diagonal matrix": (f"r = Transpose <perm = [0, 2, 3, 1]> (x)\n s = MatMul (r, k)\n y = {FIRST} (s)", {"k": np.eye(3, dtype=np.float32) / 255}, PIXELS),
    "swapped inside": ("s = Gather <axis = 1> (x, o)\n y = Sub (s, m)", {"o": np.array([2, 1, 0]), "m": NCHW(CAFFE)}, PIXELS),
}  # fmt: skip
# torchvision's Inception and GoogLeNet take the usual normalisation and change it channel by channel.
CHANNELS = "\n".join(
    f"g{i} = Gather <axis = 1> (x, o{i})\n u{i} = Unsqueeze (g{i}, ax)\n t{i} = Mul (u{i}, k{i})\n v{i} = Add (t{i}, n{i})"
    for i in range(3)
)
NORMALISING["Inception"] = (
    f"{CHANNELS}\n y = Concat <axis = 1> (v0, v1, v2)",
    {
        "ax": np.array([1]),
        **{f"o{i}": np.int64(i) for i in range(3)},
        **{f"k{i}": np.float32(STD[i] / 0.5) for i in range(3)},
        **{f"n{i}": np.float32((MEAN[i] - 0.5) / 0.5) for i in range(3)},
    },
    DEFAULTS,
)


@pytest.mark.parametrize("kind", NORMALISING)
def test_networks_that_normalise_their_pictures(kind: str) -> None:
    steps, weights, batch = NORMALISING[kind]
    model = network(steps, weights)
    read, scores = imported(model)
    wanted = original(model, np.ascontiguousarray(batch, np.float32))
    assert np.abs(scores - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert bool(read.input_spec.notes) == (batch is not DEFAULTS)


def test_metadata_about_pictures() -> None:
    """Custom Vision writes it: values from 0 to 255 in the order blue, green, red."""
    model = network("y = Identity (x)")
    helper.set_model_props(model, {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"})
    read, scores = imported(model)
    assert np.abs(scores - original(model, PIXELS[:, ::-1].astype(np.float32))).max() < 1e-3
    assert read.input_spec.notes == ("its metadata says how pictures are prepared",)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Image.NominalPixelRange", "NominalRange_16_235"),
        ("Image.BitmapPixelFormat", "Gray8"),
        ("Image.ColorSpaceGamma", "Linear"),
    ],
)
def test_metadata_that_ask_for_something_else_are_said(key: str, value: str) -> None:
    """Also if the network normalises its pictures itself."""
    model = network("z = Sub (x, half)\n y = Div (z, half)", {"half": np.float32(127.5)})
    helper.set_model_props(model, {key: value})
    read, scores = imported(model)
    assert np.abs(scores - original(model, PIXELS.astype(np.float32))).max() < 1e-3
    assert read.input_spec.notes[0].startswith(
        f"its metadata asks for {key} = {value}, which is not supported: check color, scale, mean and std, and it normalises"
    )


def test_channels_last_of_a_quantised_network() -> None:
    steps = f"qx = QuantizeLinear (x, qs, qz)\n dx = DequantizeLinear (qx, qs, qz)\n y = {FIRST} (dx)"
    model = network(steps, {"qs": np.float32(2 / 255), "qz": np.uint8(128)}, "float[N, 32, 32, 3] x")
    read, scores = imported(model)
    wanted = original(model, (2 * UNIT - 1).transpose(0, 2, 3, 1))
    assert np.abs(scores - wanted).max() < 5e-3 * np.abs(wanted).max()
    assert read.input_spec.notes[1] == "it begins with QuantizeLinear, made for values -1 to 1"


def test_metadata_about_colours_only() -> None:
    """The network's own normalisation is still recognised: it takes 0 to 255."""
    model = network("z = Sub (x, half)\n y = Div (z, half)", {"half": np.float32(127.5)})
    helper.set_model_props(model, {"Image.BitmapPixelFormat": "Rgb8"})
    read, scores = imported(model)
    assert np.abs(scores - original(model, PIXELS.astype(np.float32))).max() < 1e-3
    assert read.input_spec.notes[0].startswith("its metadata says how pictures are prepared, and ")


def test_a_normalisation_of_no_usual_kind_is_said() -> None:
    read, _ = imported(network("y = Mul (x, sd)", {"sd": HALF}))
    assert read.input_spec.preprocessing == {}
    assert read.input_spec.notes == (
        "its first operators (Mul) subtract 0 0 0 and divide by 2 2 2: check scale, mean and std",
    )


KINDS = {
    "uint8": (np.uint8, 0),
    "int8": (np.int8, 128),
    "int32": (np.int32, 0),
    "int64": (np.int64, 0),
    "uint16": (np.uint16, 0),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("last", [False, True], ids=["NCHW", "NHWC"])
def test_inputs_of_whole_numbers(kind: str, last: bool) -> None:
    dtype, offset = KINDS[kind]
    steps = f"v = Cast <to = 1> (x)\n s = Mul (v, k)\n y = {FIRST if last else 'Identity'} (s)"
    model = network(steps, {"k": np.float32(1 / 255)}, f"{kind}[N, {'32, 32, 3' if last else '3, 32, 32'}] x")
    batch = (PIXELS.astype(np.int64) - offset).astype(dtype)
    read, scores = imported(model, checked=kind == "uint8")
    assert np.abs(scores - original(model, batch.transpose(0, 2, 3, 1) if last else batch)).max() < 1e-5
    assert any(f"its input is {kind}" in note for note in read.input_spec.notes)


def test_whole_numbers_that_are_read_as_such() -> None:
    """The stored network rounds to whole numbers where the file does: a Cast to uint8 comes before its DequantizeLinear."""
    model = network(
        "y = DequantizeLinear (x, k, z)", {"k": np.float32(1 / 128), "z": np.uint8(128)}, "uint8[N,3,32,32] x"
    )
    read, scores = imported(model)
    assert np.abs(scores - original(model, PIXELS)).max() < 1e-5 and read.operators["Cast"] == 1


LAYOUTS = {
    "at once": (f"y = {FIRST} (x)", {}, "float[N, 32, 32, 3] x"),
    "sizes by name": (f"y = {FIRST} (x)", {}, "float[N, H, W, 3] x"),
    "channels by name": (f"y = {FIRST} (x)", {}, "float[N, H, W, C] x"),
    "after arithmetic": (f"s = Mul (x, hf)\n y = {FIRST} (s)", {"hf": NHWC([0.7, 0.8, 0.9])}, "float[N, 32, 32, 3] x"),
    "read twice": (f"t = {FIRST} (x)\n u = {FIRST} (x)\n y = Add (t, u)", {}, "float[N, 32, 32, 3] x"),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_channels_last(kind: str) -> None:
    model = network(*LAYOUTS[kind])
    read, scores = imported(model, checked=kind == "after arithmetic", image_size=32)
    assert np.abs(scores - original(model, DEFAULTS.transpose(0, 2, 3, 1))).max() < 1e-5
    assert read.input_shape == (3, 32, 32)
    assert "its input 'x' has the channels last; pictures enter at" in read.input_spec.notes[0]
    assert (kind == "after arithmetic" or kind == "read twice") == ("Transpose" in read.operators)


@pytest.mark.parametrize("free", [-1, 0, "name"])
def test_free_sizes(free: Any) -> None:
    model = network("y = Identity (x)")
    for dim in [model.graph.input[0].type.tensor_type.shape.dim[i] for i in (0, 2, 3)]:
        if free == "name":
            dim.dim_param = "name"
        else:
            dim.dim_value = free
    assert read_network(model.SerializeToString(), image_size=32).input_shape == (3, 32, 32)
    assert read_network(model.SerializeToString()).input_shape == (3, 224, 224)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ("float[N, 1, 32, 32] x", "takes grey pictures"),
        ("float[N, 32, 32, 1] x", "takes grey pictures"),
        ("float[N, 4, 32, 32] x", "takes 4 channels"),
        ("float[3, 32, 32] x", "'x' is 3 x 32 x 32, one picture without a batch axis"),
        ("string[N] x", "takes text or encoded pictures"),
        ("bool[N, 3, 32, 32] x", "takes bool"),
        ("float[N, 32, 48, 3] x", "only square images"),
        ("float[N, 3, 32, 32] x, bool[1] training", r"inputs other than 'x': training; export it with fixed values"),
    ],
)
def test_inputs_that_are_refused(inputs: str, says: str) -> None:
    steps = "y = Where (training, x, x)" if "training" in inputs else "y = Cast <to = 1> (x)"
    data = build(f"{steps}\n z = Identity (y)", output="z", inputs=inputs).SerializeToString()
    with pytest.raises(SqlExtError, match=says):
        read_network(data)


# --- numbers of 16 bits -----------------------------------------------------------------------------------------------


def converted(model: onnx.ModelProto, kind: int) -> onnx.ModelProto:
    """The network with all its decimal numbers in another type, as converters write it."""
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32:
            flat = values.reshape(-1).astype(np.float64).tolist()
            weight.CopyFrom(helper.make_tensor(weight.name, kind, values.shape, flat))
    del model.graph.value_info[:]
    return model


def pure(kind: int) -> onnx.ModelProto:
    model = converted(network("y = Identity (x)"), kind)
    model.graph.input[0].type.tensor_type.elem_type = kind
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", kind, ["N", 7]))
    return model


def between_casts(kind: int) -> onnx.ModelProto:
    nodes = f"y = Cast <to = {kind}> (x)\n{RESIDUAL.replace('(x, w1)', '(y, w1)')} q = Cast <to = 1> (logits)"
    return converted(build(nodes, RESIDUAL_WEIGHTS, output="q"), kind)


@pytest.mark.parametrize("make", [pure, between_casts])
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_weights_of_16_bits(make: Any, name: str) -> None:
    kind = TensorProto.DataType.Value(name.upper())
    read, scores = imported(make(kind), checked=True)
    # The same rounded weights in a network of 32 bits; onnxruntime runs no bfloat16.
    rounded = network("y = Identity (x)")
    for weight in rounded.graph.initializer:
        tensor = helper.make_tensor("", kind, weight.dims, numpy_helper.to_array(weight).reshape(-1).tolist())
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), weight.name))
    assert np.abs(scores - original(rounded, DEFAULTS)).max() < 1e-5
    assert read.input_spec.notes == (f"its {name} weights are stored as float32",)
    assert "Cast" not in read.operators and (read.embedding_width, read.scores_width) == (19, 7)
    if name == "float16":
        taken = DEFAULTS if make is between_casts else DEFAULTS.astype(np.float16)
        assert np.abs(scores - original(make(kind), taken)).max() < 5e-3


@pytest.mark.parametrize("make", [pure, between_casts])
def test_double_precision(make: Any) -> None:
    """onnxruntime cannot convolve in double precision, so its control has 32 bits."""
    read, _ = imported_by_openvino(make(TensorProto.DOUBLE))
    assert (read.embedding_width, read.scores_width) == (19, 7)


def imported_by_openvino(model: onnx.ModelProto) -> tuple[Network, Array]:
    from sqlext.engines import load_engine

    read = read_network(model.SerializeToString())
    result = check(read, Preprocessing.from_options(SIZE, image_size=32))
    assert result.usable == ["openvino"] and result.engines["onnxruntime"] == "no Conv"
    _, scores = load_engine("openvino", read.to_bytes()).run(DEFAULTS)
    assert scores is not None
    assert np.abs(scores - original(network("y = Identity (x)"), DEFAULTS)).max() < 1e-5
    return read, scores


# --- outputs ----------------------------------------------------------------------------------------------------------


def output(model: onnx.ModelProto, name: str, kind: int, shape: list[Any]) -> None:
    model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))


def with_labels(which: str) -> onnx.ModelProto:
    """A classifier whose outputs hold labels, maps or parts of the scores, which are in 'prob'."""
    steps = "prob = Softmax <axis = 1> (logits)\n lab = ArgMax <axis = 1, keepdims = 0> (prob)\n top, idx = TopK <axis = 1> (prob, k)"
    model = build(f"{RESIDUAL} {steps}", {**RESIDUAL_WEIGHTS, "k": np.array([3])}, output="prob")
    del model.graph.output[:], model.graph.value_info[:]
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    if "zipmap" in which:
        attributes = {"classlabels_strings": list("abcdefg")}
        model.graph.node.append(helper.make_node("ZipMap", ["prob"], ["loss"], domain="ai.onnx.ml", **attributes))
        loss = ValueInfoProto(name="loss")
        kind = loss.type.sequence_type.elem_type.map_type
        kind.key_type, kind.value_type.tensor_type.elem_type = TensorProto.STRING, TensorProto.FLOAT
        kind.value_type.tensor_type.shape.SetInParent()
        model.graph.output.append(loss)
    if "words" in which:
        attributes = {"keys_int64s": list(range(7)), "values_strings": list("abcdefg")}
        model.graph.node.append(helper.make_node("LabelEncoder", ["lab"], ["word"], domain="ai.onnx.ml", **attributes))
        output(model, "word", TensorProto.STRING, ["N"])
    if "label" in which:
        output(model, "lab", TensorProto.INT64, ["N"])
    if "top" in which:
        output(model, "top", TensorProto.FLOAT, ["N", 3])
        output(model, "idx", TensorProto.INT64, ["N", 3])
    if "maps" in which:
        output(model, "prob", TensorProto.FLOAT, ["N", 7])
        output(model, "f", TensorProto.FLOAT, ["N", 8, 8, 8])
    return model


@pytest.mark.parametrize(
    "which", ["label", "zipmap", "label zipmap", "words zipmap", "words", "top", "label top", "maps"]
)
def test_the_scores_behind_labels(which: str) -> None:
    read, scores = imported(with_labels(which))
    assert (read.scores_name, read.scores_width, read.scores_kind) == ("prob", 7, "probabilities")
    logits = original(network("y = Identity (x)"), DEFAULTS).astype(np.float64)
    wanted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(scores - wanted).max() < 1e-5
    assert len(read.input_spec.notes) == 1 and "'prob'" in read.input_spec.notes[0]


@pytest.mark.parametrize("name", ["lab", "loss"])
def test_an_output_with_labels_can_be_named(name: str) -> None:
    read, _ = imported(with_labels("label zipmap"), output=name)
    assert read.scores_name == "prob"
    assert read.input_spec.notes == (
        f"its output '{name}' holds labels or the largest scores; the class scores are in 'prob'",
    )


def test_several_outputs_are_listed_with_their_sizes() -> None:
    model = build(RESIDUAL + "aux = Gemm <transB = 1> (features, w4, b4)", RESIDUAL_WEIGHTS, output="logits, aux")
    with pytest.raises(SqlExtError) as error:
        read_network(model.SerializeToString())
    assert str(error.value) == (
        "The network cannot be imported: it has 2 outputs ('logits', 'aux'); name one: OPTIONS (output = 'logits'); "
        "'logits' is N x 7 (float), 'aux' is N x 7 (float)."
    )


# --- IMPORT MODEL -----------------------------------------------------------------------------------------------------


def test_what_import_assumes_is_said_and_right(spark: SparkSession, tmp_path: Path) -> None:
    """Labels and scores of the SQL functions equal those of onnxruntime on the original file."""
    models = {
        "bytes_in": (network("v = Cast <to = 1> (x)\n y = Mul (v, k)", {"k": np.float32(1 / 255)}, "uint8[N, 3, 32, 32] x"), PIXELS),
        "own_norm": (network(*NORMALISING["Sub, Div"][:2]), UNIT),
        "own_pixels": (network(*NORMALISING["blue first"][:2]), PIXELS[:, ::-1].astype(np.float32)),
        "last": (network(f"y = {FIRST} (x)", {}, "float[N, 32, 32, 3] x"), DEFAULTS.transpose(0, 2, 3, 1)),
    }  # fmt: skip
    said = {
        "bytes_in": "its input is uint8, so it gets the pixel values 0 to 255; assumed embedding = features, "
        "scores = logits, image_size = 32, crop = center, color = rgb, scale = 1, mean = 0 0 0, std = 1 1 1",
        "own_norm": "it normalises pictures itself (Sub, Div) and takes values 0 to 1; assumed",
        "own_pixels": "takes values 0 to 255 in the order blue, green, red; assumed",
        "last": "its input 'x' has the channels last; pictures enter at 'y' with the channels first",
    }
    files = [io.BytesIO() for _ in range(5)]
    for seed, file in enumerate(files):
        picture(seed).save(file, "PNG")
    rows = [(seed, file.getvalue()) for seed, file in enumerate(files)]
    spark.createDataFrame(rows, "id INT, image BINARY").createOrReplaceTempView("five_pictures")
    spark.sql("CREATE DATABASE inputs")
    for name, (model, batch) in models.items():
        onnx.save(model, tmp_path / f"{name}.onnx")
        statement = f"IMPORT MODEL inputs.{name} FROM 'file:{tmp_path}/{name}.onnx' OPTIONS (resize = 'none'"
        assert said[name] in one(spark, f"{statement})").message
        logits = original(model, batch).astype(np.float64)
        wanted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        predicted = f"predict('inputs.{name}', image)"
        found = spark.sql(f"SELECT p.* FROM (SELECT id, {predicted} AS p FROM five_pictures) ORDER BY id").collect()
        assert [row.label for row in found] == [str(best) for best in wanted.argmax(1)]
        assert [row.score for row in found] == pytest.approx(wanted.max(1).tolist(), abs=1e-4)
    overridden = one(
        spark,
        f"IMPORT MODEL inputs.given FROM 'file:{tmp_path}/own_norm.onnx' OPTIONS (scale = 1, mean = '0 0 0', std = '1 1 1')",
    )
    assert "assumed" in overridden.message and "scale" not in overridden.message.split("assumed")[1]
    with pytest.raises(Exception, match="whole numbers from 0 to 255, because its input takes no others"):
        spark.sql(f"IMPORT MODEL inputs.bad FROM 'file:{tmp_path}/bytes_in.onnx' OPTIONS (scale = '1/255')").collect()
    spark.sql("DROP DATABASE inputs CASCADE")
