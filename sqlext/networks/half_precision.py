"""Writes a network of 16-bit numbers with 32-bit ones: BigDL has no others, and each engine rounds 16-bit ones differently."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from sqlext.networks.onnx_file import tensors
from sqlext.networks.subgraphs import all_graphs
from sqlext.networks.wiring import types_of

HALF: dict[int, str] = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}
# Attributes that hold a type: of Cast, of the operators that create tensors, of the quantising operators.
TYPES = {"to", "dtype", "output_dtype", "stash_type"}


def widen(model: onnx.ModelProto) -> str | None:
    """Changes a graph in place; returns the type that it replaced, such as 'float16'."""
    found: set[int] = set()
    for tensor in tensors(model):
        if tensor.data_type in HALF:
            found.add(tensor.data_type)
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    for graph in all_graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type in HALF:
                found.add(value.type.tensor_type.elem_type)
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in TYPES and attribute.i in HALF:
                    found.add(attribute.i)
                    attribute.i = TensorProto.FLOAT
    if found:
        _drop_casts(model)
    return HALF[min(found)] if found else None


def _drop_casts(model: onnx.ModelProto) -> None:
    """Replaces the casts that have become useless by Identity, which every engine has."""
    types = types_of(model)
    for node in model.graph.node:
        to_float = node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT
        if to_float and node.input[0] in types and types[node.input[0]].elem_type == TensorProto.FLOAT:
            node.op_type = "Identity"
            del node.attribute[:]
