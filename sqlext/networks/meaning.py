"""What the output of a network means: what its last operators say, and what its values for several pictures say."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from sqlext.networks.contrib import operator
from sqlext.networks.embedding import CLASSIFIERS, DENSE, POOLING, SCALING, SELECTING, SHAPING, limits_of
from sqlext.networks.wiring import Shapes, Wiring

PROBABILITIES = "probabilities"  # one label per picture: not negative, and 1 in sum
SIGMOIDS = "sigmoids"  # each value is the probability of its own label
LOGITS = "logits"
LOG_PROBABILITIES = "log probabilities"
PERCENTAGES = "percentages"  # probabilities times a constant, or 1 - p: the sum is the same for all pictures
NEGATIVE_LOGS = "negative logs"  # the larger a value, the smaller the probability
DIRECTIONS = "directions"  # an embedding of length 1

Values = NDArray[np.float32]
SUM_BOUND = 1e-4
_ROUGHLY = 1e-2


def meaning_in_graph(model: onnx.ModelProto, output: str, shapes: Shapes) -> str | None:
    """PROBABILITIES, SIGMOIDS, LOGITS or LOG_PROBABILITIES by the last operator that changes values; None if it does not tell.

    Operators that shape, select, limit or round the values are passed. Sums and factors are passed only back to the
    classifier: after a Softmax, they may turn probabilities into something else.
    """
    wiring, name = Wiring(model.graph), output
    scaled = limited = False
    while (node := wiring.producer.get(name)) is not None:
        kind = operator(node)
        if kind in _SQUASHED:
            decided = kind != "Softmax" or _over_classes(model, node, shapes)
            return _SQUASHED[kind] if decided and not scaled else None
        if kind in CLASSIFIERS:
            return _AFTER_CLASSIFIER.get(_post_transform(node)) if not scaled else None
        inputs = wiring.activations(node)
        if len(inputs) != 1:
            return None
        if kind in DENSE or kind == "Conv":
            return None if limited else LOGITS
        if kind in SCALING | POOLING | {"Relu"}:
            scaled = True
        elif kind not in SHAPING | SELECTING:
            return None
        limited |= kind in ("Clip", "Min") and (limits_of(wiring, node)[1] or 2) <= 1
        name = inputs[0]
    return None


_SQUASHED = {
    "Softmax": PROBABILITIES,
    "LogSoftmax": LOG_PROBABILITIES,
    "Sigmoid": SIGMOIDS,
    "HardSigmoid": SIGMOIDS,
    "Tanh": LOGITS,  # from -1 to 1, even if its values for a few pictures are positive
}
# What the scores of ai.onnx.ml's classifiers are after the transformation that they contain.
_AFTER_CLASSIFIER = {"SOFTMAX": PROBABILITIES, "LOGISTIC": SIGMOIDS}


def _post_transform(node: onnx.NodeProto) -> str:
    return next((a.s.decode() for a in node.attribute if a.name == "post_transform"), "NONE")


def _over_classes(model: onnx.ModelProto, softmax: onnx.NodeProto, shapes: Shapes) -> bool:
    """Whether a Softmax sums over the axis of the classes, which is the only one with several values per picture."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    written = next((a.i for a in softmax.attribute if a.name == "axis"), -1 if opset >= 13 else 1)
    sizes = shapes.get(softmax.input[0])
    if sizes is None:
        return written in (1, -1)
    axis = written % len(sizes)
    if opset < 13 and axis == 1:  # all later axes together
        return True
    return axis > 0 and all(size == 1 for i, size in enumerate(sizes) if i not in (0, axis))


def meaning_of(in_graph: str | None, values: Values | None) -> str | None:
    """What an output means by its graph and its values for several pictures, (N, width); None if there are no values."""
    if in_graph == LOG_PROBABILITIES or values is None:
        return in_graph
    if are_probabilities(values):
        return PROBABILITIES
    if in_graph in (PROBABILITIES, SIGMOIDS):
        return in_graph
    if in_graph is None and (by_numbers := _by_numbers(values)) is not None:
        return by_numbers
    lengths = np.linalg.norm(values, axis=1)
    return DIRECTIONS if values.shape[1] > 1 and np.allclose(lengths, 1, atol=SUM_BOUND) else LOGITS


def _by_numbers(values: Values) -> str | None:
    if roughly_probabilities(values):
        return PROBABILITIES
    if _are_percentages(values):
        return PERCENTAGES
    if between_0_and_1(values):
        return SIGMOIDS
    return NEGATIVE_LOGS if values.min() >= 0 and _same_sums(np.exp(-values), 1, SUM_BOUND) else None


def roughly_probabilities(values: Values) -> bool:
    """As :func:`are_probabilities`, also if the values were rounded or small ones were set to 0."""
    return between_0_and_1(values) and _same_sums(values, 1, _ROUGHLY)


def are_probabilities(values: Values) -> bool:
    """Whether the values of each picture are probabilities of several labels of which one applies."""
    return between_0_and_1(values) and _same_sums(values, 1, SUM_BOUND)


def between_0_and_1(values: Values) -> bool:
    return bool(values.min() >= -1e-6 and values.max() <= 1 + 1e-6)


def _same_sums(values: Values, total: float, bound: float) -> bool:
    sums = values.sum(axis=1, dtype=np.float64)
    return values.shape[1] > 1 and bool(np.abs(sums / total - 1).max() <= bound)


def _are_percentages(values: Values) -> bool:
    total = float(values[0].sum(dtype=np.float64))
    return len(values) > 1 and bool(values.min() >= 0) and total > 0 and _same_sums(values, total, SUM_BOUND)
