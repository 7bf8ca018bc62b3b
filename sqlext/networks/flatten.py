"""Makes a tensor of a network N x width of float32, by adding nodes after it that have the names of their outputs."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sqlext.networks.onnx_file import invalid
from sqlext.networks.quantised import dequantised
from sqlext.networks.unknown_sizes import why_fixed, why_unknown
from sqlext.networks.wiring import Shapes, shown, types_of


def as_float(model: onnx.ModelProto, name: str) -> str:
    """The tensor as float32: 8-bit numbers are multiplied with their scale, other types are cast."""
    restored = dequantised(model, name)
    kind = types_of(model).get(restored)
    if restored != name or kind is None or kind.elem_type in (TensorProto.FLOAT, TensorProto.UNDEFINED):
        return restored
    cast = f"{name}_float"
    model.graph.node.append(helper.make_node("Cast", [name], [cast], name=cast, to=TensorProto.FLOAT))
    return cast


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
    result = f"{name}_flat"
    if not single:
        if not pool:
            raise invalid(f"'{name}' is {shown(shape)}, not scores per image; name those: OPTIONS (output = '...')")
        name = _pooled(model, name, sizes)
        result = f"{name}_flat"
    model.graph.node.append(helper.make_node("Flatten", [name], [result], name=result, axis=1))
    return result


def _pooled(model: onnx.ModelProto, name: str, sizes: list[int | None]) -> str:
    """The average over height and width of a stack of maps, which may have its channels last."""
    maps = name
    if _channels_last(model, name, sizes):
        maps = f"{name}_channels_first"
        model.graph.node.append(helper.make_node("Transpose", [name], [maps], name=maps, perm=[0, 3, 1, 2]))
    pooled = f"{name}_pooled"
    model.graph.node.append(helper.make_node("GlobalAveragePool", [maps], [pooled], name=pooled))
    return pooled


def _channels_last(model: onnx.ModelProto, name: str, sizes: list[int | None]) -> bool:
    """Pictures are square, so the two equal sizes are height and width; if all are equal, a product reads channels last."""
    first, second, third = sizes
    if second != third:
        return first == second
    return first == second and any(n.op_type in ("MatMul", "Gemm") and name in n.input[:1] for n in model.graph.node)


def _column(model: onnx.ModelProto, name: str) -> str:
    """One number per picture as N x 1."""
    column = f"{name}_flat"
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 1]), f"{column}_sizes"))
    model.graph.node.append(helper.make_node("Reshape", [name, f"{column}_sizes"], [column], name=column))
    return column
