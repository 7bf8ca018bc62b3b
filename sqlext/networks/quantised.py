"""Quantised networks: the float tensor behind one with 8-bit numbers.

Three forms exist. QDQ: QuantizeLinear and DequantizeLinear around ordinary operators. QOperator: operators on 8-bit
numbers (QLinearConv, QGemm). Dynamic: DynamicQuantizeLinear before integer products (MatMulInteger).
"""

from __future__ import annotations

import onnx
from onnx import helper

from sqlext.networks.wiring import Wiring

# Operators whose output has the quantisation parameters of their input.
_SAME_PARAMETERS = {"Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "MaxPool", "Slice", "Gather"}


def dequantised(model: onnx.ModelProto, name: str) -> str:
    """The float tensor of a tensor with 8-bit numbers: a DequantizeLinear is added if the graph has none. Others: unchanged."""
    parameters = parameters_of(Wiring(model.graph), name)
    if parameters is None:
        return name
    restored = f"{name}_float"
    model.graph.node.append(helper.make_node("DequantizeLinear", [name, *parameters], [restored], name=restored))
    return restored


def parameters_of(wiring: Wiring, name: str) -> list[str] | None:
    """The names of scale and zero point of a tensor with 8-bit numbers; None for a float tensor."""
    node = wiring.producer.get(name)
    while node is not None and node.op_type in _SAME_PARAMETERS:
        node = wiring.producer.get(node.input[0])
    if node is None:
        return None
    if node.op_type == "QuantizeLinear":
        found = list(node.input[1:3])
    elif node.op_type == "QGemm":
        found = list(node.input[7:9])
    elif node.op_type == "QLinearConcat":
        found = list(node.input[:2])
    elif node.op_type in ("QLinearConv", "QLinearMatMul"):
        found = list(node.input[6:8])
    elif node.op_type.startswith("QLinear"):
        found = list(node.input[-2:])
    else:
        return None
    return found or None
