"""Operators that ONNX Runtime and OpenVINO add to ONNX, mostly for quantised networks, and what they stand for."""

from __future__ import annotations

import onnx
from onnx import helper

CONTRIB = "com.microsoft"
_DOMAINS = (CONTRIB, "org.openvinotoolkit")
QUANTISING = {"QuantizeLinear", "DynamicQuantizeLinear"}
_PLAIN = {
    "QGemm": "Gemm",
    "MatMulInteger": "MatMul",
    "MatMulIntegerToFloat": "MatMul",
    "DynamicQuantizeMatMul": "MatMul",
    "MatMulNBits": "MatMul",
    "ConvInteger": "Conv",
}
# Added operators whose output has the sizes of their first input.
_SAME_SIZES = {"Gelu", "BiasGelu", "FastGelu", "QuickGelu", "SkipLayerNormalization", "QLinearSoftmax", "FakeQuantize"}
# Operator -> positions of the inputs that its ordinary counterpart takes; other QLinear operators: the first input only.
_OPERANDS = {
    "QGemm": (0, 3),
    "QLinearAdd": (0, 3),
    "QLinearMul": (0, 3),
    "MatMulIntegerToFloat": (0, 1),
    "DynamicQuantizeMatMul": (0, 1),
    "FusedConv": (0, 1, 2),
    "FusedGemm": (0, 1, 2),
    "FusedMatMul": (0, 1),
}
_ATTRIBUTES = {
    "Conv": ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"),
    "Gemm": ("transA", "transB"),
    "Concat": ("axis",),
    "AveragePool": ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"),
    "ReduceMean": ("axes", "keepdims"),
}


def operator(node: onnx.NodeProto) -> str:
    """The ordinary operator that a node computes: 'Gemm' for QGemm, 'Conv' for QLinearConv and FusedConv."""
    name = str(node.op_type)
    return _PLAIN.get(name) or name.removeprefix("QLinear").removeprefix("Fused") or name


def is_quantised(graph: onnx.GraphProto) -> bool:
    """Whether a network computes with 8-bit numbers, or as if it did."""
    return any(
        node.op_type in QUANTISING
        or node.op_type == "FakeQuantize"
        or node.op_type in _PLAIN
        or node.op_type.startswith("QLinear")
        for node in graph.node
    )


def for_sizes(node: onnx.NodeProto) -> onnx.NodeProto:
    """A node of ONNX's own operators whose output has the same sizes: ONNX cannot infer those of other operators."""
    if node.domain not in _DOMAINS:
        return node
    kind = operator(node)
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute if a.name in _ATTRIBUTES.get(kind, ())}
    if node.op_type in _SAME_SIZES:
        return helper.make_node("Identity", [node.input[0]], list(node.output[:1]), name=node.name)
    if node.op_type == "QLinearConcat":
        return helper.make_node(kind, list(node.input[2::3]), list(node.output), name=node.name, **attributes)
    if node.op_type in _OPERANDS or node.op_type.startswith("QLinear"):
        inputs = [node.input[i] for i in _OPERANDS.get(node.op_type, (0,)) if i < len(node.input)]
        return helper.make_node(kind, inputs, list(node.output[:1]), name=node.name, **attributes)
    return node
