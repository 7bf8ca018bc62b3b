"""A pretrained network as this package stores it: an ONNX graph from an image to [embedding] or [embedding, scores].

``read_network`` brings the ONNX file of any image network into this form: it finds the input, the output and the
embedding, removes the rest, frees the batch axis and flattens both outputs to N x width.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sqlext.networks.contrib import CONTRIB
from sqlext.networks.embedding import find_embedding, likely_embedding
from sqlext.networks.meaning import LOG_PROBABILITIES, PROBABILITIES, SIGMOIDS, meaning_in_graph
from sqlext.networks.onnx_file import first_line, invalid, parse, tidy
from sqlext.networks.quantised import as_float
from sqlext.networks.scores import VALUE
from sqlext.networks.wiring import Shapes, Wiring, shapes_of

DEFAULT_SIZE = 224
PRODUCER = "bigdl-sqlext"
FREE = "export it with a free batch axis"
# The endings of the names of tensors that reading adds; one of each at most, in this order from the last.
_ADDED = ("_flat", "_pooled", "_copy", "_float")


@dataclass(frozen=True)
class Network:
    """A network in the stored form.

    ``input_shape``: (3, S, S). ``*_width``: numbers per image. ``scores_name`` and ``scores_width`` are None without a
    classifier. ``scores_kind``: 'logits', 'probabilities' or 'value'. ``operators``: number of nodes by operator.
    ``parameters``: number of trained values.
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

    @property
    def embedding_in_file(self) -> str:
        """The name of the embedding's tensor in the file that was read, which the option `embedding` takes."""
        return _name_in_file(self.model, self.embedding_name)

    @property
    def scores_in_file(self) -> str | None:
        return _name_in_file(self.model, self.scores_name) if self.scores_name else None

    @property
    def likely_embedding(self) -> str | None:
        """A tensor to propose as embedding if none was found."""
        output = self.scores_name or self.embedding_name
        return likely_embedding(Wiring(self.model.graph), output, shapes_of(self.model))

    @property
    def meaning(self) -> str | None:
        """What the last output means as far as the graph tells (:func:`meaning_in_graph`)."""
        return meaning_in_graph(self.model, self.scores_name or self.embedding_name, shapes_of(self.model))

    def to_bytes(self) -> bytes:
        """The network as it is stored; the same file and options give the same bytes."""
        return self._artifact

    @cached_property
    def _artifact(self) -> bytes:  # IMPORT hashes, checks and stores it; 100 MB take 0.4 s to serialise
        return bytes(self.model.SerializeToString(deterministic=True))


def read_network(
    data: bytes,
    *,
    folder: Path | None = None,
    input: str | None = None,
    output: str | None = None,
    embedding: str | None = None,
    scores: str | None = None,
    image_size: int | None = None,
    classes: bool = False,
) -> Network:
    """Reads the network in an ONNX file.

    :param folder: the folder of the file; external weights are read only from inside it.
    :param input: the tensor (or node) that takes the image; required if the graph has several inputs.
    :param output: the tensor (or node) with the class scores; required if the graph has several outputs.
    :param embedding: the tensor (or node) to use as embedding; default: what the classifier reads, as
        :func:`find_embedding` finds it. The name of the output means that the network has no classifier.
    :param scores: 'logits' or 'probabilities'; default: by the last operators. 'value': the output is a regressor's number.
    :param image_size: the side of the image if the graph leaves it open (default 224).
    :param classes: the output is known to hold class scores. If no embedding is found, they are also the embedding;
        otherwise the output is taken as an embedding, and the network has no classifier.
    :raises SqlExtError: INVALID_NETWORK, naming the fault and the possible choices.
    """
    if scores not in (None, "logits", "probabilities", VALUE):
        raise invalid(f"scores = '{scores}' is neither 'logits' nor 'probabilities'")
    model = parse(data, folder)
    tidy(model)
    wiring = Wiring(model.graph)
    source = _choose(input, wiring, [i.name for i in wiring.inputs], "input", "inputs")
    result = _choose(output, wiring, [o.name for o in model.graph.output], "output", "outputs")
    model = _cut(model, source, [result] + ([wiring.tensor(embedding)] if embedding else []), image_size)
    chosen, kind = _embedding(model, result, embedding, scores, classes)
    if chosen == result and classes and not embedding:
        chosen = f"{result}_copy"
        model.graph.node.append(helper.make_node("Identity", [result], [chosen], name=chosen))
    outputs = [as_float(model, name) for name in dict.fromkeys((chosen, result))]
    shapes = shapes_of(model)
    flat = [_flat(model, name, shapes, pool=position == 0) for position, name in enumerate(outputs)]
    return _finish(model, source, flat, kind)


def _embedding(
    model: onnx.ModelProto, result: str, named: str | None, scores: str | None, classes: bool
) -> tuple[str, str]:
    """The tensor of the embedding, which is ``result`` if none is found, and the kind of the scores."""
    wiring, shapes = Wiring(model.graph), shapes_of(model)
    meaning = meaning_in_graph(model, result, shapes)
    kind = scores or ("probabilities" if meaning in (PROBABILITIES, SIGMOIDS) else "logits")
    if named:
        return wiring.tensor(named), kind
    classes = classes or meaning in (PROBABILITIES, SIGMOIDS, LOG_PROBABILITIES)
    return find_embedding(wiring, result, shapes, classes=classes) or result, kind


def with_kind(network: Network, kind: str) -> Network:
    """The same network with another ``scores_kind``."""
    if kind == network.scores_kind:
        return network
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    helper.set_model_props(model, {"scores_kind": kind})
    return _described(model, kind)


def with_two_classes(network: Network, *, logit: bool) -> Network:
    """The network with its one output p as the scores of two classes, (1 - p, p).

    :param logit: the output is the logit of p, so Sigmoid comes first.
    """
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    graph, output = model.graph, str(network.scores_name)
    names = {part: f"{output}_{part}" for part in ("sigmoid", "minus_one", "one", "negative", "first", "both")}
    second = names["sigmoid"] if logit else output
    if logit:
        graph.node.append(helper.make_node("Sigmoid", [output], [second], name=second))
    for operator, inputs, name in (
        ("Mul", [second, names["minus_one"]], names["negative"]),
        ("Add", [names["negative"], names["one"]], names["first"]),
    ):
        graph.node.append(helper.make_node(operator, inputs, [name], name=name))
    both = names["both"]
    graph.node.append(helper.make_node("Concat", [names["first"], second], [both], name=both, axis=1))
    for part, value in (("minus_one", -1), ("one", 1)):
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.float32), names[part]))
    graph.output[1].CopyFrom(helper.make_tensor_value_info(both, TensorProto.FLOAT, ["N", 2]))
    helper.set_model_props(model, {"scores_kind": "probabilities"})
    return _described(model, "probabilities")


def load_network(data: bytes) -> Network:
    """The inverse of :meth:`Network.to_bytes`."""
    model = onnx.ModelProto.FromString(data)
    kind = next((p.value for p in model.metadata_props if p.key == "scores_kind"), "logits")
    return _described(model, kind)


def _choose(named: str | None, wiring: Wiring, candidates: list[str], option: str, plural: str) -> str:
    """The tensor that the user named, or else the only candidate."""
    if named is not None:
        return wiring.tensor(named)
    if len(candidates) != 1:
        listed = ", ".join(f"'{name}'" for name in candidates) or "none"
        raise invalid(f"it has {len(candidates)} {plural} ({listed}); name one: OPTIONS ({option} = '...')")
    return candidates[0]


def _cut(model: onnx.ModelProto, source: str, wanted: list[str], image_size: int | None) -> onnx.ModelProto:
    """The part of the graph between ``source`` and ``wanted``, with a free batch axis and inferred shapes."""
    graph = model.graph
    known = shapes_of(model)
    shape = _input_shape(source, known.get(source), image_size)
    needed = Wiring(graph).needed(wanted, source)
    others = [i.name for i in Wiring(graph).inputs if i.name in needed.tensors and i.name != source]
    if others:
        raise invalid(f"its output needs inputs other than '{source}': {', '.join(others)}")
    if source not in needed.tensors and source not in wanted:
        raise invalid(f"'{wanted[0]}' does not depend on '{source}'")
    cut = helper.make_graph(
        [node for node in graph.node if node.output[0] in needed.produced],
        graph.name or "network",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, ["N", *shape])],
        [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(wanted)],
        [tensor for tensor in graph.initializer if tensor.name in needed.tensors],
    )
    result = helper.make_model(cut, opset_imports=model.opset_import, producer_name=PRODUCER)
    result.ir_version = max(model.ir_version, 4)  # before version 4, weights also had to be inputs
    return result


def _input_shape(name: str, shape: list[int | None] | None, image_size: int | None) -> tuple[int, int, int]:
    """(3, S, S) of the input; INVALID_NETWORK if it is not a batch of square images."""
    if shape is None or len(shape) != 4:
        raise invalid(f"input '{name}' is {_shown(shape)}, not N x 3 x S x S (a batch of images)")
    _, channels, height, width = shape
    if channels not in (3, None):
        hint = "; export it with channels first" if width == 3 else ""
        raise invalid(f"input '{name}' is {_shown(shape)}, not N x 3 x S x S{hint}")
    side = height or width or image_size or DEFAULT_SIZE
    if (height or side) != (width or side):
        raise invalid(f"input '{name}' is {_shown(shape)}: only square images are supported")
    if image_size not in (None, side):
        raise invalid(f"image_size = {image_size}, but its input '{name}' is {_shown(shape)}")
    return 3, side, side


def _flat(model: onnx.ModelProto, name: str, shapes: Shapes, pool: bool) -> str:
    """Makes a tensor N x width, by adding pooling and flattening nodes if needed; returns its new name."""
    shape = shapes.get(name)
    if shape is None:
        raise invalid(_unknown(model, name, shapes))
    sizes = shape[1:]
    if shape == [None]:
        column = f"{name}_flat"
        model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 1]), f"{column}_sizes"))
        model.graph.node.append(helper.make_node("Reshape", [name, f"{column}_sizes"], [column], name=column))
        return column
    single = None not in sizes and sum(size != 1 for size in sizes) <= 1
    if not sizes or None in sizes or not (single or len(sizes) == 3):
        raise invalid(f"'{name}' is {_shown(shape)}, not N x width; name another one: OPTIONS (embedding = '...')")
    if shape[0] is not None:
        raise invalid(_baked(model, name, shapes))
    if len(sizes) == 1:
        return name
    flat = f"{name}_flat"
    if not single:
        if not pool:
            raise invalid(f"'{name}' is {_shown(shape)}, not scores per image; name those: OPTIONS (output = '...')")
        pooled, flat = f"{name}_pooled", f"{name}_pooled_flat"
        model.graph.node.append(helper.make_node("GlobalAveragePool", [name], [pooled], name=pooled))
        name = pooled
    model.graph.node.append(helper.make_node("Flatten", [name], [flat], name=flat, axis=1))
    return flat


def _unknown(model: onnx.ModelProto, name: str, shapes: Shapes) -> str:
    """Why the width of a tensor is unknown, naming the first operator whose output sizes cannot be inferred."""
    node = next((node for node in model.graph.node if node.output[0] not in shapes), None)
    where = f" after '{node.name}' ({node.domain + '.' if node.domain else ''}{node.op_type})" if node else ""
    if node is not None and node.domain == CONTRIB:
        where += (
            ", which only ONNX Runtime has; export the network without ONNX Runtime's optimizations, or quantise it with "
            "quant_format = QuantFormat.QDQ"
        )
    return f"the width of '{name}' is unknown: sizes cannot be inferred{where}"


def _baked(model: onnx.ModelProto, name: str, shapes: Shapes) -> str:
    """Why the batch size is fixed, naming the operator that fixes it."""
    for node in model.graph.node:
        sizes = shapes.get(node.output[0])
        if node.op_type in ("Reshape", "Expand") and sizes and sizes[0] is not None:
            return f"'{node.name}' ({node.op_type} to {_shown(sizes)}) fixes the batch size: {FREE}"
    return f"'{name}' is {_shown(shapes[name])}: its batch size is fixed; {FREE}"


def _finish(model: onnx.ModelProto, source: str, outputs: list[str], kind: str) -> Network:
    """Reduces the graph to its outputs, declares their sizes and checks the result."""
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    shape = tuple(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:])
    model = _cut(model, source, outputs, shape[1])
    shapes = shapes_of(model)
    del model.graph.output[:]
    for name in outputs:
        width = (shapes.get(name) or [None, None])[1]
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]))
    helper.set_model_props(model, {"scores_kind": kind})
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise invalid(f"cutting it to its outputs failed: {first_line(error)}") from None
    return _described(model, kind)


def _name_in_file(model: onnx.ModelProto, name: str) -> str:
    """The name of a tensor before :func:`read_network` added nodes after it, which have the names of their outputs."""
    makers = {node.output[0]: node for node in model.graph.node}
    for ending in _ADDED:
        if name.endswith(ending) and name in makers and makers[name].name == name:
            name = str(makers[name].input[0])
    return name


def _described(model: onnx.ModelProto, kind: str) -> Network:
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


def _shown(shape: list[int | None] | None) -> str:
    """A shape as text, such as 'N x 3 x 224 x 224'."""
    if shape is None:
        return "of unknown shape"
    return " x ".join(
        "N" if position == 0 and size is None else str(size or "?") for position, size in enumerate(shape)
    )
