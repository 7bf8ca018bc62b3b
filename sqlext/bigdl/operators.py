"""The table of ONNX operators that BigDL's layers can express, one function each.

A function that works around a fault of BigDL says so in a comment; every layer is tested against onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from sqlext.bigdl.layers import Array, Node, Unsupported, Weight

Converter = Callable[[Node], Any]
NO_REGULARIZERS = (None, None)
NO_GRADIENTS = (None, None)


def conv(node: Node) -> None:
    weight = _float(node.constant(1))
    bias = _float(node.constant(2))
    if weight is None or weight.ndim != 4:
        raise Unsupported("only two-dimensional convolutions")
    groups = node.attributes.get("group", 1)
    outputs, inputs, height, width = weight.shape
    down, across = node.attributes.get("strides", [1, 1])
    dilations = node.attributes.get("dilations", [1, 1])
    source, pads = _padded(node, [height, width], dilations)
    if dilations != [1, 1]:
        if groups != 1:
            raise Unsupported("dilation together with groups")
        # BigDL's factory of this layer takes no initial weights, and the layer always has a bias.
        weights = (weight, np.zeros(outputs, np.float32) if bias is None else bias)
        # BigDL takes width before height, ONNX height before width.
        sizes = (inputs, outputs, width, height, across, down, pads[1], pads[0], dilations[1], dilations[0])
        node.add("createSpatialDilatedConvolution", *sizes, *NO_REGULARIZERS, inputs=[source], weights=weights)
        return
    grouped = weight.reshape(groups, outputs // groups, inputs, height, width)
    sizes = (inputs * groups, outputs, width, height, across, down, pads[1], pads[0], groups, True)
    start = (Weight(grouped), None if bias is None else Weight(bias))
    node.add(
        "createSpatialConvolution",
        *sizes,
        *NO_REGULARIZERS,
        *start,
        *NO_GRADIENTS,
        bias is not None,
        "NCHW",
        inputs=[source],
    )


def batch_normalization(node: Node) -> None:
    scale, shift, mean, variance = (_float(node.constant(i)) for i in range(1, 5))
    if scale is None or shift is None or mean is None or variance is None:
        raise Unsupported("its statistics are missing")
    # ONNX's momentum is the weight of the old statistics, BigDL's that of the new ones.
    momentum = 1.0 - node.attributes.get("momentum", 0.9)
    settings = (len(scale), float(node.attributes.get("epsilon", 1e-5)), momentum, True, None, None, None, None)
    values: dict[str, Any] = {"weights": (scale, shift), "statistics": (mean, variance)}
    # Not as initial values of the factory, which would also write the bias into the gradient.
    if len(node.shape()) == 4:
        node.add("createSpatialBatchNormalization", *settings, "NCHW", **values)
    else:
        node.add("createBatchNormalization", *settings, **values)


def max_pool(node: Node) -> None:
    if node.attributes.get("dilations", [1, 1]) != [1, 1] or len(node.proto.output) > 1:
        raise Unsupported("dilation or indices")
    kernel, strides, pads = _window(node)
    # A layer of zeros before the pooling would be wrong, since zero exceeds negative values. Extra padding at the end is
    # expressed by BigDL's ceil mode.
    ceil = _rounding(node, kernel, strides, pads)
    node.add("createSpatialMaxPooling", kernel[1], kernel[0], strides[1], strides[0], pads[1], pads[0], ceil, "NCHW")


def average_pool(node: Node) -> None:
    kernel, strides, pads = _window(node)
    # Passed explicitly: ONNX does not count the padding by default, BigDL does.
    include = bool(node.attributes.get("count_include_pad", 0))
    padded = any(pads)
    ceil = _rounding(node, kernel, strides, pads)
    if padded and pads[:2] != pads[2:]:
        raise Unsupported("different pads at its two ends")
    sizes = (kernel[1], kernel[0], strides[1], strides[0], pads[1], pads[0])
    node.add("createSpatialAveragePooling", *sizes, False, ceil, include, True, "NCHW")


def global_average_pool(node: Node, step: str = "") -> str:
    if len(node.shape()) != 4:
        raise Unsupported("only over height and width")
    return node.add("createSpatialAveragePooling", 1, 1, 1, 1, 0, 0, True, False, True, True, "NCHW", step=step)


def reduce_mean(node: Node) -> None:
    axes = node.attributes.get("axes")
    axes = node.constant(1) if axes is None else axes
    if len(node.shape()) != 4 or axes is None or sorted(int(a) % 4 for a in axes) != [2, 3]:
        raise Unsupported("only over height and width")
    if node.attributes.get("keepdims", 1):
        global_average_pool(node)
    else:
        _reshaped(node, global_average_pool(node, step="pool"))


def relu(node: Node) -> None:
    # Whether it may work in place is known only when the graph is complete (onnx_to_bigdl.overwriting).
    node.add("createReLU", False)


def clip(node: Node) -> None:
    low, high = (node.attributes.get(name) for name in ("min", "max"))
    low = node.constant(1) if low is None else low
    high = node.constant(2) if high is None else high
    if low is None or high is None:
        if low is not None and float(low) == 0:
            return relu(node)
        raise Unsupported("without both bounds")
    if (float(low), float(high)) == (0.0, 6.0):
        node.add("createReLU6", False)
    else:
        node.add("createHardTanh", float(low), float(high), False)
    return None


def softmax(node: Node, create: str = "createSoftMax") -> None:
    shape = node.shape()
    # Opset 13 changed the default axis.
    axis = node.attributes.get("axis", -1 if node.plan.opset >= 13 else 1) % len(shape)
    if axis != 1 or any(size != 1 for size in shape[2:]):
        raise Unsupported("only over the classes of N x C")
    if len(shape) == 2:
        node.add(create)
        return
    # BigDL's softmax works on the last axis: for N x C x 1 x 1 it would return only ones.
    flat = node.add("createInferReshape", [0, -1], False, step="flat")
    scores = node.add(create, inputs=[flat], step="scores")
    _reshaped(node, scores)


def log_softmax(node: Node) -> None:
    softmax(node, "createLogSoftMax")


def gemm(node: Node) -> None:
    alpha, beta = (float(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    weight, bias = _float(node.constant(1)), _float(node.constant(2))
    if weight is None or node.attributes.get("transA", 0):
        raise Unsupported("with a transposed first operand")
    # Both factors are folded into the weights, since BigDL's Linear has neither.
    weight = alpha * (weight if node.attributes.get("transB", 0) else weight.T)
    bias = None if bias is None else beta * np.broadcast_to(bias.reshape(-1), weight.shape[:1])
    _linear(node, weight, bias, [node.input()])


def matmul(node: Node) -> None:
    weight = _float(node.constant(1))
    if weight is None or weight.ndim != 2:
        raise Unsupported("only with a constant matrix as second operand")
    if len(node.shape()) == 2:
        _linear(node, weight.T, None, [node.input()])
        return
    # BigDL's Linear takes N x width only: the axes in between are folded into the batch axis and unfolded afterwards.
    rows = node.add("createInferReshape", [-1, weight.shape[0]], False, step="rows")
    _reshaped(node, _linear(node, weight.T, None, [rows], step="linear"))


def add(node: Node) -> None:
    _two(node, "createCAddTable", (False,), "createAddConstant", "createCAdd", lambda value: value)


def sub(node: Node) -> None:
    if not node.is_constant(1):
        raise Unsupported("only with a constant as second operand")
    _two(node, "", (), "createAddConstant", "createCAdd", lambda value: -value)


def mul(node: Node) -> None:
    _two(node, "createCMulTable", (), "createMulConstant", "createCMul", lambda value: value)


def div(node: Node) -> None:
    if not node.is_constant(1):
        raise Unsupported("only with a constant divisor")
    _two(node, "", (), "createMulConstant", "createCMul", lambda value: 1 / value)


def concat(node: Node) -> None:
    axis = node.attributes["axis"] % len(node.out_shape)
    names = [node.input(i) for i in range(len(node.proto.input))]
    if any(name in node.plan.constants for name in names) or axis == 0:
        raise Unsupported("with a constant input or over the batch axis")
    # BigDL counts axes from 1. The 0 makes it count from the batch axis, as ONNX does.
    node.add("createJoinTable", axis + 1, 0, inputs=names)


def flatten(node: Node) -> None:
    if node.attributes.get("axis", 1) != 1:
        raise Unsupported("axis other than 1")
    # A 0 copies the size of the batch axis, which must stay variable.
    node.add("createInferReshape", [0, -1], False)


def reshape(node: Node) -> None:
    _reshaped(node, node.input())


def identity(node: Node) -> None:
    node.skip()


def simple(create: str, *arguments: Any) -> Converter:
    """The converter of an operator without attributes that a single layer replaces."""
    return lambda node: node.add(create, *arguments)


OPERATORS: dict[str, Converter] = {
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Clip": clip,
    "Concat": concat,
    "Conv": conv,
    "Div": div,
    "Dropout": identity,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "Identity": identity,
    "LogSoftmax": log_softmax,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Mul": mul,
    "ReduceMean": reduce_mean,
    "Relu": relu,
    "Reshape": reshape,
    "Sigmoid": simple("createSigmoid"),
    "Softmax": softmax,
    "Squeeze": reshape,
    "Sub": sub,
    "Tanh": simple("createTanh"),
    "Unsqueeze": reshape,
}


def _float(value: Any) -> Array | None:
    # Not ascontiguousarray, which turns a scalar into an array of length 1.
    return None if value is None else np.asarray(value, np.float32, order="C")


def _linear(node: Node, weight: Array, bias: Array | None, inputs: list[str], step: str = "") -> str:
    outputs, width = weight.shape
    start = (Weight(np.ascontiguousarray(weight)), None if bias is None else Weight(np.ascontiguousarray(bias)))
    settings = (width, outputs, bias is not None, *NO_REGULARIZERS, *start, *NO_GRADIENTS)
    return node.add("createLinear", *settings, inputs=inputs, step=step)


def _reshaped(node: Node, source: str) -> None:
    """Ends the node with a reshape of ``source`` to the node's output sizes; the batch axis stays variable."""
    sizes = node.out_shape[1:]
    known = [size for size in sizes if size is not None]
    before = node.plan.shape(node.input())[1:]
    whole = None not in before and len(known) == len(sizes)
    same_count = prod(size or 0 for size in before) == prod(known) or node.proto.op_type in ("MatMul", "ReduceMean")
    if not whole or not same_count:
        raise Unsupported("sizes that depend on the batch")
    node.add("createInferReshape", [-1, *known], False, inputs=[source])


def _two(
    node: Node,
    table: str,
    arguments: tuple[Any, ...],
    by_number: str,
    by_array: str,
    change: Callable[[Array], Array],
) -> None:
    """Arithmetic on two tensors, or on a tensor and a constant."""
    constants = [i for i in (0, 1) if node.is_constant(i)]
    if not constants:
        node.add(table, *arguments, inputs=_same_size(node))
        return
    other = node.input(1 - constants[0])
    value = change(np.asarray(node.constant(constants[0]), np.float32))
    if value.size == 1:
        # Both factories take the constant and whether to work in place.
        node.add(by_number, float(value.reshape(-1)[0]), False, inputs=[other])
        return
    size = [1] * (len(node.out_shape) - value.ndim) + list(value.shape)
    node.add(by_array, size, None, inputs=[other], weights=(np.ascontiguousarray(value.reshape(size)),))


def _same_size(node: Node) -> list[str]:
    """The inputs, expanded to the output's size. CMulTable would broadcast, but with a wrong gradient for the smaller one."""
    wanted = node.out_shape
    names = []
    for position in (0, 1):
        shape = node.shape(position)
        name = node.input(position)
        if shape[1:] != wanted[1:]:
            if len(shape) != len(wanted) or None in wanted[1:]:
                raise Unsupported("operands with different numbers of axes")
            sizes = [-1] + [-1 if have == want else want for have, want in zip(shape[1:], wanted[1:], strict=True)]
            name = node.add("createExpandSize", sizes, inputs=[name], step=f"expand{position}")
        names.append(name)
    return names


def _window(node: Node) -> tuple[list[int], list[int], list[int]]:
    """Kernel, strides and pads (top, left, bottom, right) of a pooling node."""
    kernel = list(node.attributes["kernel_shape"])
    if len(kernel) != 2:
        raise Unsupported("only over height and width")
    return kernel, list(node.attributes.get("strides", [1, 1])), _pads(node, kernel, [1, 1])


def _pads(node: Node, kernel: list[int], dilations: list[int]) -> list[int]:
    """Pads at the top, left, bottom and right. For auto_pad SAME they are computed from the sizes."""
    auto = node.attributes.get("auto_pad", b"NOTSET").decode()
    if auto in ("NOTSET", "VALID"):
        return list(node.attributes.get("pads", [0, 0, 0, 0]))
    before, after = [], []
    strides = node.attributes.get("strides", [1, 1])
    for have, got, size, stride, step in zip(
        node.shape()[2:], node.out_shape[2:], kernel, strides, dilations, strict=True
    ):
        if have is None or got is None:
            raise Unsupported("SAME pads of unknown sizes")
        whole = max(0, (got - 1) * stride + (size - 1) * step + 1 - have)
        small, large = whole // 2, whole - whole // 2
        before.append(small if auto == "SAME_UPPER" else large)
        after.append(large if auto == "SAME_UPPER" else small)
    return before + after


def _padded(node: Node, kernel: list[int], dilations: list[int]) -> tuple[str, list[int]]:
    """The convolution's input and its pads (top, left). Pads that differ between two ends become a layer of zeros."""
    top, left, bottom, right = _pads(node, kernel, dilations)
    if (top, left) == (bottom, right):
        return node.input(), [top, left]
    return node.add("createSpatialZeroPadding", left, right, top, bottom, step="pad"), [0, 0]


def _rounding(node: Node, kernel: list[int], strides: list[int], pads: list[int]) -> bool:
    """Whether BigDL must round sizes up to get the output size that ONNX declares."""
    ups = set()
    for axis in (0, 1):
        have, got = node.shape()[2 + axis], node.out_shape[2 + axis]
        if have is None or got is None:
            raise Unsupported("unknown sizes")
        span = have + 2 * pads[axis] - kernel[axis]
        down, up = span // strides[axis] + 1, -(-span // strides[axis]) + 1
        if pads[axis] and (up - 1) * strides[axis] >= have + pads[axis]:
            up -= 1  # in BigDL the last window must start inside the image
        if got not in (down, up):
            raise Unsupported("pads that BigDL's pooling does not support")
        if down != up:
            ups.add(got == up)
    if len(ups) > 1:
        raise Unsupported("pads that BigDL's pooling does not support")
    return ups == {True}
