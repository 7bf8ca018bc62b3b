"""Reads BigDL's network files as data: a protobuf definition, with the weights inside it or in a second file.

BigDL's own loader constructs any class that a file names, so it must not read a user's file. Here class names are only text,
compared with a list of packages before anything else is read. ``bigdl.proto`` declares the fields that are read.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from sqlext.networks.bigdl_pb2 import AttrValue, BigDLModule, BigDLTensor, DataType
from sqlext.networks.onnx_file import invalid
from sqlext.networks.other_files import name_kind

Array = NDArray[np.float32]

_PACKAGES = (
    "com.intel.analytics.bigdl.dllib.nn.",
    "com.intel.analytics.bigdl.nn.",
    "com.intel.analytics.bigdl.dllib.keras.",
    "com.intel.analytics.zoo.pipeline.api.keras.",
)
_MAGIC = 3721  # the first number of a weights file
# The type of an attribute -> the field that holds its value.
_VALUES = {
    DataType.INT32: "int32Value",
    DataType.INT64: "int64Value",
    DataType.FLOAT: "floatValue",
    DataType.DOUBLE: "doubleValue",
    DataType.STRING: "stringValue",
    DataType.BOOL: "boolValue",
    DataType.TENSOR: "tensorValue",
    DataType.NAME_ATTR_LIST: "nameAttrListValue",
    DataType.ARRAY_VALUE: "arrayValue",
    DataType.DATA_FORMAT: "dataFormatValue",
}


class BigDLFile:
    """A parsed definition with its weights. ``root`` is the outermost module; every class in it is from BigDL's packages.

    :raises SqlExtError: INVALID_NETWORK for another kind of file, damaged weights, or a class from another package.
    """

    def __init__(self, definition: bytes, weights: bytes | None, path: str) -> None:
        self.path = path
        self.root: BigDLModule = _parse(definition)
        for name in _classes(self.root):
            if not name.startswith(_PACKAGES):
                raise invalid(f"'{path}' names class {name}, which is not a network layer; nothing was loaded")
        self._storages = dict(_inner_storages(self.root))
        if weights is not None:
            self._storages |= _weights(weights, path)

    def tensor(self, tensor: BigDLTensor) -> Array | None:
        """The values of a tensor, or None if it is empty.

        :raises SqlExtError: INVALID_NETWORK if its weights are missing or too short for it.
        """
        sizes, strides = list(tensor.size), list(tensor.stride)
        if not sizes:
            return None
        storage = self._storages.get(tensor.storage.id)
        if storage is None:
            raise invalid(
                f"the weights of '{self.path}' are in a second file, which must be in the same folder and have the same "
                "name, with .weights or .bin appended (or in place of its extension)"
            )
        first = max(tensor.offset - 1, 0)
        last = first + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=False))
        if len(sizes) != len(strides) or min(sizes) < 1 or min(strides) < 0 or last >= len(storage):
            raise invalid(f"a tensor of '{self.path}' extends beyond its weights")
        view = np.lib.stride_tricks.as_strided(storage[first:], sizes, [stride * 4 for stride in strides])
        return np.ascontiguousarray(view, np.float32)

    def weights_of(self, module: BigDLModule) -> list[Array]:
        """A layer's weight, bias and other parameters; older files store the first two in separate fields."""
        tensors = module.parameters if module.hasParameters else [module.weight, module.bias]
        found = (self.tensor(tensor) for tensor in tensors)
        return [array for array in found if array is not None]

    def attribute(self, module: BigDLModule, name: str, default: Any = None) -> Any:
        """The value of an attribute (a number, string, list or array), or ``default`` if the file does not set it."""
        if name not in module.attr:
            return default
        value = module.attr[name]
        found = getattr(value, _VALUES[value.dataType]) if value.dataType in _VALUES else default
        if value.dataType == DataType.TENSOR:
            return self.tensor(found) if value.HasField("tensorValue") else default
        if value.dataType == DataType.ARRAY_VALUE:
            return list(found.i32) or list(found.dbl) or list(found.flt) or list(found.str)
        return found


def _parse(data: bytes) -> BigDLModule:
    kind = name_kind(data)
    if kind is not None:
        raise invalid(f"it is {kind}, not a BigDL definition as written by saveModel")
    module = BigDLModule()
    try:
        module.ParseFromString(data)
    except Exception:  # protobuf's DecodeError, whose module differs between its releases
        module.Clear()
    if not module.moduleType:
        hint = "; it is an ONNX network: write FORMAT ONNX" if _is_onnx(data) else ""
        raise invalid(f"it is not a BigDL definition as written by saveModel{hint}")
    return module


def _is_onnx(data: bytes) -> bool:
    try:
        return bool(onnx.load_from_string(data).graph.node)
    except Exception:  # protobuf's DecodeError again
        return False


def _classes(message: Any) -> Iterator[str]:
    """Every class that BigDL's loader would construct."""
    if isinstance(message, BigDLModule):
        yield message.moduleType
    if isinstance(message, AttrValue) and (message.customValue or message.arrayValue.custom):
        yield f"of a custom attribute ({message.subType})"
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            children = list(value.values())
        else:
            children = [value] if hasattr(value, "ListFields") else list(value)
        for child in children:
            yield from _classes(child)


def _inner_storages(module: BigDLModule) -> Iterator[tuple[int, Array]]:
    """The weights in the definition itself, as (id, values): at its root or, if that is wrapped, one level below."""
    for holder in (module, *module.subModules):
        if "global_storage" not in holder.attr:
            continue
        for value in holder.attr["global_storage"].nameAttrListValue.attr.values():
            storage = value.tensorValue.storage
            data = storage.float_data if len(storage.float_data) else storage.double_data
            if len(data):
                yield storage.id, np.asarray(data, np.float32)


def _weights(data: bytes, path: str) -> dict[int, Array]:
    """Reads BigDL's weights file.

    It is big-endian: magic number, count, (id, type, length, values) for each storage, MD5 of all preceding bytes.
    """
    try:
        magic, count = struct.unpack_from(">ii", data)
        position, found = 8, {}
        for _ in range(count):
            number, kind, length = struct.unpack_from(">iii", data, position)
            dtype = np.dtype({0: ">f4", 1: ">f8"}[kind])
            found[number] = np.frombuffer(data, dtype, length, position + 12).astype(np.float32)
            position += 12 + dtype.itemsize * length
        (size,) = struct.unpack_from(">i", data, position)
        fine = magic == _MAGIC and data[position + 4 : position + 4 + size] == hashlib.md5(data[:position]).digest()  # noqa: S324
    except (struct.error, ValueError, KeyError):
        fine = False
    if not fine:
        raise invalid(f"the weights of '{path}' are damaged: their checksum differs")
    return found
