"""A network as a list of BigDL layers that do not exist yet. The table of operators fills the list without a JVM."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

Array = NDArray[np.float32]


class Unsupported(Exception):
    """BigDL has no layer for this node; the message gives the reason."""


@dataclass(frozen=True)
class Weight:
    """A weight among a layer's arguments. The factory takes it as the initial value instead of drawing random numbers."""

    value: Array


@dataclass(frozen=True)
class Layer:
    """A layer that the method ``create`` of BigDL's PythonBigDL returns for ``arguments``.

    ``inputs`` and ``output`` are names of tensors. ``weights`` and ``statistics`` (running mean, variance) are set afterwards
    if the factory does not take them.
    """

    name: str
    create: str
    arguments: tuple[Any, ...]
    inputs: tuple[str, ...]
    output: str
    weights: tuple[Array, ...] = ()
    statistics: tuple[Array, ...] = ()

    @property
    def arrays(self) -> list[Array]:
        """All arrays of numbers that the layer starts with."""
        return [a.value for a in self.arguments if isinstance(a, Weight)] + [*self.weights, *self.statistics]


@dataclass
class Node:
    """One ONNX node as its converter sees it, and the layers that replace it."""

    plan: Plan
    proto: onnx.NodeProto
    attributes: dict[str, Any]
    layers: list[Layer] = field(default_factory=list)

    def input(self, position: int = 0) -> str:
        """Name of an input tensor, taken from before any nodes without effect; '' if the input is left out."""
        name = self.proto.input[position] if position < len(self.proto.input) else ""
        return self.plan.alias.get(name, name)

    def constant(self, position: int) -> NDArray[Any] | None:
        """The value of an input that is a weight; None if the input is left out.

        :raises Unsupported: if the input is computed.
        """
        name = self.input(position)
        if not name:
            return None
        if name not in self.plan.constants:
            raise Unsupported(f"input {position} is computed, not a constant")
        return numpy_helper.to_array(self.plan.constants[name])

    def is_constant(self, position: int) -> bool:
        return self.input(position) in self.plan.constants

    def shape(self, position: int = 0) -> list[int | None]:
        """Sizes of an input.

        :raises Unsupported: if shape inference could not determine them.
        """
        return self.plan.shape(self.input(position))

    @property
    def out_shape(self) -> list[int | None]:
        return self.plan.shape(self.proto.output[0])

    def add(self, create: str, *arguments: Any, inputs: list[str] | None = None, step: str = "", **more: Any) -> str:
        """Appends a layer and returns the name of its output. All layers of a node except its last need a ``step`` name."""
        name = f"{self.proto.name}/{step}" if step else self.proto.name
        output = name if step else self.proto.output[0]
        self.layers.append(Layer(name, create, arguments, tuple(inputs or [self.input()]), output, **more))
        return output

    def skip(self) -> None:
        """Adds no layer, since the node has no effect: its output is its input."""
        self.plan.alias[self.proto.output[0]] = self.input()


class Plan:
    """All layers of a network in order, and the ``problems`` that keep the list from being complete."""

    def __init__(self, graph: onnx.GraphProto, shapes: dict[str, list[int | None]], opset: int) -> None:
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.shapes = shapes
        self.opset = opset
        self.alias: dict[str, str] = {}
        self.layers: list[Layer] = []
        self.problems: Counter[str] = Counter()
        self.input = next(value.name for value in graph.input if value.name not in self.constants)
        self._graph = graph

    @property
    def outputs(self) -> list[str]:
        """Names of the tensors that the graph returns."""
        return [self.alias.get(value.name, value.name) for value in self._graph.output]

    def shape(self, name: str) -> list[int | None]:
        if name not in self.shapes:
            raise Unsupported("its sizes are not known")
        return self.shapes[name]

    def readers(self) -> Counter[str]:
        """How many layers read each tensor; being an output of the graph counts as one more."""
        return Counter(name for layer in self.layers for name in layer.inputs) + Counter(self.outputs)
