"""A pretrained network as this package stores it: an ONNX graph from an image to [embedding] or [embedding, scores].

``read_network`` brings the ONNX file of any image network into this form: it finds the input, the output and the
embedding, removes the rest, frees the batch axis and flattens both outputs to N x width.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from sqlext.networks.batch import fixing_node, free_batch
from sqlext.networks.embedding import find_embedding, scores_kind_of
from sqlext.networks.half_precision import widen
from sqlext.networks.inputs import Pictures, Taken, choose_input, take_pictures
from sqlext.networks.library_text import checker_says
from sqlext.networks.onnx_file import invalid, parse, tidy
from sqlext.networks.outputs import choose_output
from sqlext.networks.scores import VALUE
from sqlext.networks.sizes import check_image_size, free_shapes, shapes_at
from sqlext.networks.wiring import Shapes, Wiring, shown, types_of

NEWEST_IR = 10  # of the networks that are stored: older releases of the engines read it, and it has all that they need
PRODUCER = "bigdl-sqlext"
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
FREE = "export it with a free batch axis"


@dataclass(frozen=True)
class Network:
    """A network in the stored form.

    ``input_shape``: (3, S, S). ``*_width``: numbers per image. ``scores_name`` and ``scores_width`` are None without a
    classifier. ``scores_kind``: 'logits', 'probabilities' or 'value'. ``operators``: number of nodes by operator.
    ``parameters``: number of trained values. ``taken``: what the input takes, known only after reading another file.
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
    taken: Taken = field(default_factory=Taken)

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
) -> Network:
    """Reads the network in an ONNX file.

    :param folder: the folder of the file; external weights are read only from inside it.
    :param input: the tensor (or node) that takes the image; required if the graph has several inputs.
    :param output: the tensor (or node) with the class scores; required if the graph has several outputs.
    :param embedding: the tensor (or node) to use as embedding; default: what the classifier reads, as
        :func:`find_embedding` finds it. The name of the output means that the network has no classifier.
    :param scores: 'logits' or 'probabilities'; default: by the last operator. 'value': the output is a regressor's number.
    :param image_size: the side of the image if the graph leaves it open (default 224).
    :raises SqlExtError: INVALID_NETWORK, naming the fault and the possible choices.
    """
    if scores not in (None, "logits", "probabilities", VALUE):
        raise invalid(f"scores = '{scores}' is neither 'logits' nor 'probabilities'")
    model = parse(data, folder)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    tidy(model)
    half = widen(model)
    result, notes = choose_output(model, output)
    entry = take_pictures(model, choose_input(model, input), image_size, metadata)
    named = Wiring(model.graph).tensor(embedding) if embedding else None
    model = _cut(model, entry.source, [result] + ([named] if named else []), entry.side)
    if entry.free_size:
        check_image_size(model, entry.batch, entry.side)
    freed = free_batch(model, entry.batch)
    wiring = Wiring(model.graph)
    chosen = named or find_embedding(wiring, result)
    kind = scores or scores_kind_of(wiring, result)
    outputs = [chosen] if chosen == result else [chosen, result]
    shapes = free_shapes(model, entry.batch)
    # Only the embedding may be averaged over height and width: scores per position are not the scores of an image.
    flat = [_flat(model, name, shapes, entry.batch, pool=position == 0) for position, name in enumerate(outputs)]
    network = _finish(model, entry, flat, kind)
    taken = replace(entry.taken, notes=(*entry.taken.notes, *notes, *_changes(half, freed, entry.batch)))
    return replace(network, taken=taken)


def _changes(half: str | None, freed: list[str], batch: int) -> list[str]:
    """What was changed so that the engines can run the network on any number of pictures."""
    notes = [f"its {half} weights are stored as float32"] if half else []
    if freed:
        more = f" and {len(freed) - 1} more operators" if len(freed) > 1 else ""
        notes.append(f"the batch size of {batch} that {freed[0]}{more} fixed was made free")
    return notes


def load_network(data: bytes) -> Network:
    """The inverse of :meth:`Network.to_bytes`."""
    model = onnx.ModelProto.FromString(data)
    kind = next((p.value for p in model.metadata_props if p.key == "scores_kind"), "logits")
    return _described(model, kind)


def _cut(model: onnx.ModelProto, source: str, wanted: list[str], side: int) -> onnx.ModelProto:
    """The part of the graph between ``source`` and ``wanted``, with a free batch axis."""
    graph = model.graph
    needed = Wiring(graph).needed(wanted, source)
    others = [i.name for i in Wiring(graph).inputs if i.name in needed.tensors and i.name != source]
    if others:
        raise invalid(
            f"its output needs inputs other than '{source}': {', '.join(others)}; export it with fixed values for them"
        )
    if source not in needed.tensors and source not in wanted:
        raise invalid(f"'{wanted[0]}' does not depend on '{source}'")
    cut = helper.make_graph(
        [node for node in graph.node if node.output[0] in needed.produced],
        graph.name or "network",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, ["N", 3, side, side])],
        [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(wanted)],
        [tensor for tensor in graph.initializer if tensor.name in needed.tensors],
    )
    result = helper.make_model(cut, opset_imports=model.opset_import, producer_name=PRODUCER)
    result.ir_version = min(max(model.ir_version, 4), NEWEST_IR)  # before version 4, weights also had to be inputs
    return result


def _flat(model: onnx.ModelProto, name: str, shapes: Shapes, batch: int, pool: bool) -> str:
    """Makes a tensor N x width, by adding pooling and flattening nodes if needed; returns its new name."""
    shape = shapes.get(name)
    if shape is None:
        raise invalid(_unknown(model, name, shapes, batch))
    sizes = shape[1:]
    if shape and shape[0] is not None:
        raise invalid(_baked(model, name, shapes, batch))
    if not sizes or None in sizes or len(sizes) not in (1, 3):
        raise invalid(f"'{name}' is {shown(shape)}, not N x width; name another one: OPTIONS (embedding = '...')")
    name = _as_float(model, name)
    if len(sizes) == 1:
        return name
    flat = f"{name}_flat"
    if sizes[1:] != [1, 1]:
        if not pool:
            raise invalid(f"'{name}' is {shown(shape)}, not scores per image; name those: OPTIONS (output = '...')")
        pooled, flat = f"{name}_pooled", f"{name}_pooled_flat"
        model.graph.node.append(helper.make_node("GlobalAveragePool", [name], [pooled], name=pooled))
        name = pooled
    model.graph.node.append(helper.make_node("Flatten", [name], [flat], name=flat, axis=1))
    return flat


def _as_float(model: onnx.ModelProto, name: str) -> str:
    """Makes a tensor float32, by adding a Cast if needed; returns its new name."""
    kind = types_of(model).get(name)
    if kind is None or kind.elem_type in (TensorProto.FLOAT, TensorProto.UNDEFINED):
        return name
    cast = f"{name}_float"
    model.graph.node.append(helper.make_node("Cast", [name], [cast], name=cast, to=TensorProto.FLOAT))
    return cast


def _unknown(model: onnx.ModelProto, name: str, shapes: Shapes, batch: int) -> str:
    """Why the width of a tensor is unknown, naming the first operator whose output sizes cannot be inferred."""
    if name in shapes_at(model, batch):  # known for one number of pictures, but not for another
        return _baked(model, name, shapes, batch)
    node = next((node for node in model.graph.node if node.output[0] not in shapes), None)
    where = f" after '{node.name}' ({node.domain + '.' if node.domain else ''}{node.op_type})" if node else ""
    foreign = node is not None and node.domain not in DOMAINS
    hint = (
        f"; '{node.domain}' is not a domain of ONNX: export the network without this operator"
        if node and foreign
        else ""
    )
    return f"the width of '{name}' is unknown: sizes cannot be inferred{where}{hint}"


def _baked(model: onnx.ModelProto, name: str, shapes: Shapes, batch: int) -> str:
    """Why the batch size is fixed, naming the operator that fixes it."""
    if (node := fixing_node(model, batch)) is not None:
        return f"{node} fixes the batch size: {FREE}"
    return f"'{name}' is {shown(shapes.get(name))}: its batch size is fixed; {FREE}"


def _finish(model: onnx.ModelProto, entry: Pictures, outputs: list[str], kind: str) -> Network:
    """Reduces the graph to its outputs, declares their sizes and checks the result."""
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    model = _cut(model, entry.source, outputs, entry.side)
    shapes = free_shapes(model, entry.batch)
    del model.graph.output[:]
    for name in outputs:
        width = (shapes.get(name) or [None, None])[1]
        if width is None:
            raise invalid(_unknown(model, name, shapes, entry.batch))
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]))
    helper.set_model_props(model, {"scores_kind": kind})
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise invalid(f"cutting it to its outputs failed: {checker_says(error)}") from None
    return _described(model, kind)


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
    trained = [t for t in graph.initializer if t.data_type == TensorProto.FLOAT and t.name not in statistics]
    return sum(int(np.prod(list(t.dims), dtype=np.int64)) for t in trained)
