"""Finds the tensor with the class scores, also behind outputs that hold labels or maps from labels to scores."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from sqlext.networks.contrib import CONTRIB, operator
from sqlext.networks.embedding import CLASSIFIERS, DENSE, SCALING, SELECTING, SHAPING, SQUASHING, is_softmax
from sqlext.networks.onnx_file import invalid
from sqlext.networks.quantised import parameters_of
from sqlext.networks.wiring import Wiring, shown, sizes_of, types_of

FLOATS = {TensorProto.FLOAT, TensorProto.DOUBLE}
Types = dict[str, onnx.TypeProto.Tensor]


def choose_output(model: onnx.ModelProto, named: str | None) -> tuple[str, list[str]]:
    """The tensor with the scores and notes for the user: the one that was named, or the only one that can hold them.

    :raises SqlExtError: INVALID_NETWORK, listing the outputs.
    """
    wiring, types = Wiring(model.graph), types_of(model)
    outputs = [wiring.tensor(named)] if named is not None else [output.name for output in model.graph.output]
    behind = {output: _scores_behind(wiring, types, output) for output in outputs}
    found = [tensor for tensor in dict.fromkeys(behind.values()) if tensor is not None]
    if len(outputs) > 1:
        found = [tensor for tensor in found if _is_scores(types, tensor)]
    if len(found) == 1:
        return found[0], _notes(outputs, behind, found[0])
    if len(outputs) == 1:
        raise invalid(f"its output '{outputs[0]}' holds labels, not scores, and the scores cannot be found")
    listed = ", ".join(f"'{name}'" for name in outputs) or "none"
    proposed = (found or ["..."])[0]
    sizes = ", ".join(f"'{name}' is {_shown(types, name)}" for name in dict.fromkeys([*outputs, *found]))
    raise invalid(f"it has {len(outputs)} outputs ({listed}); name one: OPTIONS (output = '{proposed}'); {sizes}")


def _scores_behind(wiring: Wiring, types: Types, name: str) -> str | None:
    """The first tensor of decimal numbers, also 8-bit ones with a scale, on the way from an output to the input.

    Maps and lists of the largest are passed.
    """
    current: str | None = name
    while current is not None and (node := wiring.producer.get(current)) is not None:
        if node.op_type in CLASSIFIERS:
            return str(node.output[1])
        known = types.get(current)
        is_map = node.op_type in ("ZipMap", "TopK")
        decimal = known is None or known.elem_type in FLOATS or parameters_of(wiring, current) is not None
        # The types of ONNX Runtime's own operators cannot be inferred; none of those in networks returns labels.
        if not is_map and (decimal or node.domain == CONTRIB):
            return _before_sorting(wiring, types, current)
        if operator(node) in DENSE | {"Conv"}:
            raise invalid(
                f"'{current}' holds the whole numbers of the integer product '{node.name}' ({node.op_type}), and their scale "
                "is unknown: export the network with the Mul that turns them into decimal numbers"
            )
        current = next(iter(wiring.activations(node)), None)
    kind = types.get(current) if current else None
    return current if kind is not None and kind.elem_type in FLOATS else None


def _before_sorting(wiring: Wiring, types: Types, name: str) -> str:
    """The scores in the order of the classes, if ``name`` is computed from the largest ones or from labels."""
    current: str | None = name
    while current is not None and (node := wiring.producer.get(current)) is not None:
        if _selects_the_largest(wiring, node) and _is_scores(types, node.input[0]):
            return str(node.input[0])
        if operator(node) not in SHAPING | SCALING | SQUASHING | SELECTING:
            break
        carried = wiring.activations(node)
        current = carried[0] if len(carried) == 1 else None
    return name


def _selects_the_largest(wiring: Wiring, node: onnx.NodeProto) -> bool:
    """Whether an operator returns the best classes or their scores. The largest of other numbers can be a score itself."""
    return node.op_type in ("TopK", "ArgMax") or (node.op_type == "ReduceMax" and is_softmax(wiring, node.input[0]))


def _is_scores(types: Types, name: str) -> bool:
    """Whether a tensor can be N x K, with more than one number per picture."""
    sizes = sizes_of(types[name]) if name in types else None
    if sizes is None:
        return True
    return len(sizes) > 1 and all(size == 1 for size in sizes[2:])


def _notes(outputs: list[str], behind: dict[str, str | None], found: str) -> list[str]:
    if found in outputs:
        return [] if len(outputs) == 1 else [f"of its {len(outputs)} outputs, only '{found}' can hold the class scores"]
    output = next(name for name, tensor in behind.items() if tensor == found)
    return [f"its output '{output}' holds labels or the largest scores; the class scores are in '{found}'"]


def _shown(types: Types, name: str) -> str:
    if name not in types:
        return "not a tensor"
    kind = TensorProto.DataType.Name(types[name].elem_type).lower()
    return f"{shown(sizes_of(types[name]))} ({kind})"
