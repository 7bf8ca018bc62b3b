"""Frees the batch axis of a network whose operators were exported for a fixed number of pictures.

Sizes are inferred for that number of pictures and for several times as many. Where the input of an operator grows with them
but its output does not, the operator fixes the batch size. IMPORT's check then compares numbers: a picture must give the same
outputs alone and together with others.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import onnx
from onnx import helper, numpy_helper

from sqlext.networks.sizes import MANY, shapes_at
from sqlext.networks.wiring import Shape, free_name, shown

ENDLESS = np.iinfo(np.int64).max
BROADCASTING = {"Add", "Sub", "Mul", "Div", "Where", "Max", "Min", "Pow"}
PASSES = 200  # a pass frees at least one operator


def free_batch(model: onnx.ModelProto, batch: int) -> list[str]:
    """Changes the operators that fix the batch size, and returns them, such as "'view' (Reshape)".

    :param batch: the number of pictures for which the graph was exported.
    """
    freed: dict[str, str] = {}
    for _ in range(PASSES):
        graph = _Graph(model, batch)
        changed = _pass(graph)
        freed |= {node.name: f"'{node.name}' ({node.op_type})" for node in changed if node.name in graph.fixing}
        graph.write()
        if not changed:
            break
    return list(freed.values())


def fixing_node(model: onnx.ModelProto, batch: int) -> str | None:
    """The first operator that still fixes the batch size, such as "'view' (Reshape to 1 x 19)"."""
    graph = _Graph(model, batch)
    for node in model.graph.node:
        grows = any(graph.growing(name) is not None for name in node.input)
        out = graph.one.get(node.output[0])
        if grows and node.op_type not in ("Shape", "Size") and graph.growing(node.output[0]) is None:
            return f"'{node.name}' ({node.op_type} to {shown(out)})" if out else f"'{node.name}' ({node.op_type})"
    return None


class _Graph:
    """A graph while its operators are changed: its sizes for one batch and for a larger one, its constants, new nodes."""

    def __init__(self, model: onnx.ModelProto, batch: int) -> None:
        self.model, self.batch = model, batch
        self.opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
        self.one, self.many = shapes_at(model, batch), shapes_at(model, MANY * batch)
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.producer = {name: node for node in model.graph.node for name in node.output}
        self.fixing: set[str] = set()  # nodes that fixed the batch size; others are only simplified
        self._before: dict[str, list[onnx.NodeProto]] = {}

    def growing(self, name: str) -> int | None:
        """The axis of a tensor that grows with the number of pictures, if there is exactly one."""
        return _growing(self.one.get(name), self.many.get(name))

    def sizes(self, name: str) -> Shape:
        """The sizes of a tensor for one batch; empty if they are unknown."""
        return self.one.get(name) or (list(self.constants[name].dims) if name in self.constants else [])

    def value(self, name: str) -> list[int] | None:
        """The numbers of a constant."""
        tensor = self.constants.get(name)
        return None if tensor is None else [int(n) for n in numpy_helper.to_array(tensor).reshape(-1)]

    def constant(self, base: str, values: object) -> str:
        """Adds a constant; returns its name."""
        name = free_name(self.model.graph, f"{base}_free")
        self.constants[name] = numpy_helper.from_array(np.asarray(values), name)
        self.model.graph.initializer.append(self.constants[name])
        return name

    def insert(self, before: onnx.NodeProto, *nodes: onnx.NodeProto) -> None:
        self._before.setdefault(before.name, []).extend(nodes)

    def write(self) -> None:
        """Puts the new nodes before those that read them."""
        nodes = [new for node in self.model.graph.node for new in (*self._before.get(node.name, []), node)]
        if self._before:
            nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
            del self.model.graph.node[:]
            self.model.graph.node.extend(nodes)


def _growing(one: Shape | None, many: Shape | None) -> int | None:
    if one is None or many is None or len(one) != len(many):
        return None
    axes = [axis for axis, (a, b) in enumerate(zip(one, many, strict=True)) if a != b]
    return axes[0] if len(axes) == 1 and None not in one and many[axes[0]] == MANY * (one[axes[0]] or 0) else None


def _pass(graph: _Graph) -> list[onnx.NodeProto]:
    """Frees the operators whose sizes are known. Behind a changed operator they are not, until the next pass."""
    changed, unknown = [], set[str]()
    for node in list(graph.model.graph.node):
        if unknown.isdisjoint(node.input) and not _free(graph, node):
            continue
        if unknown.isdisjoint(node.input):
            changed.append(node)
        unknown.update(node.output)
    return changed


def _free(graph: _Graph, node: onnx.NodeProto) -> bool:
    """Frees one operator; returns whether it was changed."""
    if node.domain:
        return False
    change = CHANGES.get(node.op_type) or (_repeated if node.op_type in BROADCASTING else None)
    return change is not None and change(graph, node)


def _reshape(graph: _Graph, node: onnx.NodeProto) -> bool:
    """Reshape to [1, -1], or to sizes that are computed: writes the known sizes, and -1 for the axis of the pictures."""
    data, out = graph.one.get(node.input[0]), graph.one.get(node.output[0])
    axis = graph.growing(node.input[0])
    if data is None or out is None or None in out or axis is None or len(node.input) != 2:
        return False
    before = prod(size or 0 for size in data[:axis])
    possible = [
        j for j in range(len(out)) if prod(size or 0 for size in out[:j]) == before and not (out[j] or 1) % graph.batch
    ]
    if not possible:
        return False
    place = axis if axis in possible else possible[0]
    wanted = [MANY * (size or 0) if j == place else size for j, size in enumerate(out)]
    right = graph.many.get(node.output[0]) == wanted
    is_constant = node.input[1] in graph.constants
    if right == is_constant:  # right sizes that are constant, or computed sizes that are not understood
        return False
    if not right:
        graph.fixing.add(node.name)
    node.input[1] = graph.constant(node.name, np.array([-1 if j == place else size for j, size in enumerate(out)]))
    del node.attribute[:]  # allowzero
    return True


def _expand(graph: _Graph, node: onnx.NodeProto) -> bool:
    """Expand to a fixed number of pictures: the axis of the pictures stays as it is."""
    axis, out = graph.growing(node.input[0]), graph.one.get(node.output[0])
    sizes = graph.value(node.input[1])
    if axis is None or out is None or sizes is None or graph.growing(node.output[0]) is not None:
        return False
    place = axis - len(graph.one[node.input[0]]) + len(sizes)
    if place < 0 or sizes[place] != graph.batch:
        return False
    sizes[place] = 1
    graph.fixing.add(node.name)
    node.input[1] = graph.constant(node.name, np.array(sizes))
    return True


def _slice(graph: _Graph, node: onnx.NodeProto) -> bool:
    """Slice that takes all pictures of the fixed number: it takes all of any number."""
    axis, data = graph.growing(node.input[0]), graph.one.get(node.input[0])
    if axis is None or data is None or len(node.input) < 3 or graph.growing(node.output[0]) is not None:
        return False
    starts, ends = graph.value(node.input[1]), graph.value(node.input[2])
    axes = graph.value(node.input[3]) if len(node.input) > 3 and node.input[3] else list(range(len(starts or [])))
    if starts is None or ends is None or axes is None or axis not in [a % len(data) for a in axes]:
        return False
    place = [a % len(data) for a in axes].index(axis)
    if starts[place] != 0 or ends[place] != data[axis]:
        return False
    ends[place] = int(ENDLESS)
    graph.fixing.add(node.name)
    node.input[2] = graph.constant(node.name, np.array(ends))
    return True


def _squeeze(graph: _Graph, node: onnx.NodeProto) -> bool:
    """Squeeze that removes the axis of a single picture, too: it removes only the others."""
    axis, data = graph.growing(node.input[0]), graph.one.get(node.input[0])
    given = next((list(a.ints) for a in node.attribute if a.name == "axes"), None)
    if len(node.input) > 1:
        given = graph.value(node.input[1])
    if axis is None or data is None or (given is not None and axis not in [a % len(data) for a in given]):
        return False
    axes = [a % len(data) for a in given] if given is not None else [i for i, size in enumerate(data) if size == 1]
    if axis in axes:
        axes.remove(axis)
        graph.fixing.add(node.name)
    del node.attribute[:], node.input[1:]
    if not axes:
        node.op_type = "Identity"
    elif graph.opset >= 13:
        node.input.append(graph.constant(node.name, np.array(axes)))
    else:
        node.attribute.append(helper.make_attribute("axes", axes))
    return True


def _concat(graph: _Graph, node: onnx.NodeProto) -> bool:
    """Concat of pictures with a constant for a fixed number of them, such as a class token: the constant is repeated."""
    growing = {graph.growing(name) for name in node.input} - {None}
    if len(growing) != 1:
        return False
    axis = growing.pop()
    model = next(name for name in node.input if graph.growing(name) is not None)
    changed = False
    for position, name in enumerate(node.input):
        sizes = graph.sizes(name)
        if axis is None or graph.growing(name) is not None or len(sizes) <= axis or sizes[axis] != graph.batch:
            continue
        single = name if graph.batch == 1 else _single(graph, name, axis)
        if single is not None:
            node.input[position] = _repeat(graph, node, single, axis, len(sizes), model)
            graph.fixing.add(node.name)
            changed = True
    return changed


def _repeated(graph: _Graph, node: onnx.NodeProto) -> bool:
    """Arithmetic with a constant that repeats its values for each picture of a fixed number."""
    growing = next((name for name in node.input if graph.growing(name) is not None), None)
    if growing is None or graph.batch == 1:
        return False
    from_end = len(graph.one[growing]) - (graph.growing(growing) or 0)
    changed = False
    for position, name in enumerate(node.input):
        dims = list(graph.constants[name].dims) if name in graph.constants else []
        if len(dims) < from_end or dims[-from_end] != graph.batch:
            continue
        single = _single(graph, name, len(dims) - from_end)
        if single is not None:
            node.input[position] = single
            graph.fixing.add(node.name)
            changed = True
    return changed


def _single(graph: _Graph, name: str, axis: int) -> str | None:
    """A constant with the values of one picture, if those of all pictures are equal."""
    node = graph.producer.get(name)
    if node is not None and node.op_type == "Expand":
        data, out = graph.sizes(node.input[0]), graph.sizes(name)
        return str(node.input[0]) if data == [*out[:axis], 1, *out[axis + 1 :]] else None
    if name not in graph.constants:
        return None
    values = numpy_helper.to_array(graph.constants[name])
    first = values.take([0], axis)
    return graph.constant(name, first) if np.array_equal(values, np.broadcast_to(first, values.shape)) else None


def _repeat(graph: _Graph, node: onnx.NodeProto, name: str, axis: int, rank: int, like: str) -> str:
    """Adds nodes that repeat a tensor along ``axis`` as often as ``like`` has pictures; returns their result."""
    base = free_name(graph.model.graph, f"{node.name}_{name}_repeated")
    count = graph.constant(f"{base}_axis", np.array([axis]))
    around = [graph.constant(f"{base}_{end}", np.ones(n, np.int64)) for end, n in (("a", axis), ("b", rank - axis - 1))]
    names = [f"{base}_{step}" for step in ("shape", "count", "sizes")]
    graph.insert(
        node,
        helper.make_node("Shape", [like], [names[0]], name=names[0]),
        helper.make_node("Gather", [names[0], count], [names[1]], name=names[1], axis=0),
        helper.make_node("Concat", [around[0], names[1], around[1]], [names[2]], name=names[2], axis=0),
        helper.make_node("Expand", [name, names[2]], [base], name=base),
    )
    return base


CHANGES: dict[str, Callable[[_Graph, onnx.NodeProto], bool]] = {
    "Reshape": _reshape,
    "Expand": _expand,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Concat": _concat,
}
