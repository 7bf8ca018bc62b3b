"""Which nodes of an ONNX graph produce and read each tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from sqlext.errors import nearest
from sqlext.networks.contrib import for_sizes
from sqlext.networks.onnx_file import first_line, invalid

# Sizes by tensor name; None: a free axis.
Shapes = dict[str, list[int | None]]
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
            if node.op_type not in _SIZES and any(name in found for name in _reads(node)):
                # The other outputs of DynamicQuantizeLinear are a scale and a zero point.
                found.update(node.output[:1] if node.op_type == "DynamicQuantizeLinear" else node.output)
        return found

    def activations(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of a node that carry the image."""
        return [name for name in _reads(node) if name in self.carrying]

    def value(self, name: str) -> NDArray[Any] | None:
        """The value of a constant, or None if the tensor is not a constant of the file."""
        return next((numpy_helper.to_array(t) for t in self.graph.initializer if t.name == name), None)

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
                stack.extend(_reads(node))
        return found


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """All names that a node reads, including those read inside the subgraphs of If and Loop."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            inside = {name for inner in graph.node for name in inner.output} | {t.name for t in graph.initializer}
            inside |= {value.name for value in graph.input}
            yield from (name for inner in graph.node for name in _reads(inner) if name not in inside)
            yield from (value.name for value in graph.output if value.name not in inside)


def shapes_of(model: onnx.ModelProto) -> Shapes:
    """The sizes of every activation, as far as they can be inferred.

    :raises SqlExtError: INVALID_NETWORK if they contradict each other.
    """
    return {
        name: [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]
        for name, value in described_tensors(model).items()
        if value.type.tensor_type.HasField("shape")
    }


def described_tensors(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Every activation with its type and sizes, as far as they can be inferred.

    :raises SqlExtError: INVALID_NETWORK if sizes contradict each other.
    """
    try:
        graph = shape_inference.infer_shapes(_skeleton(model), data_prop=True).graph
    except Exception as error:
        raise invalid(f"the sizes of its layers do not fit: {first_line(error)}") from None
    return {value.name: value for value in [*graph.input, *graph.value_info, *graph.output]}


def _skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
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
