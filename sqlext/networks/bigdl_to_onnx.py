"""Converts a network in BigDL's or Analytics Zoo's files to ONNX, without a JVM: nothing that the file names is run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnx
from onnx import TensorProto, helper, shape_inference

from sqlext.networks.bigdl_file import BigDLFile
from sqlext.networks.bigdl_layers import LAYERS, ReadLayer, UnsupportedLayerError
from sqlext.networks.bigdl_pb2 import BigDLModule, InputDataFormat
from sqlext.networks.library_text import where
from sqlext.networks.onnx_file import invalid
from sqlext.text import first_few

INPUT = "image"
_GRAPHS = ("StaticGraph", "DynamicGraph", "Graph", "Model")
_DEEPEST = 60  # levels of nested containers
_SHOWN = 5  # layers of each type that an error names


def convert(file: BigDLFile, width: int | None = None) -> bytes:
    """Returns the network as ONNX.

    :param width: the input is N x ``width``; None: it is N x C x H x W with all axes free.
    :raises SqlExtError: INVALID_NETWORK, listing all layers that are not supported.
    """
    builder = _GraphBuilder(file)
    outputs = builder.outputs(file.root, [INPUT], 0)
    if builder.unknown:
        layers = sum(builder.seen.values())
        known = layers - sum(map(len, builder.unknown.values()))
        listed = ", ".join(f"{kind} ({_listed(names)})" for kind, names in sorted(builder.unknown.items()))
        raise invalid(
            f"layers of type {listed} are not supported ({known} of {layers} layers are). Supported: "
            f"{', '.join(sorted(LAYERS))}; export the network to ONNX and write FORMAT ONNX"
        )
    sizes: list[Any] = ["N", width] if width else ["N", "C", "H", "W"]
    names = [builder.copy_of_input() if name == INPUT else name for name in dict.fromkeys(outputs)]
    graph = helper.make_graph(
        builder.nodes,
        "network",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, sizes)],
        [onnx.ValueInfoProto(name=name) for name in names],
        builder.weights,
    )
    # Fixed versions: onnx's own default is the newest that it knows, and the bytes would change with its release.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = _with_output_sizes(model)
    return bytes(model.SerializeToString(deterministic=True))


def _with_output_sizes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Declares the sizes of the outputs, as ONNX requires: N x M if they depend on those of the image."""
    try:
        model = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # the exception class of onnx's C++ library
        raise invalid(f"its layers do not fit together{where(error)}") from None
    for value in model.graph.output:
        kind = value.type.tensor_type
        kind.elem_type = TensorProto.FLOAT
        if not kind.HasField("shape"):
            for name in ("N", "M"):
                kind.shape.dim.add(dim_param=name)
    return model


class _GraphBuilder:
    """Walks through the modules and collects their nodes and weights.

    ``seen``: number of layers by type. ``unknown``: names of the layers that cannot be converted, by type.
    """

    def __init__(self, file: BigDLFile) -> None:
        self.file = file
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.unknown: dict[str, list[str]] = {}
        self.seen: Counter[str] = Counter()
        self._names: set[str] = {INPUT}

    def outputs(self, module: BigDLModule, inputs: list[str], depth: int) -> list[str]:
        """The names of the tensors that a module returns for ``inputs``."""
        # A hostile file could otherwise nest containers until Python's stack is full.
        if depth > _DEEPEST:
            raise invalid(f"its containers are nested more than {_DEEPEST} deep")
        kind, parts = str(module.moduleType).rpartition(".")[2], list(module.subModules)
        if kind == "Sequential":
            for part in parts:
                inputs = self.outputs(part, inputs, depth + 1)
            return inputs
        if kind in _GRAPHS and "inputNames" in module.attr:
            return self._graph(module, inputs, depth)
        if kind in ("ConcatTable", "Concat"):
            return self._branches(module, kind, inputs, depth)
        if len(parts) == 1 and kind not in LAYERS:
            return self.outputs(parts[0], inputs, depth + 1)  # a Keras-style layer that wraps one of BigDL's
        return [self._layer(module, kind, inputs)]

    def _graph(self, module: BigDLModule, inputs: list[str], depth: int) -> list[str]:
        """Each module names the modules that it reads. They are visited without recursion, since chains can be long."""
        by_name = {_name(part): part for part in module.subModules}
        starts = self.file.attribute(module, "inputNames") or []
        done = {name: [inputs[min(i, len(inputs) - 1)]] for i, name in enumerate(starts)}
        wanted = list(self.file.attribute(module, "outputNames") or [])
        stack, open_ = list(reversed(wanted)), set[str]()
        while stack:
            name = stack[-1]
            if name in done:
                stack.pop()
                continue
            if name not in by_name:
                raise invalid(f"its graph reads '{name}', which it does not contain")
            before = [n for n in by_name[name].preModules if n in by_name]
            waiting = [n for n in before if n not in done]
            if waiting and name in open_:
                raise invalid(f"its graph has a loop at '{name}'")
            open_.add(name)
            if waiting:
                stack += reversed(waiting)
                continue
            operands = [tensor for n in before for tensor in done[n]] or inputs[:1]
            done[name] = self.outputs(by_name[name], operands, depth + 1)
            stack.pop()
        return [tensor for name in wanted for tensor in done[name]]

    def _branches(self, module: BigDLModule, kind: str, inputs: list[str], depth: int) -> list[str]:
        found = [tensor for part in module.subModules for tensor in self.outputs(part, inputs, depth + 1)]
        if kind == "ConcatTable":
            return found
        self.seen[kind] += 1
        name = self._unique(_name(module))
        axis = int(self.file.attribute(module, "dimension", 2)) - 1
        self.nodes.append(helper.make_node("Concat", found, [name], name=name, axis=axis))
        return [name]

    def _layer(self, module: BigDLModule, kind: str, inputs: list[str]) -> str:
        self.seen[kind] += 1
        layer = ReadLayer(self.file, module, self._unique(_name(module)), inputs, self.nodes, self.weights)
        try:
            if kind not in LAYERS:
                raise UnsupportedLayerError("")
            if self.file.attribute(module, "format", InputDataFormat.NCHW) == InputDataFormat.NHWC or not inputs:
                raise UnsupportedLayerError("channels last")
            return LAYERS[kind](layer)
        except UnsupportedLayerError as reason:
            self.unknown.setdefault(f"{kind}, {reason}" if str(reason) else kind, []).append(_name(module))
        except (TypeError, ValueError, IndexError):
            self.unknown.setdefault(f"{kind}, its settings cannot be read", []).append(_name(module))
        # Goes on as if the layer had no effect, so that one error lists all layers that are not supported.
        return inputs[0] if inputs else INPUT

    def copy_of_input(self) -> str:
        """The input passed through Identity, since an output of a graph must be the result of a node."""
        name = self._unique("copy")
        self.nodes.append(helper.make_node("Identity", [INPUT], [name], name=name))
        return name

    def _unique(self, name: str) -> str:
        number, wanted = 2, name
        while name in self._names:
            name, number = f"{wanted}_{number}", number + 1
        self._names.add(name)
        return name


def _listed(names: list[str]) -> str:
    return first_few([f"'{name}'" for name in names], _SHOWN)


def _name(module: BigDLModule) -> str:
    return str(module.name or f"{str(module.moduleType).rpartition('.')[2]}{module.namePostfix}")
