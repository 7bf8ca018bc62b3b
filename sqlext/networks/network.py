"""A pretrained network as this package stores it: an ONNX graph from an image to [embedding] or [embedding, scores]."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import onnx
from onnx import TensorProto, helper

from sqlext.networks.embedding import likely_embedding
from sqlext.networks.inputs import InputSpec
from sqlext.networks.meaning import meaning_in_graph
from sqlext.networks.sizes import free_shapes
from sqlext.networks.wiring import Wiring

# The endings of the names of tensors that reading adds; one of each at most, in this order from the last.
_ADDED = ("_flat", "_pooled", "_first", "_copy", "_float")


@dataclass(frozen=True)
class Network:
    """A network in the stored form.

    ``input_shape``: (3, S, S). ``*_width``: numbers per image. ``scores_name`` and ``scores_width`` are None without a
    classifier. ``scores_kind``: 'logits', 'probabilities' or 'value'. ``operators``: number of nodes by operator.
    ``parameters``: number of trained values. ``input_spec``: what the input takes, known only after reading another file.
    """

    model: onnx.ModelProto
    input_name: str
    input_shape: tuple[int, int, int]
    embedding_name: str
    embedding_width: int
    scores_name: str | None
    scores_width: int | None
    scores_kind: str
    operators: dict[str, int]
    parameters: int
    input_spec: InputSpec = field(default_factory=InputSpec)

    @property
    def embedding_in_file(self) -> str:
        """The name of the embedding's tensor in the file that was read, which the option `embedding` takes."""
        return _name_in_file(self.model, self.embedding_name)

    @property
    def scores_in_file(self) -> str | None:
        return _name_in_file(self.model, self.scores_name) if self.scores_name else None

    @cached_property
    def likely_embedding(self) -> str | None:
        """A tensor to propose as embedding if none was found."""
        output = self.scores_name or self.embedding_name
        return likely_embedding(Wiring(self.model.graph), output, free_shapes(self.model, 1))

    @cached_property
    def meaning(self) -> str | None:
        """What the last output means as far as the graph tells (:func:`meaning_in_graph`)."""
        return meaning_in_graph(self.model, self.scores_name or self.embedding_name, free_shapes(self.model, 1))

    def to_bytes(self) -> bytes:
        """The network as it is stored; the same file and options give the same bytes."""
        return self._artifact

    @cached_property
    def _artifact(self) -> bytes:  # IMPORT hashes, checks and stores it; 100 MB take 0.4 s to serialise
        return bytes(self.model.SerializeToString(deterministic=True))


def load_network(data: bytes) -> Network:
    """The inverse of :meth:`Network.to_bytes`."""
    model = onnx.ModelProto.FromString(data)
    kind = next((p.value for p in model.metadata_props if p.key == "scores_kind"), "logits")
    return described(model, kind)


def with_kind(network: Network, kind: str) -> Network:
    """The same network with another ``scores_kind``."""
    if kind == network.scores_kind:
        return network
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    helper.set_model_props(model, {"scores_kind": kind})
    return replace(described(model, kind), input_spec=network.input_spec)


def _name_in_file(model: onnx.ModelProto, name: str) -> str:
    """The name of a tensor before reading added nodes after it, which have the names of their outputs."""
    makers = {node.output[0]: node for node in model.graph.node}
    for ending in _ADDED:
        if name.rstrip("_").endswith(ending) and name in makers and makers[name].name == name:
            name = str(makers[name].input[0])
    return name


def described(model: onnx.ModelProto, kind: str) -> Network:
    """A graph in the stored form with what is known of it."""
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    widths = [output.type.tensor_type.shape.dim[1].dim_value for output in model.graph.output]
    names = [output.name for output in model.graph.output]
    return Network(
        model=model,
        input_name=model.graph.input[0].name,
        input_shape=(shape[1], shape[2], shape[3]),
        embedding_name=names[0],
        embedding_width=widths[0],
        scores_name=names[1] if len(names) > 1 else None,
        scores_width=widths[1] if len(names) > 1 else None,
        scores_kind=kind,
        operators=dict(sorted(Counter(node.op_type for node in model.graph.node).items())),
        parameters=_parameters(model.graph),
    )


def _parameters(graph: onnx.GraphProto) -> int:
    """The number of trained values as frameworks count it: without the running statistics of batch normalisation."""
    statistics = {name for node in graph.node if node.op_type == "BatchNormalization" for name in node.input[3:5]}
    eight_bit = (TensorProto.INT8, TensorProto.UINT8)
    trained = [
        t
        for t in graph.initializer
        if (t.data_type == TensorProto.FLOAT or (t.data_type in eight_bit and len(t.dims) > 1))
        and t.name not in statistics
    ]
    return sum(int(np.prod(list(t.dims), dtype=np.int64)) for t in trained)
