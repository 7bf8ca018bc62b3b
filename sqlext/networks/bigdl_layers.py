"""The table of BigDL's layers, with one function per layer that writes it as an ONNX operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from sqlext.networks.bigdl_file import BigDLFile
from sqlext.networks.bigdl_pb2 import BigDLModule


class UnsupportedLayerError(Exception):
    """A setting of a layer has no counterpart in ONNX; the message names it."""


@dataclass
class ReadLayer:
    """One module of the file and the tensors that it reads; its ONNX form is appended to ``nodes`` and ``weights``."""

    file: BigDLFile
    module: BigDLModule
    name: str
    inputs: list[str]
    nodes: list[Any]
    weights: list[Any]

    @property
    def type(self) -> str:
        return str(self.module.moduleType).rpartition(".")[2]

    def get(self, *names: str, default: Any = None) -> Any:
        """The value of the first of these attributes that the file sets, or ``default``."""
        for name in names:
            value = self.file.attribute(self.module, name)
            if value is not None:
                return value
        return default

    def constant(self, suffix: str, value: Any) -> str:
        name = f"{self.name}.{suffix}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(self, operator: str, *more: str, inputs: list[str] | None = None, **attributes: Any) -> str:
        operands = [*(self.inputs[:1] if inputs is None else inputs), *more]
        self.nodes.append(helper.make_node(operator, operands, [self.name], name=self.name, **attributes))
        return self.name

    def parameters(self, at_least: int = 1) -> list[Any]:
        found = self.file.weights_of(self.module)
        if len(found) < at_least:
            raise UnsupportedLayerError("without its weights")
        return found


def _pads(layer: ReadLayer) -> dict[str, Any]:
    """BigDL writes SAME padding as -1."""
    down, across = layer.get("padH", default=0), layer.get("padW", default=0)
    return {"auto_pad": "SAME_UPPER"} if -1 in (down, across) else {"pads": [down, across, down, across]}


def _window(layer: ReadLayer) -> dict[str, Any]:
    kernel = [layer.get("kH", default=0), layer.get("kW", default=0)]
    return {"kernel_shape": kernel, "strides": [layer.get("dH", default=1), layer.get("dW", default=1)], **_pads(layer)}


def convolution(layer: ReadLayer) -> str:
    weight, *bias = layer.parameters()
    weight = weight.reshape(-1, *weight.shape[-3:])  # (groups, out / groups, in / groups, height, width)
    more = [layer.constant("weight", weight)] + [layer.constant("bias", value) for value in bias[:1]]
    return layer.node(
        "Conv",
        *more,
        kernel_shape=list(weight.shape[2:]),
        strides=[layer.get("strideH", "dH", default=1), layer.get("strideW", "dW", default=1)],
        dilations=[layer.get("dilationH", default=1), layer.get("dilationW", default=1)],
        group=layer.get("nGroup", default=1),
        **_pads(layer),
    )


def batch_normalization(layer: ReadLayer) -> str:
    mean, variance = layer.get("runningMean"), layer.get("runningVar")
    if mean is None or variance is None:
        raise UnsupportedLayerError("without running statistics")
    gamma, beta = (
        layer.parameters(2)[:2] if layer.get("affine", default=True) else (np.ones_like(mean), np.zeros_like(mean))
    )
    values = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    return layer.node(
        "BatchNormalization", *[layer.constant(k, v) for k, v in values.items()], epsilon=layer.get("eps", default=1e-5)
    )


def max_pooling(layer: ReadLayer) -> str:
    return layer.node("MaxPool", **_window(layer), ceil_mode=int(layer.get("ceil_mode", "ceilMode", default=False)))


def average_pooling(layer: ReadLayer) -> str:
    if layer.get("globalPooling", default=False):
        return layer.node("GlobalAveragePool")
    if not layer.get("divide", default=True):
        raise UnsupportedLayerError("sums instead of averages")
    include = int(layer.get("countIncludePad", default=True))
    ceil = int(layer.get("ceilMode", default=False))
    return layer.node("AveragePool", **_window(layer), ceil_mode=ceil, count_include_pad=include)


def linear(layer: ReadLayer) -> str:
    weight, *bias = layer.parameters()
    more = [layer.constant("weight", weight)] + [layer.constant("bias", value) for value in bias[:1]]
    return layer.node("Gemm", *more, transB=1)


def infer_reshape(layer: ReadLayer) -> str:
    batch = [0] if layer.get("batchMode", default=False) else []
    return _reshape(layer, batch + list(layer.get("size")))


def reshape(layer: ReadLayer) -> str:
    whole = layer.get("batchMode", default=0) == 2  # 0: BigDL goes by the sizes, 1: axis 0 is the batch, 2: it is not
    return _reshape(layer, ([] if whole else [0]) + list(layer.get("size", "sizes")))


def _reshape(layer: ReadLayer, sizes: list[int]) -> str:
    return layer.node("Reshape", layer.constant("sizes", np.array(sizes, np.int64)))


def add_weights(layer: ReadLayer) -> str:
    return layer.node("Add", layer.constant("value", layer.parameters()[0]))


def multiply_weights(layer: ReadLayer) -> str:
    return layer.node("Mul", layer.constant("value", layer.parameters()[0]))


def number(operator: str, *attributes: str) -> Callable[[ReadLayer], str]:
    def convert(layer: ReadLayer) -> str:
        return layer.node(operator, layer.constant("value", np.float32(layer.get(*attributes, default=0.0))))

    return convert


def clip(layer: ReadLayer) -> str:
    low, high = (0.0, 6.0) if layer.type == "ReLU6" else (layer.get("minValue"), layer.get("maxValue"))
    return layer.node("Clip", layer.constant("low", np.float32(low)), layer.constant("high", np.float32(high)))


def zero_padding(layer: ReadLayer) -> str:
    left, right, top, bottom = (layer.get(f"pad{side}", default=0) for side in ("Left", "Right", "Top", "Bottom"))
    return layer.node("Pad", layer.constant("pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)))


def expand(layer: ReadLayer) -> str:
    sizes = [1 if size == -1 else size for size in layer.get("targetSizes")]
    return layer.node("Expand", layer.constant("sizes", np.array(sizes, np.int64)))


def local_response(layer: ReadLayer) -> str:
    values = {name: layer.get(key) for name, key in (("alpha", "alpha"), ("beta", "beta"), ("bias", "k"))}
    return layer.node("LRN", size=layer.get("size", default=5), **values)


def join(layer: ReadLayer) -> str:
    axis = layer.get("dimension") - (0 if layer.get("nInputDims", default=0) > 0 else 1)
    return layer.node("Concat", inputs=layer.inputs, axis=axis)


def table(operator: str) -> Callable[[ReadLayer], str]:
    return lambda layer: layer.node(operator, inputs=layer.inputs)


def simple(operator: str, **attributes: Any) -> Callable[[ReadLayer], str]:
    return lambda layer: layer.node(operator, **attributes)


def nothing(layer: ReadLayer) -> str:
    """A layer that does not change the scores: only training, or BigDL itself, needs it."""
    return layer.inputs[0]


# Keyed by the class name without its package: old and new releases of BigDL use the same names in different packages.
LAYERS: dict[str, Callable[[ReadLayer], str]] = {
    "Abs": simple("Abs"),
    "AddConstant": number("Add", "constant_scalar"),
    "BatchNormalization": batch_normalization,
    "CAdd": add_weights,
    "CAddTable": lambda layer: layer.node("Add" if len(layer.inputs) == 2 else "Sum", inputs=layer.inputs),
    "CMaxTable": table("Max"),
    "CMul": multiply_weights,
    "CMulTable": table("Mul"),
    "Contiguous": nothing,
    "Dropout": nothing,
    "Echo": nothing,
    "ELU": lambda layer: layer.node("Elu", alpha=layer.get("alpha", default=1.0)),
    "ExpandSize": expand,
    "HardTanh": clip,
    "Identity": nothing,
    "InferReshape": infer_reshape,
    "Input": nothing,
    "JoinTable": join,
    "LeakyReLU": lambda layer: layer.node("LeakyRelu", alpha=layer.get("negval", default=0.01)),
    "Linear": linear,
    "LogSoftMax": simple("LogSoftmax", axis=-1),
    "MulConstant": number("Mul", "constant"),
    "ReLU": simple("Relu"),
    "ReLU6": clip,
    "Reshape": reshape,
    "Sigmoid": simple("Sigmoid"),
    "SoftMax": simple("Softmax", axis=-1),
    "SpatialAveragePooling": average_pooling,
    "SpatialBatchNormalization": batch_normalization,
    "SpatialConvolution": convolution,
    "SpatialCrossMapLRN": local_response,
    "SpatialDilatedConvolution": convolution,
    "SpatialDropout2D": nothing,
    "SpatialMaxPooling": max_pooling,
    "SpatialShareConvolution": convolution,
    "SpatialZeroPadding": zero_padding,
    "Tanh": simple("Tanh"),
    "View": reshape,
}
