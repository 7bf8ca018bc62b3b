"""Which nodes of an ONNX graph produce and read each tensor."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from sqlext.errors import nearest
from sqlext.networks.contrib import for_sizes
from sqlext.networks.library_text import where
from sqlext.networks.onnx_file import invalid
from sqlext.networks.subgraphs import reads

# The sizes of a tensor, and those of all tensors by name; None: a free axis.
Shape = list[int | None]
Shapes = dict[str, Shape]
# A constant with more values than this holds weights, not a list of sizes or axes.
SMALL_TENSOR = 64
_SIZES = {"Shape", "Size"}


class Needed(NamedTuple):
    """``tensors``: the names of all tensors that are read; ``produced``: the first outputs of the nodes that must run."""

    tensors: set[str]
    produced: set[str]


class Wiring:
    """Look-ups in one graph, which must not change while this object is used."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants = {tensor.name for tensor in graph.initializer}
        self.producer = {name: node for node in graph.node for name in node.output if name}
        self.inputs = [value for value in graph.input if value.name not in self.constants]

    def tensor(self, name: str) -> str:
        """The tensor with this name, or the first output of the node with this name.

        :raises SqlExtError: INVALID_NETWORK, suggesting the most similar name.
        """
        if name in self.producer or name in {value.name for value in self.inputs}:
            return name
        for node in self.graph.node:
            if node.name == name:
                return str(node.output[0])
        names = [*self.producer, *(value.name for value in self.inputs), *(node.name for node in self.graph.node)]
        raise invalid(f"it has nothing named '{name}'. {nearest(name, names)}".rstrip(". "))

    @cached_property
    def carrying(self) -> set[str]:
        """The tensors whose values come from the image: not weights, nor what is computed from weights or sizes only."""
        found = {value.name for value in self.inputs}
        for node in self.graph.node:
            if node.op_type not in _SIZES and any(name in found for name in reads(node)):
                # The other outputs of DynamicQuantizeLinear are a scale and a zero point.
                found.update(node.output[:1] if node.op_type == "DynamicQuantizeLinear" else node.output)
        return found

    def activations(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of a node that carry the image."""
        return [name for name in reads(node) if name in self.carrying]

    @cached_property
    def readers(self) -> dict[str, list[onnx.NodeProto]]:
        """For each tensor, the nodes that read it."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in dict.fromkeys(reads(node)):
                found.setdefault(name, []).append(node)
        return found

    def around(self, name: str) -> list[onnx.NodeProto]:
        """The node that computes a tensor, if any, and those that read it."""
        maker = self.producer.get(name)
        return ([maker] if maker is not None else []) + self.readers.get(name, [])

    def value(self, name: str) -> NDArray[Any] | None:
        """The value of a constant, or None if the tensor is not a constant of the file."""
        tensor = self._values.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    @cached_property
    def _values(self) -> dict[str, onnx.TensorProto]:
        return {tensor.name: tensor for tensor in self.graph.initializer}

    def needed(self, wanted: Iterable[str], source: str) -> Needed:
        """The tensors and nodes that are needed to compute ``wanted`` from ``source``."""
        found = Needed(set(), set())
        stack = list(wanted)
        while stack:
            name = stack.pop()
            if name in found.tensors:
                continue
            found.tensors.add(name)
            node = self.producer.get(name)
            if name != source and node is not None:
                found.produced.add(node.output[0])
                stack.extend(reads(node))
        return found


def free_name(graph: onnx.GraphProto, wanted: str) -> str:
    """The name, with underscores after it if a tensor or a node already has it."""
    taken = {name for node in graph.node for name in (*node.input, *node.output, node.name)}
    taken |= {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    while wanted in taken:
        wanted += "_"
    return wanted


def shapes_of(model: onnx.ModelProto) -> Shapes:
    """The sizes of every activation, as far as they can be inferred.

    :raises SqlExtError: INVALID_NETWORK if they contradict each other.
    """
    return {name: sizes for name, kind in types_of(model).items() if (sizes := sizes_of(kind)) is not None}


def types_of(model: onnx.ModelProto) -> dict[str, onnx.TypeProto.Tensor]:
    """The type of the numbers and the sizes of every activation, as far as they can be inferred.

    :raises SqlExtError: INVALID_NETWORK if they contradict each other.
    """
    try:
        # data_prop also follows sizes that the graph itself computes, such as the target of a Reshape.
        graph = shape_inference.infer_shapes(skeleton(model), data_prop=True).graph
    except Exception as error:
        raise invalid(f"the sizes of its layers do not fit{where(error)}") from None
    values = [*graph.input, *graph.value_info, *graph.output]
    return {value.name: value.type.tensor_type for value in values if value.type.HasField("tensor_type")}


def sizes_of(kind: onnx.TypeProto.Tensor) -> Shape | None:
    """The sizes of a tensor. None stands for a free one, for which some exporters write a name, and some 0 or -1."""
    if not kind.HasField("shape"):
        return None
    return [dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim]


def shown(shape: Shape | None, batch: bool = True) -> str:
    """A shape as text, such as 'N x 3 x 224 x 224'."""
    if shape is None:
        return "of unknown shape"
    if not shape:
        return "a single value"
    free = ["N" if position == 0 and batch else "?" for position in range(len(shape))]
    return " x ".join(str(size or name) for size, name in zip(shape, free, strict=True))


def skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with large weights declared as inputs instead, since shape inference would copy their values twice."""
    graph = model.graph
    large = [tensor for tensor in graph.initializer if prod(tensor.dims) > SMALL_TENSOR]
    declared = [helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in large]
    names = {tensor.name for tensor in large}
    skeleton = helper.make_graph(
        [for_sizes(node) for node in graph.node],
        "skeleton",
        [value for value in graph.input if value.name not in names] + declared,
        graph.output,
        [tensor for tensor in graph.initializer if tensor.name not in names],
        value_info=graph.value_info,
    )
    result = helper.make_model(skeleton, opset_imports=model.opset_import)
    result.ir_version = model.ir_version
    return result
