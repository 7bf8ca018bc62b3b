"""Why the width of a tensor is unknown, or its batch size fixed: the sentences name the operator that is the cause."""

from __future__ import annotations

import onnx

from sqlext.networks.batch import fixing_node
from sqlext.networks.contrib import CONTRIB
from sqlext.networks.sizes import shapes_at
from sqlext.networks.wiring import Shapes, shown

_ONNX = ("", "ai.onnx", "ai.onnx.ml")
FREE = "export it with a free batch axis"
_ONLY_ONNXRUNTIME = (
    ", which only ONNX Runtime has; export the network without ONNX Runtime's optimizations, or quantise it with "
    "quant_format = QuantFormat.QDQ"
)


def why_unknown(model: onnx.ModelProto, name: str, shapes: Shapes, batch: int) -> str:
    """Names the first operator whose output sizes cannot be inferred.

    :param batch: the number of pictures for which the graph was exported.
    """
    if name in shapes_at(model, batch):  # known for one number of pictures, but not for another
        return why_fixed(model, name, shapes, batch)
    node = next((node for node in model.graph.node if node.output[0] not in shapes), None)
    where = f" after {_named(node)}{_foreign(node)}" if node else ""
    return f"the width of '{name}' is unknown: sizes cannot be inferred{where}"


def why_fixed(model: onnx.ModelProto, name: str, shapes: Shapes, batch: int) -> str:
    """Names the operator that fixes the batch size."""
    if (node := fixing_node(model, batch)) is not None:
        return f"{node} fixes the batch size: {FREE}"
    return f"'{name}' is {shown(shapes.get(name))}: its batch size is fixed; {FREE}"


def _named(node: onnx.NodeProto) -> str:
    return f"'{node.name}' ({node.domain + '.' if node.domain else ''}{node.op_type})"


def _foreign(node: onnx.NodeProto) -> str:
    """What to do about an operator that ONNX does not have."""
    if node.domain in _ONNX:
        return ""
    if node.domain == CONTRIB:
        return _ONLY_ONNXRUNTIME
    return f"; '{node.domain}' is not a domain of ONNX: export the network without this operator"
