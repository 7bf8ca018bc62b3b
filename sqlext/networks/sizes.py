"""The sizes of a network's tensors for a batch of a given number of pictures, and the image sizes that fit its layers.

Exporters compute many sizes from the batch size. With numbers in place of a free batch axis, ONNX's inference finds them all.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import prod

import onnx
from onnx import shape_inference

from sqlext.networks.onnx_file import invalid
from sqlext.networks.wiring import Shapes, shown, sizes_of, skeleton

MANY = 3  # the factor between the two batch sizes that are compared
# The usual sizes are tried first, then all others up to the largest.
USUAL = (224, 256, 384, 448, 288, 299, 320, 336, 240, 260, 300, 380, 192, 160, 128, 112, 96, 64, 48, 32, 28, 512, 518)
LARGEST_TENSOR = 1 << 28  # numbers; as float32, they take 1 GB
LARGEST_SIDE = 1024  # larger pictures would need much memory to run
_MISFIT = re.compile(r"\(op_type:(\w+), node name: ([^)]*)\): \[ShapeInferenceError\]")


def shapes_at(model: onnx.ModelProto, batch: int) -> Shapes:
    """The sizes of all tensors for ``batch`` pictures. A tensor behind layers that do not fit has none."""
    return dict(_inferred(_fixed(model, batch).SerializeToString(deterministic=True)))


@lru_cache(maxsize=4)  # reading asks again and again for the sizes of the same graph, for two batch sizes
def _inferred(skeleton: bytes) -> Shapes:
    try:
        model = onnx.ModelProto.FromString(skeleton)
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # the exception class of onnx's C++ library; the caller reports what has no sizes
        return {}
    values = [*graph.input, *graph.value_info, *graph.output]
    found = {value.name: sizes_of(value.type.tensor_type) for value in values}
    return {name: sizes for name, sizes in found.items() if sizes is not None}


def free_shapes(model: onnx.ModelProto, batch: int) -> Shapes:
    """The sizes of all tensors; None stands for those that depend on the number of pictures."""
    one, many = shapes_at(model, batch), shapes_at(model, MANY * batch)
    return {
        name: [size if size == other else None for size, other in zip(sizes, many[name], strict=True)]
        for name, sizes in one.items()
        if len(many.get(name, [])) == len(sizes) and name in many
    }


def check_tensor_sizes(model: onnx.ModelProto, shapes: Shapes) -> None:
    """Refuses a network that would need a huge amount of memory, such as for an Expand to sizes of a crafted file.

    :raises SqlExtError: INVALID_NETWORK, naming the first tensor that is too large.
    """
    for node in model.graph.node:
        for name in node.output:
            sizes = shapes.get(name) or []
            if prod(size or 1 for size in sizes) > LARGEST_TENSOR:
                raise invalid(
                    f"'{node.name}' ({node.op_type}) makes '{name}', which is {shown(sizes)}: more than {LARGEST_TENSOR:,} "
                    "numbers are not supported"
                )


def check_image_size(model: onnx.ModelProto, batch: int, side: int) -> None:
    """Refuses an image size that does not fit the layers of a network that leaves it open.

    :raises SqlExtError: INVALID_NETWORK, with the size that fits.
    """
    misfit = _misfit(model, batch, side)
    if misfit is None:
        return
    beginning = onnx.ModelProto()
    beginning.CopyFrom(model)
    last = next(i for i, node in enumerate(model.graph.node) if node.name == misfit[1])
    del beginning.graph.node[last + 1 :], beginning.graph.output[:]
    beginning.graph.output.append(onnx.ValueInfoProto(name=model.graph.node[last].output[0]))
    beginning = skeleton(beginning)
    for size in dict.fromkeys((*USUAL, *range(1, LARGEST_SIDE + 1))):
        if _misfit(beginning, batch, size) is None and _misfit(model, batch, size) is None:
            raise invalid(
                f"pictures of {side} x {side} do not fit its layers: '{misfit[1]}' ({misfit[0]}) takes another size; "
                f"OPTIONS (image_size = {size}) fits"
            )
    raise invalid(
        f"pictures of {side} x {side} do not fit its layers at '{misfit[1]}' ({misfit[0]}), nor does any other size up to "
        f"{LARGEST_SIDE}: export it again with the height and width of its pictures"
    )


def _misfit(model: onnx.ModelProto, batch: int, side: int) -> tuple[str, str] | None:
    """The operator and the name of the first node whose inputs do not fit together."""
    trial = _fixed(model, batch)
    for dim in trial.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_value = side
    try:
        shape_inference.infer_shapes(trial, data_prop=True, strict_mode=True)
    except Exception as error:
        found = _MISFIT.search(str(error))
        return (found[1], found[2]) if found else None
    return None


def _fixed(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """A copy without large weights that takes exactly ``batch`` pictures."""
    result = skeleton(model)
    result.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    return result
