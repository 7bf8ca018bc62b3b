"""BigDL's files, read as data: their layers as ONNX, and the definitions that are refused before anything is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

from sqlext.engines.onnxruntime import onnxruntime
from sqlext.errors import SqlExtError
from sqlext.networks import bigdl_pb2
from sqlext.networks.bigdl_file import BigDLFile
from sqlext.networks.bigdl_pb2 import BigDLModule, BigDLTensor, DataType, TensorStorage
from sqlext.networks.bigdl_to_onnx import convert
from sqlext.networks.onnx_file import parse
from tests.support.small_networks import residual

NN = "com.intel.analytics.bigdl.nn."  # the package in BigDL 0.x; in 2.x it contains .dllib.
WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def module(kind: str, name: str = "", before: list[str] | None = None, **attributes: Any) -> Any:
    result = BigDLModule(moduleType=kind, name=name, preModules=before or [])
    for key, value in attributes.items():
        holder = result.attr[key]
        if isinstance(value, list) and isinstance(value[0], str):
            holder.dataType = DataType.ARRAY_VALUE
            holder.arrayValue.str.extend(value)
        elif isinstance(value, list):
            holder.dataType = DataType.ARRAY_VALUE
            holder.arrayValue.i32.extend(value)
        elif isinstance(value, bool):
            holder.dataType, holder.boolValue = DataType.BOOL, value
        else:
            holder.dataType, holder.int32Value = DataType.INT32, value
    return result


def tensor(number: int, value: Any) -> Any:
    strides = [int(np.prod(value.shape[i + 1 :])) for i in range(value.ndim)]
    return BigDLTensor(size=value.shape, stride=strides, offset=1, storage=TensorStorage(id=number))


def linear(name: str = "fc", before: list[str] | None = None) -> Any:
    result = module(f"{NN}Linear", name, before)
    result.hasParameters = True
    result.parameters.extend([tensor(7, WEIGHT), tensor(8, np.ones(2, np.float32))])
    return result


def stored(root: Any, **arrays: Any) -> bytes:
    """The bytes of a definition that contains its weights."""
    holder = root.attr["global_storage"]
    holder.dataType = DataType.NAME_ATTR_LIST
    for key, value in {"7": WEIGHT, "8": np.ones(2, np.float32), **arrays}.items():
        storage = holder.nameAttrListValue.attr[key].tensorValue.storage
        storage.id = int(key)
        storage.float_data.extend(value.reshape(-1).tolist())
    return bytes(root.SerializeToString())


def run(data: bytes, batch: Any, width: int | None = None) -> Any:
    session = onnxruntime.InferenceSession(
        convert(BigDLFile(data, None, "m"), width), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"image": batch})[0]


def refused(data: bytes, says: str) -> None:
    with pytest.raises(SqlExtError, match=re.escape(says)):
        convert(BigDLFile(data, None, "m.bigdl"), 3)


def test_a_chain_and_a_graph() -> None:
    batch = np.array([[1, 2, 3], [0, -1, 1]], np.float32)
    wanted = batch @ WEIGHT.T + 1
    chain = module(f"{NN}Sequential")
    chain.subModules.extend([linear(), module(f"{NN}ReLU", "r"), module(f"{NN}Dropout", "d")])
    assert np.allclose(run(stored(chain), batch, 3), np.maximum(wanted, 0))
    graph = module(f"{NN}StaticGraph", inputNames=["in"], outputNames=["sum"])
    graph.subModules.extend(
        [
            module(f"{NN}CAddTable", "sum", ["r", "fc"]),
            linear("fc", ["in"]),
            module(f"{NN}ReLU", "r", ["fc"]),
            module(f"{NN}Input", "in"),
        ]
    )
    assert np.allclose(run(stored(graph), batch, 3), np.maximum(wanted, 0) + wanted)


def test_a_keras_style_layer_only_wraps_others() -> None:
    shell = module("com.intel.analytics.zoo.pipeline.api.keras.models.Sequential")
    dense = module("com.intel.analytics.zoo.pipeline.api.keras.layers.Dense", "dense")
    dense.subModules.extend([linear()])
    shell.subModules.extend([dense])
    assert np.allclose(run(stored(shell), np.eye(3, dtype=np.float32), 3), WEIGHT.T + 1)


def test_only_classes_of_layers_are_read() -> None:
    evil = "com.intel.analytics.bigdl.dllib.visualization.TrainSummary"
    chain = module(f"{NN}Sequential")
    chain.subModules.extend([linear(), module(evil, logDir=["x"])])
    refused(stored(chain), f"names class {evil}, which is not a network layer; nothing was loaded")
    hidden = module(f"{NN}Sequential")
    hidden.attr["inner"].dataType = DataType.ARRAY_VALUE
    hidden.attr["inner"].arrayValue.bigDLModule.append(module(evil))
    refused(stored(hidden), evil)
    custom = module(f"{NN}Sequential")
    custom.attr["c"].customValue = b"\n\x01x"
    refused(stored(custom), "custom attribute")


def test_unreadable_definitions_are_reported() -> None:
    chain = module(f"{NN}Sequential")
    chain.subModules.extend([linear(), module(f"{NN}LSTM", "l"), module(f"{NN}Highway", "h")])
    refused(
        stored(chain), "layers of type Highway ('h'), LSTM ('l') are not supported (1 of 3 layers are). Supported: Abs,"
    )
    refused(stored(chain), "View; export the network to ONNX and write FORMAT ONNX.")
    chain.subModules.extend([module(f"{NN}LSTM", f"l{i}") for i in range(7)])
    refused(stored(chain), "LSTM ('l', 'l0', 'l1', 'l2', 'l3' and 3 more) are not supported")
    refused(linear().SerializeToString(), "are in a second file")
    outside = linear()
    outside.parameters[0].size[0] = 2000
    refused(stored(outside), "extends beyond its weights")
    loop = module(f"{NN}StaticGraph", inputNames=["in"], outputNames=["a"])
    loop.subModules.extend(
        [module(f"{NN}ReLU", "a", ["b"]), module(f"{NN}ReLU", "b", ["a"]), module(f"{NN}Input", "in")]
    )
    refused(stored(loop), "has a loop")
    refused(b"\xac\xed\x00\x05sr", "a Java-serialized object")
    refused(b"hello, this is text", "not a BigDL definition")
    refused(residual(), "it is an ONNX network: write FORMAT ONNX")
    with pytest.raises(SqlExtError, match="BigDL definition, not an ONNX network: write FORMAT BIGDL"):
        parse(stored(chain), None)


# --- bigdl.proto and the code that is generated from it -------------------------------------------------------------


def declared() -> list[str]:
    """Every field and enum value in the text of bigdl.proto, as 'Message.Inner: type name = number;'."""
    found, around = [], list[str]()
    for line in Path(bigdl_pb2.__file__).with_name("bigdl.proto").read_text().splitlines():
        text = line.partition("//")[0].strip()
        if opened := re.fullmatch(r"(?:message|enum) (\w+) \{", text):
            around.append(opened[1])
        elif text == "}":
            around.pop()
        elif text and around:
            found.append(f"{'.'.join(around)}: {text}")
    return found


def generated() -> Iterator[str]:
    """The same lines for bigdl_pb2.py."""
    file = FileDescriptorProto.FromString(bigdl_pb2.DESCRIPTOR.serialized_pb)
    for message in file.message_type:
        yield from fields(message, message.name)
    for enum in file.enum_type:
        yield from (f"{enum.name}: {value.name} = {value.number};" for value in enum.value)


def fields(message: Any, path: str) -> Iterator[str]:
    maps = {inner.name: inner for inner in message.nested_type if inner.options.map_entry}
    for field in message.field:
        kind = named(field)
        if kind in maps:
            kind = "map<{}>".format(", ".join(map(named, maps[kind].field)))
        elif field.label == FieldDescriptorProto.LABEL_REPEATED:
            kind = f"repeated {kind}"
        yield f"{path}: {kind} {field.name} = {field.number};"
    for inner in message.nested_type:
        if inner.name not in maps:
            yield from fields(inner, f"{path}.{inner.name}")


def named(field: Any) -> str:
    scalar = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    return field.type_name.rpartition(".")[2] or scalar


def test_the_generated_code_agrees_with_bigdl_proto() -> None:
    assert sorted(generated()) == sorted(declared()), "run `make proto` after a change of bigdl.proto"


def test_every_release_of_protobuf_accepts_the_generated_code() -> None:
    """Newer compilers write a check that refuses all releases of protobuf that are older than they are."""
    code = Path(bigdl_pb2.__file__).read_text()
    assert "runtime_version" not in code, "generate bigdl_pb2.py with `make proto`, not with another compiler"
    oldest = re.search(r"protobuf>=([\d.]+)", (Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert oldest and f"# Protobuf Python Version: {oldest[1]}\n" in code, "pyproject.toml allows older releases"
