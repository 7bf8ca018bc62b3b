"""The graphs inside the nodes of a graph: the branches of If, the bodies of Loop and Scan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx


def inside(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node has in its attributes, without those inside them."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and all graphs inside its nodes."""
    yield graph
    yield from within(graph.node)


def within(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """All graphs inside these nodes."""
    for node in nodes:
        for graph in inside(node):
            yield from all_graphs(graph)


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """All names that a node reads, including those that the graphs inside it read from outside."""
    yield from (name for name in node.input if name)
    yield from _from_outside(node)


def captured(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """The names that only the graphs inside these nodes read."""
    return {name for node in nodes for name in _from_outside(node)}


def _from_outside(node: onnx.NodeProto) -> Iterator[str]:
    for graph in inside(node):
        own = {name for inner in graph.node for name in inner.output} | {t.name for t in graph.initializer}
        own |= {value.name for value in graph.input}
        yield from (name for inner in graph.node for name in reads(inner) if name not in own)
        yield from (value.name for value in graph.output if value.name not in own)
