"""Which axis of a tensor with four axes holds the channels: N x C x H x W, or N x H x W x C as in Swin and ConvNeXt.

The nearest operator that treats one axis as channels decides: a convolution takes axis 1, a Linear layer takes the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from onnx import helper

from sqlext.networks.contrib import operator
from sqlext.networks.wiring import Shapes, Wiring

_RANK = 4
_SECOND = {
    *("Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN"),
    *("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "DepthToSpace", "SpaceToDepth"),
}
_LINEAR = {"MatMul", "Gemm"}
# Operators that combine tensors with different axes, or read one axis as another.
_MIXING = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Einsum", "Gather", "Shape", "Size"}

# A tensor, and for each axis of the first tensor of the search the axis of this tensor.
_Place = tuple[str, tuple[int, ...]]


def channel_axis(model: onnx.ModelProto, name: str, shapes: Shapes) -> int | None:
    """The axis of the channels: 1 or 3; None if no operator around the tensor tells, or the nearest ones contradict."""
    wiring = Wiring(model.graph)
    places: list[_Place] = [(name, tuple(range(_RANK)))]
    seen = {name}
    while places:
        around = [(node, place) for place in places for node in wiring.around(place[0])]
        told = {(_channels_of(wiring, node, tensor, shapes), axes) for node, (tensor, axes) in around}
        found = {axes.index(axis) for axis, axes in told if axis is not None}
        if found:
            return found.pop() if found in ({1}, {3}) else None
        places = []
        for node, (tensor, axes) in around:
            for neighbour in _neighbours(wiring, node, tensor, axes):
                if neighbour[0] not in seen and len(shapes.get(neighbour[0]) or ()) == _RANK:
                    seen.add(neighbour[0])
                    places.append(neighbour)
    return None


def _channels_of(wiring: Wiring, node: onnx.NodeProto, tensor: str, shapes: Shapes) -> int | None:
    """The axis of a tensor that an operator treats as channels, when it reads or computes the tensor."""
    kind, carried = operator(node), wiring.activations(node)
    if kind in _SECOND:
        return 1
    if kind in _LINEAR:  # a product of two activations is attention, whose axes have other meanings
        takes_last = carried == [node.input[0]] and tensor in (node.input[0], node.output[0])
        return _RANK - 1 if takes_last else None
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if kind.endswith("LayerNormalization"):
        return _RANK - 1 if attributes.get("axis", -1) in (-1, _RANK - 1) else None
    if kind.startswith("Reduce"):
        return _reduced(wiring, node, attributes.get("axes")) if tensor in carried else None
    return None if kind in _MIXING else _of_constants(wiring, node, shapes)


def _reduced(wiring: Wiring, node: onnx.NodeProto, written: Iterable[int] | None) -> int | None:
    """The axis that remains after a mean over height and width. A mean over one axis may be of any of them."""
    constant = wiring.value(node.input[1]) if len(node.input) > 1 else None
    axes = {int(axis) % _RANK for axis in (written if constant is None else constant.reshape(-1)) or ()}
    return {frozenset({2, 3}): 1, frozenset({1, 2}): 3}.get(frozenset(axes))


def _of_constants(wiring: Wiring, node: onnx.NodeProto, shapes: Shapes) -> int | None:
    """The axis along which an operator applies one learned number per channel."""
    if node.op_type not in ("Add", "Sub", "Mul", "Div", "PRelu"):
        return None
    for name in node.input:
        sizes = list(value.shape) if (value := wiring.value(name)) is not None else shapes.get(name) or []
        large = [axis - len(sizes) + _RANK for axis, size in enumerate(sizes) if size != 1]
        if name not in wiring.carrying and len(large) == 1 and large[0] > 0:
            return large[0]
    return None


def _neighbours(wiring: Wiring, node: onnx.NodeProto, tensor: str, axes: tuple[int, ...]) -> Iterator[_Place]:
    """The other tensors of an operator that keeps the axes or changes their order."""
    kind = operator(node)
    if kind in _MIXING | _LINEAR:
        return
    if kind == "Transpose":
        written = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
        order = list(range(_RANK))[::-1] if written is None else written
        if len(order) != _RANK:
            return
        if tensor == node.output[0]:
            yield node.input[0], tuple(order[axis] for axis in axes)
        else:
            yield node.output[0], tuple(order.index(axis) for axis in axes)
        return
    yield from ((name, axes) for name in (*wiring.activations(node), *node.output) if name)
