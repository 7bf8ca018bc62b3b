"""Makes the input of a network N x 3 x S x S of float32, whatever type and order of axes the file has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import onnx
from onnx import TensorProto, helper

from sqlext.networks.onnx_file import invalid
from sqlext.networks.own_normalisation import DEFAULT_SIZE, Expected, normalised_inside
from sqlext.networks.subgraphs import reads
from sqlext.networks.wiring import Shape, Wiring, free_name, shapes_of, shown, sizes_of, types_of

# Integer inputs take pixel values; those of int8 are moved to its range.
BOUNDS: dict[int, tuple[int, int]] = {
    TensorProto.UINT8: (0, 255),
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT16: (0, 65535),
    TensorProto.INT16: (-32768, 32767),
    TensorProto.INT32: (-(1 << 31), (1 << 31) - 1),
    TensorProto.UINT32: (0, (1 << 32) - 1),
    TensorProto.INT64: (-(1 << 63), (1 << 63) - 1),
    TensorProto.UINT64: (0, (1 << 64) - 1),
}
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
FIRST, LAST = [0, 3, 1, 2], [0, 2, 3, 1]  # the permutations that put the channels first, and last
WANTED = "not N x 3 x S x S (a batch of images)"
# ONNX's names for how pictures are prepared, in the metadata of a file.
_FORMAT, _RANGE, _GAMMA = "Image.BitmapPixelFormat", "Image.NominalPixelRange", "Image.ColorSpaceGamma"
PIXEL_FORMATS = {"Bgr8": "bgr", "Rgb8": "rgb"}
PIXEL_RANGES = {
    "NominalRange_0_255": (1.0, 0.0, 1.0),
    "Normalized_0_1": (1 / 255, 0.0, 1.0),
    "Normalized_1_1": (1 / 255, 0.5, 0.5),
}


@dataclass(frozen=True)
class InputSpec:
    """What a network takes: the ``preprocessing`` that its graph suggests, ``bounds`` of its whole numbers (None: it takes
    decimal numbers), and notes for the user.
    """

    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    bounds: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


class ImageInput(NamedTuple):
    """The tensor ``source`` takes pictures of ``side`` x ``side``; ``free_size``: the file leaves the size open.

    ``batch``: the number of pictures for which the graph was exported, 1 if it is free.
    """

    source: str
    side: int
    batch: int
    free_size: bool
    input_spec: InputSpec


def choose_input(model: onnx.ModelProto, named: str | None) -> str:
    """The tensor that the user named, or else the only input that can be a picture.

    :raises SqlExtError: INVALID_NETWORK, listing the inputs.
    """
    wiring = Wiring(model.graph)
    if named is not None:
        return wiring.tensor(named)
    names = [value.name for value in wiring.inputs]
    sizes = {value.name: sizes_of(value.type.tensor_type) for value in wiring.inputs}
    possible = [name for name in names if len(sizes[name] or []) == 4]
    if len(names) == 1 or len(possible) == 1:
        return str((possible or names)[0])
    listed = ", ".join(f"'{name}'" for name in names) or "none"
    shapes = ", ".join(f"'{name}' is {shown(sizes[name])}" for name in names)
    raise invalid(
        f"it has {len(names)} inputs ({listed}); name one: OPTIONS (input = '...')" + (shapes and f"; {shapes}")
    )


def take_pictures(
    model: onnx.ModelProto, source: str, image_size: int | None, metadata: Mapping[str, str]
) -> ImageInput:
    """Changes the graph so that a tensor takes N x 3 x S x S of float32.

    :raises SqlExtError: INVALID_NETWORK if the input is not a batch of square pictures of three colours.
    """
    kind = types_of(model).get(source) or onnx.TypeProto.Tensor()
    shape, number = sizes_of(kind), kind.elem_type or TensorProto.FLOAT
    _check_type(source, number)
    last = _is_channels_last(model, source, shape)
    side = _side(source, shape, last, image_size)
    entry, still_last, type_there = _entry(model, source, last, number)
    if still_last or type_there != TensorProto.FLOAT:
        entry = _adapted(model, entry, still_last, type_there)
    notes = []
    if last:
        notes.append(f"its input '{source}' has the channels last; pictures enter at '{entry}' with the channels first")
    found = _expected(_from_metadata(metadata), normalised_inside(model, entry, side))
    if number in BOUNDS:
        found = _whole_numbers(number, found)
    if found.note:
        notes.append(found.note)
    input_spec = InputSpec(found.preprocessing, BOUNDS.get(number), tuple(notes))
    sizes = shape or []
    return ImageInput(entry, side, sizes[0] or 1, None in sizes[1:], input_spec)


def _check_type(name: str, number: int) -> None:
    if number == TensorProto.STRING:
        raise invalid(
            f"input '{name}' takes text or encoded pictures: export the network with an input for the decoded pixels"
        )
    if number not in BOUNDS and number not in FLOATS:
        raise invalid(f"input '{name}' takes {TensorProto.DataType.Name(number).lower()}, {WANTED}")


def _is_channels_last(model: onnx.ModelProto, name: str, shape: Shape | None) -> bool:
    """Whether a picture's axes are height, width, channels.

    :raises SqlExtError: INVALID_NETWORK if it has not three channels in either order.
    """
    if shape is not None and len(shape) == 3:
        raise invalid(f"input '{name}' is {shown(shape, batch=False)}, one picture without a batch axis, {WANTED}")
    if shape is None or len(shape) != 4:
        raise invalid(f"input '{name}' is {shown(shape)}, {WANTED}")
    if shape[1] == 3:
        return False
    if shape[3] == 3:
        return True
    if shape[1] is None and shape[3] is None:
        return _channels_fit(model, name, ["N", 224, 224, 3]) and not _channels_fit(model, name, ["N", 3, 224, 224])
    if shape[1] is None:
        return False
    colours = shape[1] if shape[1] < 10 else shape[3] or shape[1]
    grey = ": it takes grey pictures, but only pictures of three colours are supported" if colours == 1 else ""
    other = (
        f": it takes {colours} channels, but only pictures of three colours are supported" if 1 < colours < 10 else ""
    )
    raise invalid(f"input '{name}' is {shown(shape)}, {WANTED}{grey or other}")


def _channels_fit(model: onnx.ModelProto, name: str, sizes: list[str | int]) -> bool:
    """Whether the first convolution gets the number of channels that its weights have, if the input has these sizes."""
    trial = onnx.ModelProto()
    trial.CopyFrom(model)
    for value in trial.graph.input:
        if value.name == name:
            value.CopyFrom(helper.make_tensor_value_info(name, value.type.tensor_type.elem_type, sizes))
    shapes = shapes_of(trial)
    weights = {tensor.name: list(tensor.dims) for tensor in trial.graph.initializer}
    for node in trial.graph.node:
        known, weight = shapes.get(node.input[0]) if node.input else None, weights.get((*node.input, "", "")[1])
        if node.op_type == "Conv" and known and weight and known[1] is not None:
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            return bool(known[1] == weight[1] * groups)
    return True


def _side(name: str, shape: Shape | None, last: bool, image_size: int | None) -> int:
    """The side of the square picture."""
    height, width = (shape or [None] * 4)[1:3] if last else (shape or [None] * 4)[2:]
    side = height or width or image_size or DEFAULT_SIZE
    if (height or side) != (width or side):
        raise invalid(f"input '{name}' is {shown(shape)}: only square images are supported")
    if image_size not in (None, side):
        raise invalid(f"image_size = {image_size}, but its input '{name}' is {shown(shape)}")
    return side


def _entry(model: onnx.ModelProto, source: str, last: bool, number: int) -> tuple[str, bool, int]:
    """Moves the input behind a Transpose that puts the channels first and a Cast to float32, if the graph starts with them."""
    while last or number != TensorProto.FLOAT:
        readers = [node for node in model.graph.node if source in reads(node)]
        if len(readers) != 1 or source in {output.name for output in model.graph.output}:
            return source, last, number
        reader = readers[0]
        attributes = {a.name: helper.get_attribute_value(a) for a in reader.attribute}
        if last and reader.op_type == "Transpose" and list(attributes.get("perm", ())) == FIRST:
            last = False
        elif reader.op_type == "Cast" and number != TensorProto.FLOAT and attributes.get("to") == TensorProto.FLOAT:
            number = TensorProto.FLOAT
        elif reader.op_type != "Identity":
            return source, last, number
        source = reader.output[0]
    return source, last, number


def _adapted(model: onnx.ModelProto, source: str, last: bool, number: int) -> str:
    """Adds a new input of float32 with the channels first, from which ``source`` is computed; returns its name."""
    entry = free_name(model.graph, f"{source}_pictures")
    nodes, current = [], entry
    for node in model.graph.node:  # the part of the graph before an inner tensor is dropped later
        node.output[:] = [free_name(model.graph, f"{name}_before") if name == source else name for name in node.output]
    if last:
        between = source if number == TensorProto.FLOAT else free_name(model.graph, f"{source}_transposed")
        nodes.append(
            helper.make_node(
                "Transpose", [current], [between], name=free_name(model.graph, f"{source}_transpose"), perm=LAST
            )
        )
        current = between
    if number != TensorProto.FLOAT:
        nodes.append(
            helper.make_node("Cast", [current], [source], name=free_name(model.graph, f"{source}_cast"), to=number)
        )
    rest = list(model.graph.node)
    inputs = [value for value in model.graph.input if value.name != source]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend([*nodes, *rest])
    model.graph.input.extend([*inputs, helper.make_tensor_value_info(entry, TensorProto.FLOAT, ["N", 3, None, None])])
    return entry


def _expected(said: Expected, inside: Expected) -> Expected:
    """What the metadata say wins, key by key: a file may name the order of its colours only."""
    complete = bool(said.preprocessing) and inside.preprocessing.keys() <= said.preprocessing.keys()
    notes = filter(None, (said.note, "" if complete else inside.note))
    return Expected({**inside.preprocessing, **said.preprocessing}, ", and ".join(notes))


def _from_metadata(metadata: Mapping[str, str]) -> Expected:
    """How pictures are prepared, if the file says so under ONNX's own names for it."""
    values: dict[str, Any] = {}
    if (color := PIXEL_FORMATS.get(metadata.get(_FORMAT, ""))) is not None:
        values["color"] = color
    if (numbers := PIXEL_RANGES.get(metadata.get(_RANGE, ""))) is not None:
        scale, mean, std = numbers
        values |= {"scale": scale, "mean": (mean,) * 3, "std": (std,) * 3}
    known = {_FORMAT: [*PIXEL_FORMATS], _RANGE: [*PIXEL_RANGES], _GAMMA: ["SRGB"]}
    others = [f"{key} = {metadata[key]}" for key, names in known.items() if metadata.get(key, names[0]) not in names]
    notes = ["its metadata says how pictures are prepared"] if values else []
    if others:
        notes.append(
            f"its metadata asks for {', '.join(others)}, which is not supported: check color, scale, mean and std"
        )
    return Expected(values, ", and ".join(notes))


def _whole_numbers(number: int, found: Expected) -> Expected:
    name = TensorProto.DataType.Name(number).lower()
    offset = 128.0 if number == TensorProto.INT8 else 0.0
    what = "the pixel values minus 128" if offset else "the pixel values 0 to 255"
    color = {key: value for key, value in found.preprocessing.items() if key == "color"}
    values = {"scale": 1.0, "mean": (offset,) * 3, "std": (1.0,) * 3}
    return Expected(color | values, f"its input is {name}, so it gets {what}")
