"""Finds a network's embedding: the tensor that its classifier reads."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from sqlext.networks.contrib import QUANTISING, operator
from sqlext.networks.wiring import Shapes, Wiring

# Operators that only change a shape or a type.
SHAPING = {
    "Identity",
    "Dropout",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Expand",
    "Cast",
    "CastLike",
}
# Operators that select some classes, or limit or round their scores.
SELECTING = {
    *("Slice", "Gather", "Split", "Clip", "Min", "Max", "Round", "Floor", "Ceil"),
    *("QuantizeLinear", "DequantizeLinear", "FakeQuantize"),
}
_COMPARING = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Where"}
SCALING = {"Add", "Sub", "Mul", "Div", "Neg", "BatchNormalization"}
SQUASHING = {
    "Softmax",
    "LogSoftmax",
    "Sigmoid",
    "HardSigmoid",
    "Exp",
    "Log",
    "Reciprocal",
    "LpNormalization",
    "Normalizer",
}
POOLING = {"GlobalAveragePool", "AveragePool", "ReduceMean"}
_SUMMING = {"ReduceSum", "ReduceMax", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare", "Sqrt"}
DENSE = {"Gemm", "MatMul", "Einsum"}
# Operators of ai.onnx.ml whose first output holds labels, and whose second output holds scores.
CLASSIFIERS = {"LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"}
# What may follow the classifier, since it computes no new features.
_TAIL = SHAPING | SELECTING | SCALING | SQUASHING | POOLING | _SUMMING | _COMPARING | {"Relu", "Sum", "Mean", "Concat"}
# What follows a classifier only if the output is known to hold class scores; otherwise it follows a hidden layer.
_ACTIVATIONS = {"Tanh", "LeakyRelu", "PRelu", "Elu", "Selu", "Softplus", "Softsign", "HardSwish", "Gelu", "Erf"}
# Operators that may join several paths from the same features: two heads, or scores and their sum.
_JOINING = {"Add", "Sub", "Div", "Sum", "Mean", "Max", "Min", "Concat", "Where"}
_HIDDEN = "hidden"  # an operator was passed that follows a hidden layer rather than a classifier
_POOLED = "pooled"


def find_embedding(wiring: Wiring, output: str, shapes: Shapes, *, classes: bool = False) -> str | None:
    """The tensor that the classifier reads: the input of the last Gemm or MatMul, or of the last convolution.

    The input of a convolution must be pooled by the caller. If several paths lead to ``output``, all must end at the same
    tensor.

    :param classes: ``output`` is known to hold class scores. Otherwise a layer followed by ReLU or batch normalisation is
        a hidden layer, not a classifier.
    :return: None if no classifier is found.
    """
    return _Search(wiring, shapes, classes).features(output)


def likely_embedding(wiring: Wiring, output: str, shapes: Shapes) -> str | None:
    """A tensor to propose if :func:`find_embedding` finds none: what the last layer of the first path reads."""
    node = wiring.producer.get(output)
    while node is not None and (inputs := wiring.activations(node)):
        mixes = operator(node) not in _TAIL
        if mixes and inputs[0] != output and len(shapes.get(inputs[0]) or ()) in (2, 4):
            return inputs[0] if inputs[0] in wiring.producer else None
        node = wiring.producer.get(inputs[0])
    return None


# Properties of the operators between the classifier and the output.
_Passed = frozenset[str]


class _Search:
    """A search from the output back to the classifier."""

    def __init__(self, wiring: Wiring, shapes: Shapes, classes: bool) -> None:
        self.wiring = wiring
        self.shapes = shapes
        self.classes = classes

    def features(self, output: str) -> str | None:
        """What the classifier before ``output`` reads, if all paths back from there end at the same tensor."""
        waiting: list[tuple[str, _Passed]] = [(output, frozenset())]
        seen, ends = set(waiting), set[str]()
        while waiting:
            step = self._step(*waiting.pop())
            if step is None:
                return None
            end, before = step
            ends.update([end] if end else [])
            waiting += [each for each in before if each not in seen]
            seen.update(before)
        return ends.pop() if len(ends) == 1 else None

    def _step(self, name: str, passed: _Passed) -> tuple[str | None, list[tuple[str, _Passed]]] | None:
        """The features if a classifier computes ``name``, otherwise the tensors before it; None if it cannot be passed."""
        node = self.wiring.producer.get(name)
        inputs = self.wiring.activations(node) if node is not None else []
        if node is None or not inputs:
            return None
        kind = operator(node)
        if kind in CLASSIFIERS:
            return inputs[0], []
        if kind in DENSE and len(inputs) == 1 and is_softmax(self.wiring, inputs[0]):  # it adds up groups of classes
            return None, [(inputs[0], passed)]
        if kind in DENSE or kind == "Conv":
            fits = self._is_dense(node, passed) if kind in DENSE else self._classifies(node, passed)
            return (self._unquantised(inputs[0]), []) if fits and len(inputs) == 1 else None
        if kind not in _TAIL | (_ACTIVATIONS if self.classes else set()) or (
            len(inputs) > 1 and not self._joins(node, kind, inputs)
        ):
            return None
        passed |= self._properties(node, kind)
        return None, [(each, passed) for each in inputs]

    def _properties(self, node: onnx.NodeProto, kind: str) -> _Passed:
        """What matters of an operator for deciding whether the layer before it is a classifier.

        There are only three properties, so that a tensor is visited at most eight times.
        """
        hidden = {_HIDDEN} if self._is_hidden(node, kind) else set[str]()
        return frozenset(hidden | ({_POOLED} if kind in POOLING else set()) | ({kind} if kind == "Relu" else set()))

    def _joins(self, node: onnx.NodeProto, kind: str, inputs: list[str]) -> bool:
        """A product of two paths is a gate of a hidden layer (Swish), unless one path is the reciprocal of a sum."""
        makers = [self.wiring.producer[each] for each in inputs if each in self.wiring.producer]
        return kind in _JOINING or (kind == "Mul" and any(operator(maker) == "Reciprocal" for maker in makers))

    def _is_hidden(self, node: onnx.NodeProto, kind: str) -> bool:
        """Whether an operator usually follows a hidden layer: batch normalisation, or a ReLU that is written as Clip or Max."""
        if kind == "BatchNormalization":
            return True
        limits = limits_of(self.wiring, node)
        return kind in ("Clip", "Max") and limits[0] == 0 and (limits[1] is None or limits[1] > 1)

    def _is_dense(self, node: onnx.NodeProto, passed: _Passed) -> bool:
        return self.classes or not passed & {"Relu", _HIDDEN}

    def _classifies(self, conv: onnx.NodeProto, passed: _Passed) -> bool:
        """Whether a convolution is the classifier: it returns one number per class, or averaged 1 x 1 maps."""
        grouped = any(attribute.name == "group" and attribute.i > 1 for attribute in conv.attribute)
        if grouped:
            return False
        if (self.shapes.get(conv.output[0]) or [])[2:] == [1, 1]:
            return self._is_dense(conv, passed)
        kernel = next((list(a.ints) for a in conv.attribute if a.name == "kernel_shape"), [])
        kernel = kernel or list(self.shapes.get(conv.input[3 if conv.op_type == "QLinearConv" else 1]) or [])[2:]
        return kernel == [1, 1] and _POOLED in passed and (self.classes or _HIDDEN not in passed)

    def _unquantised(self, name: str) -> str:
        """The float tensor before it was rounded for an integer product, cast to another type, or turned for a product W x."""
        node = self.wiring.producer.get(name)
        while node is not None and (node.op_type in QUANTISING or _casts_from_float(node) or self._turns(node)):
            name = node.input[0]
            node = self.wiring.producer.get(name)
        return name

    def _turns(self, node: onnx.NodeProto) -> bool:
        """Whether an operator makes width x N of N x width."""
        before, after = (self.shapes.get(name) or [1] for name in (node.input[0], node.output[0]))
        return node.op_type == "Transpose" and before[0] is None and after[0] is not None


def _casts_from_float(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and all(attribute.i != TensorProto.FLOAT for attribute in node.attribute)


def is_softmax(wiring: Wiring, name: str) -> bool:
    """Whether a tensor holds the result of a Softmax."""
    node = wiring.producer.get(name)
    while node is not None and operator(node) in SHAPING:
        node = wiring.producer.get(node.input[0])
    return node is not None and operator(node) == "Softmax"


def limits_of(wiring: Wiring, node: onnx.NodeProto) -> tuple[float | None, float | None]:
    """The lower and upper bound that a Clip, Max or Min applies; None for a bound that it has not or that is computed."""
    if operator(node) in ("Max", "Min"):
        bound = next((bound for name in node.input if (bound := _number(wiring, name)) is not None), None)
        return (bound, None) if operator(node) == "Max" else (None, bound)
    written = {attribute.name: attribute.f for attribute in node.attribute}
    given = [*(_number(wiring, name) for name in node.input[1:3]), None, None]
    return written.get("min", given[0]), written.get("max", given[1])


def _number(wiring: Wiring, name: str) -> float | None:
    """The value of a constant that is one number."""
    value = wiring.value(name) if name else None
    return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None
