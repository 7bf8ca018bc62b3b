"""Makes a tensor of a network N x width of float32, by adding nodes after it that have the names of their outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sqlext.networks.channels import channel_axis
from sqlext.networks.onnx_file import invalid
from sqlext.networks.quantised import dequantised
from sqlext.networks.unknown_sizes import why_fixed, why_unknown
from sqlext.networks.wiring import Shapes, free_name, shown, types_of


def as_float(model: onnx.ModelProto, name: str) -> str:
    """The tensor as float32: 8-bit numbers are multiplied with their scale, other types are cast."""
    restored = dequantised(model, name)
    kind = types_of(model).get(restored)
    if restored != name or kind is None or kind.elem_type in (TensorProto.FLOAT, TensorProto.UNDEFINED):
        return restored
    return _added(model, "Cast", name, "_float", to=TensorProto.FLOAT)


def copied(model: onnx.ModelProto, name: str) -> str:
    """The same tensor under another name."""
    return _added(model, "Identity", name, "_copy")


def flat(model: onnx.ModelProto, name: str, shapes: Shapes, batch: int, *, pool: bool) -> str:
    """The tensor as N x width.

    :param batch: the number of pictures for which the graph was exported.
    :param pool: height and width may be averaged.
    :raises SqlExtError: INVALID_NETWORK if the tensor is not one vector, or one stack of maps, per picture.
    """
    shape = shapes.get(name)
    if shape is None:
        raise invalid(why_unknown(model, name, shapes, batch))
    if shape and shape[0] is not None:
        raise invalid(why_fixed(model, name, shapes, batch))
    sizes = shape[1:]
    if shape == [None]:
        return _column(model, name)
    single = None not in sizes and sum(size != 1 for size in sizes) <= 1
    if not sizes or None in sizes or not (single or len(sizes) == 3):
        raise invalid(f"'{name}' is {shown(shape)}, not N x width; name another one: OPTIONS (embedding = '...')")
    if len(sizes) == 1:
        return name
    if not single and not pool:
        raise invalid(f"'{name}' is {shown(shape)}, not scores per image; name those: OPTIONS (output = '...')")
    return _added(model, "Flatten", name if single else _pooled(model, name, shapes), "_flat", axis=1)


def _pooled(model: onnx.ModelProto, name: str, shapes: Shapes) -> str:
    """The mean over height and width."""
    axis = channel_axis(model, name, shapes)
    if axis is None:
        raise invalid(
            f"'{name}' is {shown(shapes[name])}, and its operators do not say which axis holds the channels, so its mean "
            "over height and width is unknown; name another tensor: OPTIONS (embedding = '...')"
        )
    if axis != 1:
        name = _added(model, "Transpose", name, "_first", perm=[0, 3, 1, 2])
    return _added(model, "GlobalAveragePool", name, "_pooled")


def _added(model: onnx.ModelProto, operator: str, name: str, ending: str, **attributes: Any) -> str:
    """The result of a new node that reads one tensor."""
    result = free_name(model.graph, f"{name}{ending}")
    model.graph.node.append(helper.make_node(operator, [name], [result], name=result, **attributes))
    return result


def _column(model: onnx.ModelProto, name: str) -> str:
    """One number per picture as N x 1."""
    column = free_name(model.graph, f"{name}_flat")
    sizes = free_name(model.graph, f"{column}_sizes")
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 1]), sizes))
    model.graph.node.append(helper.make_node("Reshape", [name, sizes], [column], name=column))
    return column
