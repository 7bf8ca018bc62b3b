"""Reads an ONNX file safely: parses it, loads external weights only from its own folder, checks it and tidies it up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import onnx
from onnx import external_data_helper, inliner, numpy_helper

from sqlext.errors import SqlExtError
from sqlext.networks.library_text import checker_says
from sqlext.networks.other_files import name_file, name_kind
from sqlext.networks.subgraphs import all_graphs, captured, within

OLDER = "export it with opset_version=17"


def invalid(reason: str) -> SqlExtError:
    return SqlExtError("INVALID_NETWORK", reason=reason if reason.endswith("?") else f"{reason}.")


def parse(data: bytes, folder: Path | None) -> onnx.ModelProto:
    """The whole network in one ModelProto, with its local functions inlined.

    :raises SqlExtError: INVALID_NETWORK.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:  # protobuf's DecodeError, whose module differs between its releases
        raise invalid(name_file(data)) from None
    if not model.graph.node or not model.opset_import:
        raise invalid(name_file(data))
    _check_versions(model)
    for tensor in tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _load_external(tensor, folder)
    _check(model)
    if model.functions:
        model = inliner.inline_local_functions(model)
    return model


def tidy(model: onnx.ModelProto) -> None:
    """Tidies a graph in place.

    Constants become initializers, nodes get unique names, and notes, which may hold paths of their author, are removed.
    """
    graph = model.graph
    constants = {tensor.name: tensor.name for tensor in graph.initializer}
    # Names that are not inputs of these nodes; an Identity that computes one of them stays.
    elsewhere = captured(graph.node) | {output.name for output in graph.output}
    nodes = []
    for node in graph.node:
        node.input[:] = [constants.get(name, name) for name in node.input]
        value = _constant(node)
        if value is not None:
            value.name = node.output[0]
            graph.initializer.append(value)
            constants[value.name] = value.name
        elif node.op_type == "Identity" and node.input[0] in constants and node.output[0] not in elsewhere:
            constants[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    _name_nodes(graph)
    graph.doc_string = model.doc_string = ""
    del model.metadata_props[:]
    # Shapes in the file would contradict a batch axis that is freed; shape inference computes them again.
    del graph.value_info[:]
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]


def refuse_training(model: onnx.ModelProto) -> None:
    """Refuses what ONNX's checker accepts but a scoring engine must not run: operators in training mode of a tidy graph."""
    switched_on = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.BOOL and _is_true(t)}
    for node in model.graph.node:
        mode = {a.name: a.i for a in node.attribute}.get("training_mode", 0)
        drops = node.op_type == "Dropout" and not switched_on.isdisjoint(node.input[2:])
        if (node.op_type == "BatchNormalization" and mode) or drops:
            raise invalid(f"'{node.name}' is in training mode: call model.eval() before exporting")


def _is_true(tensor: onnx.TensorProto) -> bool:
    return bool(numpy_helper.to_array(tensor).all())


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The value of a Constant node, from whichever attribute holds it; None for other nodes."""
    if node.op_type != "Constant" or node.domain:
        return None
    value = onnx.helper.get_attribute_value(node.attribute[0])
    if isinstance(value, onnx.TensorProto):
        copy = onnx.TensorProto()
        copy.CopyFrom(value)
        return copy
    kind = {"value_int": "int64", "value_ints": "int64", "value_float": "float32", "value_floats": "float32"}
    dtype = kind.get(node.attribute[0].name)
    if dtype is None:
        return None
    return numpy_helper.from_array(np.array(value, dtype))


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Gives every node a unique name, which the BigDL layers built from it share.

    A name that is missing or taken is replaced by the name or the operator with the position, such as 'conv_12'.
    """
    taken: set[str] = {""}
    for position, node in enumerate(graph.node):
        if node.name in taken:
            base = node.name or node.op_type.lower()
            name = f"{base}_{position}"
            while name in taken:
                name += "_"
            node.name = name
        taken.add(node.name)


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a network, wherever a path to another file could hide: also in attributes, subgraphs and functions."""
    nodes = [node for function in model.functions for node in function.node]
    yield from _in_nodes(nodes)
    for graph in (*all_graphs(model.graph), *within(nodes)):
        yield from graph.initializer
        yield from _in_sparse(graph.sparse_initializer)
        yield from _in_nodes(graph.node)


def _in_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        yield from _in_sparse([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else [])
        yield from _in_sparse(attribute.sparse_tensors)


def _in_sparse(sparse: Iterable[onnx.SparseTensorProto]) -> Iterator[onnx.TensorProto]:
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def external_files(file: Path) -> list[str]:
    """The files that hold the network's weights, as paths relative to its folder.

    :raises SqlExtError: INVALID_NETWORK for a file outside the folder.
    """
    try:
        model = onnx.load(str(file), load_external_data=False)
    except Exception:  # `parse` reports a file that is not ONNX
        return []
    external = (t for t in tensors(model) if t.data_location == onnx.TensorProto.EXTERNAL)
    return sorted({_location(tensor) for tensor in external})


def _location(tensor: onnx.TensorProto) -> str:
    """The file of a tensor's weights, as a path relative to the network's folder."""
    location = str({entry.key: entry.value for entry in tensor.external_data}.get("location", ""))
    path = PurePosixPath(location)
    if not location or path.is_absolute() or ".." in path.parts or "\\" in location:
        raise invalid(f"its weights '{tensor.name}' point outside its folder, to '{location}'")
    return location


def _load_external(tensor: onnx.TensorProto, folder: Path | None) -> None:
    """Loads a tensor's weights from a second file, which must be inside the network's folder after following links."""
    location = _location(tensor)
    path = PurePosixPath(location)
    if folder is None:
        raise invalid(f"its weights '{tensor.name}' are in a second file, '{location}', which must be in its folder")
    root = folder.resolve()
    file = (root / path).resolve()
    if not file.is_relative_to(root):
        raise invalid(f"its weights '{tensor.name}' point outside its folder: '{location}' is a link to {file}")
    if not file.is_file():
        raise invalid(f"its weights '{tensor.name}' are in '{location}', which is not in its folder")
    _check_size(tensor, file, location)
    try:
        external_data_helper.load_external_data_for_tensor(tensor, str(root))
    except Exception:  # several classes, of onnx's C++ library among them
        raise invalid(f"its weights '{tensor.name}' cannot be read from '{location}'") from None
    tensor.ClearField("data_location")
    del tensor.external_data[:]


def _check_size(tensor: onnx.TensorProto, file: Path, location: str) -> None:
    """Refuses a file of weights that is too small, such as the pointer that Git LFS leaves in its place."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    offset, length = (
        int(text) if text.isdecimal() else 0 for text in (entries.get("offset", ""), entries.get("length", ""))
    )
    size, wanted = file.stat().st_size, offset + max(length, 1)
    if size >= wanted:
        return
    with file.open("rb") as opened:
        kind = name_kind(opened.read(4096)) or "truncated"
    raise invalid(
        f"its weights '{tensor.name}' end at byte {wanted:,} of '{location}', but this file has only {size:,} bytes: "
        f"it is {kind}; copy or download it again"
    )


def _check_versions(model: onnx.ModelProto) -> None:
    """Refuses versions of ONNX that are newer than the installed library."""
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
    known = onnx.defs.onnx_opset_version()
    if opset > known:
        raise invalid(f"it uses opset {opset}, but the newest one that can be read here is {known}: {OLDER}")
    if model.ir_version > onnx.IR_VERSION:
        raise invalid(
            f"it has IR version {model.ir_version}, but the newest one that can be read here is {onnx.IR_VERSION}: "
            f"{OLDER}, which writes an older IR version"
        )


def _check(model: onnx.ModelProto) -> None:
    """Runs ONNX's checker."""
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise invalid(f"ONNX's checker says: {checker_says(error)}") from None
