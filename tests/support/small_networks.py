"""Small ONNX networks for tests, in ONNX's own text syntax, with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, parser, shape_inference

Array = NDArray[Any]

# A small residual network with the usual operators of image networks; its embedding has 19 numbers, and it has 7 classes.
RESIDUAL = """
    a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (x, w1)
    b = BatchNormalization (a, scale1, shift1, mean1, var1)
    c = Relu (b)
    p = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (c)
    d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (p, w2, b2)
    e = Add (d, p)
    f = Relu (e)
    g = Conv <kernel_shape = [1, 1]> (f, w3, b3)
    h = Clip (g, zero, six)
    pooled = GlobalAveragePool (h)
    features = Flatten (pooled)
    logits = Gemm <transB = 1> (features, w4, b4)
"""
RESIDUAL_WEIGHTS: dict[str, Any] = {
    "w1": (8, 3, 3, 3),
    "scale1": (8,),
    "shift1": (8,),
    "mean1": (8,),
    "var1": (8,),
    "w2": (8, 8, 3, 3),
    "b2": (8,),
    "w3": (19, 8, 1, 1),
    "b3": (19,),
    "zero": np.float32(0),
    "six": np.float32(6),
    "w4": (7, 19),
    "b4": (7,),
}
# Ends like SqueezeNet: the classifier is a convolution whose feature maps are averaged.
SQUEEZE = """
    a = Conv <kernel_shape = [3, 3], strides = [2, 2]> (x, w1, b1)
    b = Relu (a)
    s = MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1> (b)
    c = Conv <kernel_shape = [1, 1]> (s, w2, b2)
    d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (s, w3, b3)
    fire = Concat <axis = 1> (c, d)
    kept = Dropout (fire)
    maps = Conv <kernel_shape = [1, 1]> (kept, w4, b4)
    r = Relu (maps)
    g = GlobalAveragePool (r)
    prob = Softmax <axis = 1> (g)
"""
SQUEEZE_WEIGHTS: dict[str, Any] = {
    "w1": (8, 3, 3, 3),
    "b1": (8,),
    "w2": (4, 8, 1, 1),
    "b2": (4,),
    "w3": (5, 8, 3, 3),
    "b3": (5,),
    "w4": (6, 9, 1, 1),
    "b4": (6,),
}


def build(
    nodes: str,
    weights: dict[str, Any] | None = None,
    *,
    output: str,
    inputs: str = "float[N, 3, 32, 32] x",
    opset: int = 17,
    seed: int = 0,
    domains: tuple[str, ...] = (),
) -> onnx.ModelProto:
    """A model of ``nodes``, one per line, from ``x`` to ``output``. A weight is a value, or a shape to fill at random."""
    imported = ", ".join([f'"" : {opset}', *(f'"{domain}" : 1' for domain in domains)])
    head = f"<ir_version: 8, opset_import: [{imported}]>"
    outputs = ", ".join(f"float[N, M] {name}" for name in output.split(", "))
    model = parser.parse_model(f"{head} agraph ({inputs}) => ({outputs}) {{ {nodes} }}")
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    random = np.random.default_rng(seed)
    for name, weight in (weights or {}).items():
        value = _draw(random, name, weight) if isinstance(weight, tuple) else np.asarray(weight)
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model = shape_inference.infer_shapes(model, data_prop=True)
    for value in model.graph.output:  # an output must declare its sizes, also after operators that ONNX does not know
        value.type.tensor_type.elem_type = value.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
        for name in () if value.type.tensor_type.HasField("shape") else ("N", "M"):
            value.type.tensor_type.shape.dim.add(dim_param=name)
    return model


def _draw(random: np.random.Generator, name: str, shape: tuple[int, ...]) -> Array:
    """Random weights, scaled so that activations stay near one; variances are positive."""
    if name.startswith("var"):
        return random.uniform(0.5, 2.0, shape).astype(np.float32)
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 4
    return (random.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)


def residual() -> bytes:
    return build(RESIDUAL, RESIDUAL_WEIGHTS, output="logits").SerializeToString()


def squeeze() -> bytes:
    return build(SQUEEZE, SQUEEZE_WEIGHTS, output="prob").SerializeToString()
