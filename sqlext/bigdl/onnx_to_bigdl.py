"""ONNX network -> BigDL graph, in three steps: a plan (without a JVM), the graph of layers in the JVM, BigDL's files.

Layers get the names of the ONNX nodes. BigDL's default names are random, and the same network would not give the same bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper
from py4j.java_gateway import JVMView
from py4j.protocol import DEFAULT_JVM_ID, DEFAULT_JVM_NAME

from sqlext.bigdl.layers import Array, Layer, Node, Plan, Unsupported, Weight
from sqlext.bigdl.operators import OPERATORS
from sqlext.catalog.layout import BIGDL_FILES
from sqlext.networks.network import Network
from sqlext.networks.wiring import shapes_of

__all__ = ["OPERATORS", "BigDLModule", "convert", "forward", "plan", "save", "unsupported"]

BigDLModule = Any  # a Py4J reference to BigDL's AbstractModule
# Layers that write their output into a separate buffer, which the next layer may overwrite.
OWN_BUFFER = {"createSpatialConvolution", "createSpatialBatchNormalization", "createCAddTable", "createLinear"}


def plan(network: Network) -> Plan:
    """The layers of a network; ``problems`` counts the operators that BigDL lacks."""
    return plan_graph(network.model)


def plan_graph(model: onnx.ModelProto) -> Plan:
    """The :func:`plan` of a graph with one input and any number of outputs."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    result = Plan(model.graph, shapes_of(model), opset)
    for proto in model.graph.node:
        node = Node(result, proto, {a.name: helper.get_attribute_value(a) for a in proto.attribute})
        try:
            # Another domain, such as com.microsoft, may use the name of an operator for something different.
            if proto.op_type not in OPERATORS or proto.domain:
                raise Unsupported("")
            OPERATORS[proto.op_type](node)
        except Unsupported as reason:
            result.problems[f"{proto.op_type} ({reason})" if str(reason) else proto.op_type] += 1
        result.layers += node.layers
    return result


def unsupported(network: Network) -> list[str]:
    """The operators that BigDL lacks, with counts: ['Erf x 12']. Empty if the network can be converted. Needs no JVM."""
    return [f"{name} x {count}" for name, count in sorted(plan(network).problems.items())]


def convert(network: Network, jvm: Any) -> BigDLModule:
    """The network as a BigDL graph in evaluation mode, with the outputs [embedding, scores], or its only output.

    :param jvm: ``spark._jvm``, with BigDL on its class path.
    :raises ValueError: if BigDL lacks an operator; call :func:`unsupported` first.
    """
    return build(plan(network), jvm)


def build(layers: Plan, jvm: Any) -> BigDLModule:
    """The layers as a BigDL graph in evaluation mode.

    :raises ValueError: if the plan has problems.
    """
    if layers.problems:
        raise ValueError(f"BigDL lacks {', '.join(layers.problems)}")
    return _ModuleBuilder(jvm).graph(layers)


def save(module: BigDLModule, folder: Path) -> None:
    """Writes model.bigdl and model.bigdl.weights in BigDL's protobuf format: the same bytes for the same network."""
    definition, weights = (str((folder / name).resolve()) for name in BIGDL_FILES)
    _jvm(module).org.apache.spark.sql.sqlext.BigDLFiles.save(module, definition, weights)


def forward(module: BigDLModule, batch: Array) -> tuple[Array, Array | None]:
    """Runs a network in the driver: (N, 3, S, S) -> embedding (N, D) and scores (N, C), or None if it has no scores.

    Slow: 6 images of 224 x 224 a second.
    """
    builder = _ModuleBuilder(_jvm(module))
    outputs = builder.factory.modelForward(module, builder.tensors([batch]), False)
    arrays = [builder.array(output) for output in outputs]
    return arrays[0], arrays[1] if len(arrays) > 1 else None


def _jvm(module: BigDLModule) -> Any:
    """The JVM that holds a module."""
    return JVMView(module._gateway_client, DEFAULT_JVM_NAME, DEFAULT_JVM_ID)


class _ModuleBuilder:
    """Creates layers with BigDL's factory for Python, called directly: BigDL's Python classes print a line per layer."""

    def __init__(self, jvm: Any) -> None:
        # Py4J needs a round trip for each part of a Java class's name, so the classes are looked up only once.
        self.factory = jvm.com.intel.analytics.bigdl.dllib.utils.python.api.PythonBigDL.ofFloat()
        self._read = jvm.org.apache.spark.sql.sqlext.BigDLTensors.read
        self._buffers = jvm.java.nio.ByteBuffer

    def graph(self, layers: Plan) -> BigDLModule:
        start = self.factory.createInput()
        start.element().setName(layers.input)
        nodes = {layers.input: start}
        arrays = [array for layer in layers.layers for array in layer.arrays]
        tensors = dict(zip(map(id, arrays), self.tensors(arrays), strict=True))
        in_place = overwriting(layers)
        for layer in layers.layers:
            module = self._module(layer, tensors, layer.name in in_place)
            nodes[layer.output] = self.factory.createNode(module, [nodes[name] for name in layer.inputs])
        graph = self.factory.createModel([start], [nodes[name] for name in layers.outputs])
        graph.setName("network")
        # In training mode, batch normalisation would use the statistics of the batch and change the stored ones.
        return graph.evaluate()

    def _module(self, layer: Layer, tensors: dict[int, Any], in_place: bool) -> BigDLModule:
        """``tensors``: the arrays in the JVM, keyed by the ``id()`` of the Python array."""
        arguments = [tensors[id(a.value)] if isinstance(a, Weight) else a for a in layer.arguments]
        # Whether to work in place is the only argument of ReLU and CAddTable.
        module = getattr(self.factory, layer.create)(*([True] if in_place else arguments))
        module.setName(layer.name)
        if layer.weights:
            self.factory.setWeights(module, [tensors[id(value)] for value in layer.weights])
        if layer.statistics:
            mean, variance = (tensors[id(value)] for value in layer.statistics)
            self.factory.setRunningMean(module, mean)
            self.factory.setRunningStd(module, variance)  # takes a variance, despite its name
        return module

    def tensors(self, values: Sequence[Array]) -> list[Any]:
        """BigDL's JTensor for each array. They go through a file: 100 MB as text over Py4J's socket take 9 s, not 0.1 s."""
        if not values:
            return []
        with tempfile.NamedTemporaryFile(prefix="sqlext-weights-") as file:
            for value in values:
                value.astype("<f4", copy=False).tofile(file)
            file.flush()
            shapes = ";".join(",".join(map(str, value.shape)) for value in values)
            return list(self._read(file.name, shapes))

    def array(self, jtensor: Any) -> Array:
        """The inverse of :meth:`tensors`, for a single array."""
        shape = list(jtensor.shape())
        # Py4J would fetch a Java array of floats with one round trip per number; bytes come in one piece.
        buffer = self._buffers.allocate(4 * int(np.prod(shape)))
        buffer.asFloatBuffer().put(jtensor.storage())
        return np.frombuffer(buffer.array(), ">f4").astype(np.float32).reshape(shape)


def overwriting(layers: Plan) -> set[str]:
    """Names of the ReLU and CAddTable layers that may work in place.

    Their first input must be a separate buffer that no other layer reads and that the graph does not return.
    """
    readers = layers.readers()
    makers = {layer.output: layer.create for layer in layers.layers}
    return {
        layer.name
        for layer in layers.layers
        if layer.create in ("createReLU", "createCAddTable")
        and readers[layer.inputs[0]] == 1
        and makers.get(layer.inputs[0]) in OWN_BUFFER
    }
