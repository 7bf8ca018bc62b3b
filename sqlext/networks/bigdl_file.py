"""Reads BigDL's network files as data: a protobuf definition, with the weights inside it or in a second file.

BigDL's own loader constructs any class that a file names, so it must not read a user's file. Here class names are only text,
compared with a list of packages before anything else is read. Field numbers are those of BigDL's bigdl.proto; only the
fields that are read are declared.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import onnx
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import NDArray

from sqlext.networks.onnx_file import invalid
from sqlext.networks.other_files import name_kind

Array = NDArray[np.float32]
Module = Any  # a protobuf message of the type _MESSAGES["Module"]

_PACKAGES = (
    "com.intel.analytics.bigdl.dllib.nn.",
    "com.intel.analytics.bigdl.nn.",
    "com.intel.analytics.bigdl.dllib.keras.",
    "com.intel.analytics.zoo.pipeline.api.keras.",
)
_MAGIC = 3721  # the first number of a weights file
# Message -> field -> (number, type, '', 'many' or 'map'). Scalar types are in capitals; the keys of a map are strings.
_MESSAGES: dict[str, dict[str, tuple[int, str, str]]] = {
    "Module": {
        "name": (1, "STRING", ""),
        "subModules": (2, "Module", "many"),
        "weight": (3, "Tensor", ""),
        "bias": (4, "Tensor", ""),
        "preModules": (5, "STRING", "many"),
        "moduleType": (7, "STRING", ""),
        "attr": (8, "Attribute", "map"),
        "namePostfix": (11, "STRING", ""),
        "hasParameters": (15, "BOOL", ""),
        "parameters": (16, "Tensor", "many"),
    },
    "Tensor": {
        "size": (2, "INT32", "many"),
        "stride": (3, "INT32", "many"),
        "offset": (4, "INT32", ""),
        "nElements": (6, "INT32", ""),
        "storage": (8, "Storage", ""),
    },
    "Storage": {"float_data": (2, "FLOAT", "many"), "double_data": (3, "DOUBLE", "many"), "id": (9, "INT32", "")},
    "Attribute": {
        "dataType": (1, "INT32", ""),
        "subType": (2, "STRING", ""),
        "int32Value": (3, "INT32", ""),
        "int64Value": (4, "INT64", ""),
        "floatValue": (5, "FLOAT", ""),
        "doubleValue": (6, "DOUBLE", ""),
        "stringValue": (7, "STRING", ""),
        "boolValue": (8, "BOOL", ""),
        "tensorValue": (10, "Tensor", ""),
        "bigDLModuleValue": (13, "Module", ""),
        "nameAttrListValue": (14, "Named", ""),
        "arrayValue": (15, "Values", ""),
        "dataFormatValue": (16, "INT32", ""),
        "customValue": (17, "BYTES", ""),
    },
    "Values": {
        "i32": (3, "INT32", "many"),
        "flt": (5, "FLOAT", "many"),
        "dbl": (6, "DOUBLE", "many"),
        "str": (7, "STRING", "many"),
        "bigDLModule": (13, "Module", "many"),
        "nameAttrList": (14, "Named", "many"),
        "custom": (16, "BYTES", "many"),
    },
    "Named": {"name": (1, "STRING", ""), "attr": (2, "Attribute", "map")},
}
# BigDL's number for the type of an attribute -> the field that holds its value.
_VALUES = {
    0: "int32Value",
    1: "int64Value",
    2: "floatValue",
    3: "doubleValue",
    4: "stringValue",
    5: "boolValue",
    10: "tensorValue",
    14: "nameAttrListValue",
    15: "arrayValue",
    16: "dataFormatValue",
}


class BigDLFile:
    """A parsed definition with its weights. ``root`` is the outermost module; every class in it is from BigDL's packages.

    :raises SqlExtError: INVALID_NETWORK for another kind of file, damaged weights, or a class from another package.
    """

    def __init__(self, definition: bytes, weights: bytes | None, path: str) -> None:
        self.path = path
        self.root: Module = _parse(definition)
        for name in _classes(self.root):
            if not name.startswith(_PACKAGES):
                raise invalid(f"'{path}' names class {name}, which is not a network layer; nothing was loaded")
        self._storages = dict(_inner_storages(self.root))
        if weights is not None:
            self._storages |= _weights(weights, path)

    def tensor(self, tensor: Any) -> Array | None:
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

    def weights_of(self, module: Module) -> list[Array]:
        """A layer's weight, bias and other parameters; older files store the first two in separate fields."""
        tensors = module.parameters if module.hasParameters else [module.weight, module.bias]
        found = (self.tensor(tensor) for tensor in tensors)
        return [array for array in found if array is not None]

    def attribute(self, module: Module, name: str, default: Any = None) -> Any:
        """The value of an attribute (a number, string, list or array), or ``default`` if the file does not set it."""
        if name not in module.attr:
            return default
        value = module.attr[name]
        found = getattr(value, _VALUES[value.dataType]) if value.dataType in _VALUES else default
        if value.dataType == 10:
            return self.tensor(found) if value.HasField("tensorValue") else default
        if value.dataType == 15:
            return list(found.i32) or list(found.dbl) or list(found.flt) or list(found.str)
        return found


def _parse(data: bytes) -> Module:
    kind = name_kind(data)
    if kind is not None:
        raise invalid(f"it is {kind}, not a BigDL definition as written by saveModel")
    module = _types()["Module"]()
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
    kind = message.DESCRIPTOR.name
    if kind == "Module":
        yield message.moduleType
    if (kind == "Attribute" and message.customValue) or (kind == "Values" and message.custom):
        yield f"of a custom attribute ({getattr(message, 'subType', '')})"
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            children = list(value.values())
        else:
            children = [value] if hasattr(value, "ListFields") else list(value)
        for child in children:
            yield from _classes(child)


def _inner_storages(module: Module) -> Iterator[tuple[int, Array]]:
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


@cache
def _types() -> dict[str, Any]:
    """The message classes, built from ``_MESSAGES``."""
    fields = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="sqlext_bigdl.proto", package="sqlext_bigdl", syntax="proto3")

    def add(message: Any, name: str, number: int, kind: str, many: bool) -> None:
        field = message.field.add(name=name, number=number)
        field.label = fields.LABEL_REPEATED if many else fields.LABEL_OPTIONAL
        if kind.isupper():
            field.type = getattr(fields, f"TYPE_{kind}")
        else:
            field.type, field.type_name = fields.TYPE_MESSAGE, f".sqlext_bigdl.{kind}"

    for name, declared in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, how) in declared.items():
            if how == "map":
                entry = message.nested_type.add(name=f"{field.capitalize()}Entry")
                entry.options.map_entry = True
                add(entry, "key", 1, "STRING", False)
                add(entry, "value", 2, kind, False)
                kind = f"{name}.{field.capitalize()}Entry"
            add(message, field, number, kind, bool(how))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {n: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"sqlext_bigdl.{n}")) for n in _MESSAGES}
