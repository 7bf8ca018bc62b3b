"""Reads the ONNX file of any image network into the form that this package stores.

``read_network`` finds the input, the output and the embedding, removes the rest, frees the batch axis and flattens both
outputs to N x width.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import onnx
from onnx import TensorProto, helper

from sqlext.networks.batch import free_batch
from sqlext.networks.embedding import find_embedding
from sqlext.networks.flatten import as_float, copied, flat
from sqlext.networks.half_precision import widen
from sqlext.networks.inputs import ImageInput, choose_input, take_pictures
from sqlext.networks.library_text import checker_says
from sqlext.networks.meaning import LOG_PROBABILITIES, PROBABILITIES, SIGMOIDS, meaning_in_graph
from sqlext.networks.network import Network, described
from sqlext.networks.onnx_file import invalid, parse, refuse_training, tidy
from sqlext.networks.outputs import choose_output
from sqlext.networks.scores import VALUE
from sqlext.networks.sizes import check_image_size, check_tensor_sizes, free_shapes, shapes_at
from sqlext.networks.unknown_sizes import why_unknown
from sqlext.networks.wiring import Shapes, Wiring, shapes_of

NEWEST_IR = 10  # of the networks that are stored: older releases of the engines read it, and it has all that they need
PRODUCER = "bigdl-sqlext"


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
    :param input: the tensor (or node) that takes the image; default: the only one that can be a picture.
    :param output: the tensor (or node) with the class scores; default: the only one that can hold them.
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
    file = _parsed(data, folder)
    result, output_notes = choose_output(file.model, output)
    entry = take_pictures(file.model, choose_input(file.model, input), image_size, file.metadata)
    named = Wiring(file.model.graph).tensor(embedding) if embedding else None
    model = _cut(file.model, entry.source, [result] + ([named] if named else []), entry.side)
    check_tensor_sizes(model, shapes_at(model, entry.batch))
    if entry.free_size:
        check_image_size(model, entry.batch, entry.side)
    freed = free_batch(model, entry.batch)
    chosen, kind = _embedding(model, result, named, free_shapes(model, entry.batch), classes=classes)
    ends = _ends(model, chosen, result, entry.batch, copy=chosen == result and classes and not named)
    network = _finish(model, entry, ends, scores or kind)
    notes = (*entry.input_spec.notes, *output_notes, *_changes(file.half, freed, entry.batch))
    return replace(network, input_spec=replace(entry.input_spec, notes=notes))


class _File(NamedTuple):
    """``half``: the type of 16 bits that was replaced, such as 'float16'."""

    model: onnx.ModelProto
    metadata: dict[str, str]
    half: str | None


def _parsed(data: bytes, folder: Path | None) -> _File:
    model = parse(data, folder)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    tidy(model)
    refuse_training(model)
    half = widen(model)
    check_tensor_sizes(model, shapes_of(model))
    return _File(model, metadata, half)


def _ends(model: onnx.ModelProto, embedding: str, result: str, batch: int, *, copy: bool) -> list[str]:
    """The outputs as N x width of float32.

    :param copy: the scores are also the embedding, as a second output.
    """
    outputs = [as_float(model, name) for name in dict.fromkeys((embedding, result))]
    if copy:
        outputs.insert(0, copied(model, outputs[0]))
    shapes = free_shapes(model, batch)
    # Only the embedding may be averaged over height and width: scores per position are not the scores of an image.
    return [flat(model, name, shapes, batch, pool=position == 0) for position, name in enumerate(outputs)]


def _embedding(
    model: onnx.ModelProto, result: str, named: str | None, shapes: Shapes, *, classes: bool
) -> tuple[str, str]:
    """The tensor of the embedding, which is ``result`` if none is found, and the kind of the scores."""
    meaning = meaning_in_graph(model, result, shapes)
    kind = "probabilities" if meaning in (PROBABILITIES, SIGMOIDS) else "logits"
    if named:
        return named, kind
    classes = classes or meaning in (PROBABILITIES, SIGMOIDS, LOG_PROBABILITIES)
    return find_embedding(Wiring(model.graph), result, shapes, classes=classes) or result, kind


def _changes(half: str | None, freed: list[str], batch: int) -> list[str]:
    """What was changed so that the engines can run the network on any number of pictures."""
    notes = [f"its {half} weights are stored as float32"] if half else []
    if freed:
        more = f" and {len(freed) - 1} more operators" if len(freed) > 1 else ""
        notes.append(f"the batch size of {batch} that {freed[0]}{more} fixed was made free")
    return notes


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


def _finish(model: onnx.ModelProto, entry: ImageInput, outputs: list[str], kind: str) -> Network:
    """Reduces the graph to its outputs, declares their sizes and checks the result."""
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    model = _cut(model, entry.source, outputs, entry.side)
    shapes = free_shapes(model, entry.batch)
    del model.graph.output[:]
    for name in outputs:
        width = (shapes.get(name) or [None, None])[1]
        if width is None:
            raise invalid(why_unknown(model, name, shapes, entry.batch))
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]))
    helper.set_model_props(model, {"scores_kind": kind})
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise invalid(f"cutting it to its outputs failed: {checker_says(error)}") from None
    return described(model, kind)
