"""Quantised networks: the float tensor behind one with 8-bit numbers.

Three forms exist. QDQ: QuantizeLinear and DequantizeLinear around ordinary operators. QOperator: operators on 8-bit
numbers (QLinearConv, QGemm). Dynamic: DynamicQuantizeLinear before integer products (MatMulInteger).
"""

from __future__ import annotations

import onnx
from onnx import helper

from sqlext.networks.wiring import Wiring, free_name

# Operators whose output has the quantisation parameters of their input.
_SAME_PARAMETERS = {"Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "MaxPool", "Slice", "Gather"}
# The position of the output's scale among the inputs, which its zero point follows. QLinear operators with one operand
# (pools, activations) have it after the operand, its scale and its zero point.
_PARAMETERS = {
    "QuantizeLinear": 1,
    "QGemm": 7,
    "QLinearConcat": 0,
    "QLinearConv": 6,
    "QLinearMatMul": 6,
    "QLinearAdd": 6,
    "QLinearMul": 6,
    "QLinearWhere": 7,
}


def dequantised(model: onnx.ModelProto, name: str) -> str:
    """The float tensor of a tensor with 8-bit numbers: a DequantizeLinear is added if the graph has none. Others: unchanged."""
    parameters = parameters_of(Wiring(model.graph), name)
    if parameters is None:
        return name
    restored = free_name(model.graph, f"{name}_float")
    model.graph.node.append(helper.make_node("DequantizeLinear", [name, *parameters], [restored], name=restored))
    return restored


def parameters_of(wiring: Wiring, name: str) -> list[str] | None:
    """The names of scale and zero point of a tensor with 8-bit numbers; None for a float tensor.

    A zero point that the file omits, which is 0, is not in the list.
    """
    node = wiring.producer.get(name)
    while node is not None and node.op_type in _SAME_PARAMETERS:
        name = node.input[0]
        node = wiring.producer.get(name)
    if node is None:
        return None
    if node.op_type == "DynamicQuantizeLinear":
        return list(node.output[1:]) if name == node.output[0] else None
    position = _PARAMETERS.get(node.op_type, 3 if node.op_type.startswith("QLinear") else None)
    found = list(node.input[position : position + 2]) if position is not None else []
    return [name for name in found if name] or None
