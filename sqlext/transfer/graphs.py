"""Turns a version into one ONNX graph that any runtime can run and that IMPORT reads with its labels and preprocessing.

A model trained on images becomes its backbone followed by the trained layers. The metadata key ``sqlext.export`` holds
what a graph cannot express.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto, helper

from sqlext.catalog.backbones import recorded_backbone
from sqlext.catalog.entry import ModelVersion
from sqlext.catalog.facade import ModelCatalog
from sqlext.catalog.layout import HEAD, NETWORK
from sqlext.errors import SqlExtError
from sqlext.networks.graph import PRODUCER
from sqlext.networks.head import Head
from sqlext.networks.scores import VALUE
from sqlext.networks.wiring import Wiring
from sqlext.text import parsed_json

EXPORT_KEY = "sqlext.export"
PREPROCESSING_KEY = "sqlext.preprocessing"
# The keys of a trained model's manifest that describe its features and the meaning of its outputs.
OF_A_HEAD = (
    *("task", "input", "width", "scores_kind"),
    *("labels", "label_column", "label_type", "target_column", "target_type"),
)


@dataclass(frozen=True)
class Described:
    """The content of ``sqlext.export``.

    ``options`` are those of IMPORT: names of tensors, preprocessing. ``head`` has the keys of OF_A_HEAD if the graph
    consists only of trained layers. ``regression``: the last output is a value.
    """

    labels: tuple[str, ...] | None
    options: dict[str, Any]
    head: dict[str, Any] | None = None
    regression: bool = False

    def to_json(self) -> str:
        return json.dumps(
            {
                "labels": list(self.labels) if self.labels else None,
                "options": self.options,
                "head": self.head,
                "regression": self.regression,
            },
            ensure_ascii=False,
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Described | None:
        """Returns None if EXPORT did not write ``text``."""
        try:
            values = parsed_json(text)
            labels = None if values["labels"] is None else tuple(str(label) for label in values["labels"])
            head = None if values["head"] is None else dict(values["head"])
            return cls(labels, dict(values["options"]), head, bool(values["regression"]))
        except (ValueError, KeyError, TypeError):
            return None


def graph_of(catalog: ModelCatalog, version: ModelVersion) -> tuple[onnx.ModelProto, Described]:
    """Returns the version as a graph without metadata, and the content of the metadata.

    :raises SqlExtError: BACKBONE_MISSING, EXPORT_NOT_POSSIBLE.
    """
    manifest = catalog.read_manifest(version)
    if manifest["kind"] == "backbone":
        network = _network(catalog, version)
        return network, described_network(manifest, network)
    head = Head.from_onnx(catalog.read_bytes(version, HEAD))
    labels = tuple(manifest["labels"]) if manifest.get("labels") else None
    if manifest["input"]["kind"] == "image" and head.returns_double:
        reason = "the values of its target need DOUBLE, and a network that begins with an image returns FLOAT"
        raise SqlExtError("EXPORT_NOT_POSSIBLE", model=version, format="ONNX or BIGDL", reason=reason)
    if manifest["input"]["kind"] != "image":
        features = {key: manifest[key] for key in OF_A_HEAD if manifest.get(key) is not None}
        layers = onnx.load_from_string(head.to_onnx())
        for node in layers.graph.node:
            # BigDL's layers get the names of nodes, which a stored head leaves empty.
            node.name = node.output[0]
        return layers, Described(labels, {}, features, regression=labels is None)
    backbone = recorded_backbone(catalog, manifest["backbone"], version)
    model = with_head(_network(catalog, backbone), head)
    options = catalog.read_manifest(backbone)["input"]["preprocessing"] | {
        "output": model.graph.output[0].name,
        "embedding": _embedding(_network(catalog, backbone)),
        "scores": "logits" if labels else VALUE,
    }
    return model, Described(labels, options, regression=labels is None)


def described_network(manifest: Mapping[str, Any], model: onnx.ModelProto) -> Described:
    """Describes an imported network, with the names of its outputs, so that IMPORT need not search for them."""
    names = [output.name for output in model.graph.output]
    options = dict(manifest["input"]["preprocessing"])
    options |= {"output": names[-1], "embedding": names[0], "scores": manifest["scores_kind"]}
    labels = tuple(manifest["labels"]) if manifest.get("labels") else None
    return Described(labels, options, regression=manifest["scores_kind"] == VALUE)


def message(model: onnx.ModelProto, described: Described) -> str:
    """Says what the graph takes and returns, for users who run it elsewhere."""
    outputs = " and ".join(f"'{output.name}'" for output in model.graph.output)
    taken = (
        f"the features, N x width, unscaled{', as DOUBLE' if _is_double(model.graph.input[0]) else ''}"
        if described.head
        else "N x 3 x S x S, preprocessed as described in its metadata"
    )
    meaning = (
        " (logits: apply softmax to get the scores)"
        if described.labels and described.options.get("scores") != "probabilities"
        else ""
    )
    if _is_double(model.graph.output[-1]):
        meaning = " (DOUBLE)"
    return f"input '{model.graph.input[0].name}' takes {taken}; output {outputs}{meaning}"


def _is_double(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type == TensorProto.DOUBLE)


def needs_double(model: onnx.ModelProto) -> bool:
    """Whether a trained model's features or target need DOUBLE, which not every format has."""
    return any(_is_double(value) for value in (*model.graph.input, *model.graph.output))


def with_metadata(model: onnx.ModelProto, described: Described) -> bytes:
    """Returns the file: the same bytes for the same version."""
    values = {EXPORT_KEY: described.to_json()}
    preprocessing = {k: v for k, v in described.options.items() if k not in ("output", "embedding", "scores")}
    if preprocessing:
        values[PREPROCESSING_KEY] = json.dumps(preprocessing)
    helper.set_model_props(model, values)
    model.producer_name = PRODUCER
    return bytes(model.SerializeToString(deterministic=True))


def with_head(network: onnx.ModelProto, head: Head) -> onnx.ModelProto:
    """Returns the network up to its embedding, followed by the trained layers. Its output is N x classes logits, or values."""
    embedding, source = _embedding(network), network.graph.input[0].name
    needed = Wiring(network.graph).needed([embedding], source)
    nodes = [node for node in network.graph.node if node.output[0] in needed.produced]
    weights = [tensor for tensor in network.graph.initializer if tensor.name in needed.tensors]
    taken = needed.tensors | {name for node in nodes for name in (*node.output, node.name)}
    # A prefix that the network does not use keeps the head's names distinct; the head's input becomes the embedding.
    prefix = next(p for p in ("head", *(f"head_{i}" for i in range(2, 100))) if not _begins(taken, p))
    trained = onnx.load_from_string(head.to_onnx()).graph
    names = {name: f"{prefix}/{name}" for name in _names(trained)} | {"features": embedding}
    for node in trained.node:
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        node.name = node.output[0]
        nodes.append(node)
    for tensor in trained.initializer:
        tensor.name = names[tensor.name]
        weights.append(tensor)
    output = helper.make_tensor_value_info(names["logits"], TensorProto.FLOAT, ["N", head.outputs])
    graph = helper.make_graph(nodes, "network", [network.graph.input[0]], [output], weights)
    model = helper.make_model(graph, opset_imports=network.opset_import, producer_name=PRODUCER)
    model.ir_version = network.ir_version
    return model


def _network(catalog: ModelCatalog, version: ModelVersion) -> onnx.ModelProto:
    return onnx.load_from_string(catalog.local_copy(version, NETWORK).read_bytes())


def _embedding(network: onnx.ModelProto) -> str:
    """Returns the first output's name: a stored network has its embedding there."""
    return str(network.graph.output[0].name)


def _begins(names: set[str], prefix: str) -> bool:
    return any(name.startswith(f"{prefix}/") for name in names)


def _names(graph: onnx.GraphProto) -> set[str]:
    return {name for node in graph.node for name in (*node.input, *node.output)}
