"""Recognises networks that normalise their pictures themselves, by the numbers that their first operators compute.

The first operators are run on pictures of one colour. From the results follows what each channel is multiplied with and
what is subtracted, whichever operators do it; and these numbers tell whether the network takes 0 to 255, 0 to 1 or -1 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sqlext.networks.embedding import limits_of
from sqlext.networks.sizes import LARGEST_SIDE
from sqlext.networks.subgraphs import reads
from sqlext.networks.wiring import Wiring

DEFAULT_SIZE = 224
ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Sum", "Neg", "BatchNormalization"}
MOVING = {
    "Cast",
    "Clip",
    "Concat",
    "DequantizeLinear",
    "Gather",
    "Identity",
    "Max",
    "Min",
    "QuantizeLinear",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
REORDERING = {"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze", "DequantizeLinear"}
# Operators that leave the middle of a picture of one colour as it is, or round it.
UNCHANGING = {"Resize", "Upsample", "Pad", "AveragePool", "Dropout", "Round", "Floor", "Ceil"}
_NEARLY = 0.02  # how far the range of a calibration may be from that of all pictures
CAFFE = (103.9, 116.8, 123.7)  # ImageNet's means in the order blue, green, red
UNIT = (1 / 255, 0.0, 1.0)
SIGNED = (1 / 255, 0.5, 0.5)
PIXELS = (1.0, 0.0, 1.0)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Expected:
    """The preprocessing that the graph of a network suggests, and a note that says why. Empty: the defaults."""

    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


def normalised_inside(model: onnx.ModelProto, source: str, side: int) -> Expected:
    """What the network's own normalisation expects, if it begins with one."""
    kinds, end = _first_operators(model.graph, source)
    if not kinds:
        return _limits_of_values(Wiring(model.graph), source)
    if end is None or side > LARGEST_SIDE:
        return Expected()
    measured = _measure(model, source, side, end)
    if measured is None:
        return Expected()
    centre, spread = measured
    steps = ", ".join(kinds)
    found = _range(float(centre.mean()), float(np.abs(spread).mean()))
    if found is None:
        shown = " ".join(f"{value + 0.0:.4g}" for value in centre), " ".join(f"{value:.4g}" for value in spread)
        return Expected(
            {}, f"its first operators ({steps}) subtract {shown[0]} and divide by {shown[1]}: check scale, mean and std"
        )
    (scale, mean, std), words = found
    if not words:
        return Expected()
    values: dict[str, Any] = {"scale": scale, "mean": (mean,) * 3, "std": (std,) * 3}
    pixels = (centre * std + mean) / scale
    if np.all(np.diff(pixels) > 2) and np.abs(pixels - CAFFE).max() < 12:
        values["color"], words = "bgr", f"{words} in the order blue, green, red"
    return Expected(values, f"it normalises pictures itself ({steps}) and takes values {words}")


def _limits_of_values(wiring: Wiring, source: str) -> Expected:
    """What a network takes that only limits or quantises its values: the limits tell for which range it was made."""
    name, kinds, low, high = source, list[str](), -np.inf, np.inf
    while len(readers := [node for node in wiring.readers.get(name, []) if node.op_type not in ("Shape", "Size")]) == 1:
        node, name = readers[0], readers[0].output[0]
        if node.op_type not in REORDERING:
            limits = _limits(wiring, node)
            if limits is None:
                break
            kinds.append(node.op_type)
            low, high = max(low, limits[0]), min(high, limits[1])
    ranges = ((PIXELS, 0, 255, "0 to 255"), (UNIT, 0, 1, "0 to 1"), (SIGNED, -1, 1, "-1 to 1"))
    for (factor, mean, std), least, most, words in ranges:
        if max(abs(low - least), abs(high - most)) <= _NEARLY * most:
            preprocessing = {"scale": factor, "mean": (mean,) * 3, "std": (std,) * 3}
            steps = ", ".join(dict.fromkeys(kinds))
            return Expected(preprocessing, f"it begins with {steps}, made for values {words}")
    return Expected()


def _limits(wiring: Wiring, node: onnx.NodeProto) -> tuple[float, float] | None:
    """The smallest and the largest value that an operator lets through; None for other operators."""
    if node.op_type in ("Clip", "Max", "Min"):
        low, high = limits_of(wiring, node)
        return -np.inf if low is None else low, np.inf if high is None else high
    if node.op_type != "QuantizeLinear":
        return None
    scale, zero = [*(wiring.value(name) for name in node.input[1:]), np.zeros(1, np.uint8)][:2]
    if scale is None or zero is None or scale.size != 1 or zero.dtype not in (np.uint8, np.int8):
        return None
    ends, step = np.iinfo(zero.dtype), float(scale.reshape(-1)[0])
    return step * (ends.min - int(zero.reshape(-1)[0])), step * (ends.max - int(zero.reshape(-1)[0]))


def _first_operators(graph: onnx.GraphProto, source: str) -> tuple[list[str], str | None]:
    """The arithmetic with which a graph begins, as long as it only computes with single pixels; and its only result."""
    wiring, reached, ends = Wiring(graph), {source}, set[str]()
    fixed = set(wiring.constants)  # also what is computed from constants
    kinds = []
    for node in graph.node:
        read = [name for name in reads(node) if name not in fixed]
        if not read:
            fixed.update(node.output)
        elif (node.op_type in MOVING | UNCHANGING or _is_arithmetic(wiring, node)) and reached.issuperset(read):
            kinds += [] if node.op_type in MOVING | UNCHANGING else [node.op_type]
            reached.update(node.output)
        elif node.op_type not in ("Shape", "Size"):
            ends.update(reached.intersection(read))
    return list(dict.fromkeys(kinds)), ends.pop() if len(ends) == 1 else None


def _is_arithmetic(wiring: Wiring, node: onnx.NodeProto) -> bool:
    """Whether an operator computes with single pixels: also a 1 x 1 convolution or a matrix with three outputs."""
    if node.op_type not in ("Conv", "MatMul") or len(node.input) < 2:
        return node.op_type in ARITHMETIC
    weight = wiring.value(node.input[1])
    if weight is None or node.op_type == "MatMul":
        return weight is not None and weight.shape == (3, 3)
    return (weight.shape[0], *weight.shape[2:]) == (3, 1, 1)


def _measure(model: onnx.ModelProto, source: str, side: int, end: str) -> tuple[Array, Array] | None:
    """What the operators subtract from each channel of the input and what they divide it by; None if they do something else."""
    try:
        run = _runner(model, source, side, end)
        # The first operators may cut values off, at 255 or at 1.
        return _factors(run, 255.0) or _factors(run, 1.0)
    except Exception:  # the evaluator's errors have no common class; a beginning that it cannot run is no normalisation
        return None


def _factors(run: Callable[[Array], Array], largest: float) -> tuple[Array, Array] | None:
    zero = run(np.zeros(3))
    slopes = np.stack([(run(largest * colour) - zero) / largest for colour in np.eye(3)], axis=1)
    probe = np.round(255 * np.array([0.12, 0.3, 0.75])) * (largest / 255)
    wrong = np.abs(run(probe) - slopes @ probe - zero).max()
    used = np.abs(slopes) > 1e-5 * np.abs(slopes).max()
    if not np.isfinite(slopes).all() or not (used.sum(0) == 1).all() or not (used.sum(1) == 1).all():
        return None
    if wrong > 1e-3 * max(1.0, float(np.abs(zero).max())):
        return None
    output = used.argmax(0)  # for each channel of the input, the channel that it becomes
    factor = slopes[output, np.arange(3)]
    return 0.0 - zero[output] / factor, 1 / factor


def _runner(model: onnx.ModelProto, source: str, side: int, end: str) -> Callable[[Array], Array]:
    """A function from a colour to the three numbers that the operators compute for the pixel in the middle."""
    from sqlext.networks.reference import evaluator  # imports 300 modules

    needed = Wiring(model.graph).needed([end], source)
    first = [node for node in model.graph.node if node.output[0] in needed.produced]
    constants = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in needed.tensors}
    nodes = _for_one_colour([_neutral(node, constants) for node in first], constants.keys())
    graph = helper.make_graph(
        nodes,
        "first",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, [1, 3, side, side])],
        [onnx.ValueInfoProto(name=end)],
        list(constants.values()),
    )
    first_part = evaluator(helper.make_model(graph, opset_imports=model.opset_import))

    def run(colour: Array) -> Array:
        picture = np.broadcast_to(colour.astype(np.float32)[None, :, None, None], (1, 3, side, side))
        outputs: Any = first_part.run(None, {source: np.ascontiguousarray(picture)})
        result = outputs[0]
        if result.ndim != 4 or 3 not in (result.shape[1], result.shape[3]):
            raise ValueError("not a picture")
        pixels = result if result.shape[1] == 3 else result.transpose(0, 3, 1, 2)
        return np.asarray(pixels[0, :, pixels.shape[2] // 2, pixels.shape[3] // 2], np.float64)

    return run


def _neutral(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> onnx.NodeProto:
    """The BatchNormalization with only its statistics, which tell what it was trained on.

    Its learned factors would hide that; but if the statistics are 0 and 1, the factors are all that it does.
    """
    if node.op_type != "BatchNormalization":
        return node
    mean, variance = (numpy_helper.to_array(constants[name]) for name in node.input[3:5])
    if np.abs(mean).max() < 1e-3 and np.abs(variance - 1).max() < 1e-3:
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for position, value in ((1, np.ones_like(mean)), (2, np.zeros_like(mean))):
        copy.input[position] = f"{node.output[0]}_neutral_{position}"
        constants[copy.input[position]] = numpy_helper.from_array(value, copy.input[position])
    return copy


def _for_one_colour(nodes: list[onnx.NodeProto], constants: Collection[str]) -> list[onnx.NodeProto]:
    """The operators without those that change no picture of one colour, and without rounding to 8-bit numbers.

    Rounding would make them differ from a normalisation. The input of QuantizeLinear stays as it is up to the
    DequantizeLinear that restores it.
    """
    rounded, result = set[str](), []
    for node in nodes:
        restored = node.op_type == "DequantizeLinear" and node.input[0] in rounded
        rounds = node.op_type == "QuantizeLinear" and node.input[0] not in constants
        if rounds or (node.op_type != "DequantizeLinear" and not rounded.isdisjoint(node.input)):
            rounded.update(node.output)
        same = rounds or restored or node.op_type in UNCHANGING
        result.append(helper.make_node("Identity", [node.input[0]], list(node.output)) if same else node)
    return result


def _range(centre: float, spread: float) -> tuple[tuple[float, float, float], str] | None:
    """Scale, mean and std that give the values for which a normalisation is made, and these values in words.

    No words: the values are those that the defaults give. None: the numbers are those of no usual normalisation.
    """
    if centre > 10 or (abs(centre) < 0.02 * spread and spread > 30):
        return PIXELS, "0 to 255"
    is_normalised = abs(centre) < 0.3 and 0.6 < spread < 1.6
    # Networks that change the usual normalisation into another: Inception and GoogLeNet of torchvision, or back to pixels.
    if is_normalised or (0.05 < centre < 0.6 and 1.9 < spread < 2.6) or -2.4 < centre < -1.6:
        return UNIT, ""
    if (0.05 < centre < 0.95 and spread < 1.2) or (abs(centre) < 0.02 and _divides_unit(spread)):
        return UNIT, "0 to 1"
    if -1.3 < centre < -0.7 or (-0.3 < centre < -0.01 and 0.35 < spread < 0.6):
        return SIGNED, "-1 to 1"
    return None


def _divides_unit(spread: float) -> bool:
    """Whether a divisor alone is made for 0 to 1: a usual standard deviation, or 1/255."""
    return 0.15 < spread < 0.35 or 0.0035 < spread < 0.0045
