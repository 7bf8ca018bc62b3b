"""Imports a file in which EXPORT wrote only the trained layers of a model on arrays or columns: as a trained model."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from sqlext.bigdl.installed import missing
from sqlext.bigdl.records import HeadSpec
from sqlext.bigdl.training import save_head
from sqlext.catalog.entry import CLASSIFIER, REGRESSOR, ModelEntry
from sqlext.catalog.layout import HEAD
from sqlext.catalog.names import ModelName
from sqlext.context import Context
from sqlext.errors import SqlExtError, error_at
from sqlext.networks.head import Head
from sqlext.networks.onnx_file import invalid, parse
from sqlext.transfer.formats.base import GraphFile
from sqlext.transfer.formats.listing import is_input
from sqlext.transfer.graphs import OF_A_HEAD
from sqlext.transfer.publishing import Incoming, Written
from sqlext.transfer.request import ImportRequest


def read_head(
    context: Context,
    request: ImportRequest,
    name: ModelName,
    existing: ModelEntry | None,
    graph: GraphFile,
    labels: tuple[str, ...] | None,
) -> Incoming:
    """Returns the head as a classifier or regressor, with the labels of the statement or otherwise of the file.

    :raises SqlExtError: OPTION_WITHOUT_EFFECT, INVALID_NETWORK, LABELS_MISMATCH, MODEL_KIND_MISMATCH.
    """
    _check_options(request)
    with error_at(request.path_offset):
        head, described = _read(graph)
    labels = labels or (tuple(map(str, described["labels"])) if described.get("labels") else None)
    kind = CLASSIFIER if labels else REGRESSOR
    if labels and (len(labels) != head.outputs or len(set(labels)) != len(labels)):
        values = {"given": len(labels), "distinct": len(set(labels)), "outputs": head.outputs}
        raise SqlExtError("LABELS_MISMATCH", offset=request.labels_offset, **values)
    if not labels and head.outputs != 1:
        raise invalid(f"it has {head.outputs} outputs and no labels; add LABELS")
    if existing is not None and existing.kind != kind:
        offset = request.name.offset
        raise SqlExtError("MODEL_KIND_MISMATCH", model=name, kind=existing.kind, wanted=kind, offset=offset)

    def write(folder: Path) -> Written:
        (folder / HEAD).write_bytes(head.to_onnx())
        _write_bigdl(context, head, kind, folder)
        parameters = {"sha256": graph.sha256, "source": request.path}
        parameters |= {k: str(described[k]) for k in ("label_column", "target_column", "task") if described.get(k)}
        known = described | {"labels": list(labels) if labels else None}
        return Written(_manifest(name, request, graph, head, known), parameters)

    content = hashlib.sha256(graph.data + json.dumps(labels).encode()).hexdigest()
    return Incoming(kind, content, write, request.comment)


def _check_options(request: ImportRequest) -> None:
    """Refuses the options about preprocessing and about the outputs of a graph."""
    for key, offset in request.given.items():
        if key != "promote":
            reason = "the file holds only trained layers, which take arrays or columns unchanged"
            raise SqlExtError("OPTION_WITHOUT_EFFECT", option=key, reason=reason, offset=offset)


def _read(graph: GraphFile) -> tuple[Head, dict[str, Any]]:
    """Returns the layers, and the keys of :data:`OF_A_HEAD` that the file describes."""
    assert graph.described is not None
    described = {key: value for key, value in (graph.described.head or {}).items() if key in OF_A_HEAD}
    parse(graph.data, None)
    try:
        head = _chain(onnx.load_from_string(graph.data).graph)
    except (KeyError, IndexError, ValueError):
        raise invalid("its layers are not those of a trained model as EXPORT writes them") from None
    if not is_input(described.get("input"), "array", "columns") or described.get("width") != head.width:
        raise invalid("its description of the features does not match its layers")
    return head, described


# Sub and Div (Add and Mul in BigDL's form), Gemm nodes with Relu between them; Cast stands between DOUBLE and FLOAT.
_OPERATORS = re.compile(r"((Sub Div|Add Mul)( Cast)? )?(Gemm Relu )*Gemm( Cast Add)?")


def _chain(graph: onnx.GraphProto) -> Head:
    """Reads a graph that is one chain, as :meth:`Head.to_onnx` and BigDL's export write it.

    :raises ValueError, KeyError, IndexError: if the graph has another form.
    """
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    operators = " ".join(node.op_type for node in graph.node)
    names = [graph.input[0].name, *(node.output[0] for node in graph.node)]
    chained = all(node.input[0] == name for node, name in zip(graph.node, names, strict=False))
    if not _OPERATORS.fullmatch(operators) or not chained or names[-1] != graph.output[0].name:
        raise ValueError("no chain of layers")
    scaling: list[Any] = []
    weights: list[Any] = []
    for node in graph.node:
        constants = [arrays[name] for name in node.input[1:]]
        if node.op_type == "Gemm":
            constants[0] = _weight(node, constants[0])
        if node.op_type in ("Gemm", "Add") and weights:
            weights += constants
        elif node.op_type == "Gemm":
            weights = constants
        else:
            scaling += [constant.reshape(-1) for constant in constants]
    # BigDL's files hold the scaling as an addition of -mean and a multiplication by 1/std (sqlext/bigdl/operators.py).
    if operators.startswith("Add"):
        scaling = [-scaling[0], np.float32(1) / scaling[1]]
    for weight, bias in zip(weights[::2], weights[1::2], strict=True):
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise ValueError("sizes")
    return Head(tuple(weights), *scaling)


def _weight(gemm: onnx.NodeProto, weight: NDArray[Any]) -> NDArray[Any]:
    """The weight of a layer as outputs x inputs, the form that EXPORT writes.

    :raises ValueError: if the layer multiplies by anything else.
    """
    given = {a.name: helper.get_attribute_value(a) for a in gemm.attribute}
    if given.get("transA", 0) or given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1:
        raise ValueError("not a plain layer")
    return weight if given.get("transB", 0) else weight.T


def _write_bigdl(context: Context, head: Head, kind: str, folder: Path) -> None:
    if missing(context.spark) is None:
        spec = HeadSpec.of(head, regression=kind == REGRESSOR)
        save_head(context.spark, spec, list(head.weights), folder)


def _manifest(
    name: ModelName, request: ImportRequest, graph: GraphFile, head: Head, described: dict[str, Any]
) -> dict[str, Any]:
    kind = "logits" if described["labels"] else "value"
    sizes = " -> ".join(str(n) for n in [head.width, *(w.shape[0] for w in head.weights[::2])])
    return described | {
        "model": str(name),
        "backbone": None,
        "scores_kind": kind,
        "precision": {"use": "f32", "reason": "arrays are scored in f32"},
        "source": {"path": request.path, "format": request.format, "sha256": graph.sha256},
        "statement": None,
        "details": {
            "source": f"{request.path} (FORMAT {request.format}, sha256 {graph.sha256})",
            "layers": f"Linear({sizes}); {head.parameters:,} parameters",
            "precision": "f32: arrays are scored in f32",
        },
    }
