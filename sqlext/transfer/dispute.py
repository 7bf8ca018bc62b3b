"""What to do if two engines differ: find where they part, and ask ONNX's reference implementation which of them is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from sqlext.engines import ENGINES, load_engine
from sqlext.engines.base import Array
from sqlext.networks.contrib import is_quantised
from sqlext.networks.library_text import where
from sqlext.networks.network import Network
from sqlext.networks.reference import evaluator
from sqlext.networks.wiring import Wiring, types_of


@dataclass(frozen=True)
class Measure:
    """How the outputs of two engines are compared. ``name``: which of their relative differences must be within ``bound``."""

    name: str
    bound: float

    @property
    def size(self) -> str:
        """What differences are relative to, in words."""
        return "mean" if self.name == "mean" else "largest number"

    def difference(self, a: Array, b: Array, among: Array | None = None) -> float:
        """The difference relative to the size of ``among``; default: of ``a``."""
        combined = np.mean if self.name == "mean" else np.max
        return float(combined(np.abs(a - b)) / max(float(combined(np.abs(a if among is None else among))), 1e-30))

    def agree(self, a: Array, b: Array) -> bool:
        """Whether the difference is within the bound, which NaN is not."""
        return self.difference(a, b) <= self.bound


# Rounding differed by less than 1e-4 in the networks that were tried, a wrong layer by more than 0.1.
EXACT = Measure("largest", 1e-3)
# For a quantised network: engines round 8-bit numbers differently, and a difference of one step is passed on.
ROUNDED = Measure("mean", 0.1)


def measure_of(network: Network) -> Measure:
    return ROUNDED if is_quantised(network.model.graph) else EXACT


@dataclass(frozen=True)
class Parting:
    """The first tensor, in the order of the graph, that two engines compute differently, and the node that returns it."""

    tensor: str
    operator: str

    def __str__(self) -> str:
        return f"'{self.tensor}' ({self.operator})"


def where_they_part(network: Network, engines: Sequence[str], batch: Array, measure: Measure) -> Parting | None:
    """The first tensor that two engines compute differently for a batch; None if that cannot be found.

    The search bisects, since a difference mostly remains in all later tensors. Each step runs the graph only up to one
    tensor: more outputs would keep an engine from fusing operators, and the fault may be in a fused one.
    """
    if len(engines) != 2 or not set(engines) <= set(ENGINES):
        return None
    names = _floats(network)
    right, wrong = -1, len(names)
    while wrong - right > 1:
        middle = (right + wrong) // 2
        values = [_computed(network, names[middle], engine, batch) for engine in engines]
        if values[0] is None or values[1] is None:
            del names[middle]  # an engine needs the later operators to run it
            wrong -= 1
        elif measure.agree(values[0], values[1]):
            right = middle
        else:
            wrong = middle
    if wrong >= len(names):
        return None
    return made_by(network, names[wrong])


def made_by(network: Network, tensor: str) -> Parting:
    """A tensor and the operator of the node that returns it."""
    return Parting(tensor, Wiring(network.model.graph).producer[tensor].op_type)


def agreeing(
    network: Network, results: Mapping[str, Sequence[Array | None]], batch: Array, measure: Measure
) -> list[str] | str:
    """The engines whose outputs equal those of ONNX's reference implementation.

    A text: the implementation cannot run the network, and the text says at which node, if that is known.

    :param results: per engine, the outputs for pictures that start with those of ``batch``.
    """
    try:
        outputs = evaluator(network.model).run(None, {network.input_name: batch})
    except Exception as error:  # it raises whatever an operator's Python code raises
        return where(error)
    references = [np.asarray(output, np.float32) for output in outputs]  # type: ignore[arg-type]
    return [
        engine
        for engine, values in results.items()
        if all(v is None or measure.agree(r, v[: len(batch)]) for r, v in zip(references, values, strict=False))
    ]


def _floats(network: Network) -> list[str]:
    """The tensors that can be the output of a shorter graph, in the order of the graph."""
    known, carrying = types_of(network.model), Wiring(network.model.graph).carrying
    names = (node.output[0] for node in network.model.graph.node)
    return [name for name in names if name in carrying and name in known and _is_float(known[name])]


def _is_float(kind: onnx.TypeProto.Tensor) -> bool:
    return kind.elem_type == TensorProto.FLOAT and len(kind.shape.dim) > 1 and kind.shape.dim[1].dim_value > 0


def _computed(network: Network, name: str, engine: str, batch: Array) -> Array | None:
    """The values of one tensor in one engine; None if the engine does not run the graph up to it."""
    try:
        return load_engine(engine, _until(network, name)).run(batch)[0]
    except Exception:  # what an engine raises when it runs has no public base class
        return None


def _until(network: Network, name: str) -> bytes:
    """The network cut to end at a tensor."""
    graph = network.model.graph
    needed = Wiring(graph).needed([name], network.input_name)
    cut = helper.make_graph(
        [node for node in graph.node if node.output[0] in needed.produced],
        "part",
        list(graph.input),
        [onnx.ValueInfoProto(name=name, type=onnx.TypeProto(tensor_type=types_of(network.model)[name]))],
        [tensor for tensor in graph.initializer if tensor.name in needed.tensors],
    )
    model = helper.make_model(cut, opset_imports=network.model.opset_import)
    model.ir_version = network.model.ir_version
    return bytes(model.SerializeToString())
