"""Finds a network's embedding: the tensor that its classifier reads."""

from __future__ import annotations

import onnx

from sqlext.networks.wiring import Wiring

# Operators that only change a shape. TAIL: those that may follow the classifier, since they compute no new features.
SHAPING = {"Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze"}
TAIL = SHAPING | {"Softmax", "LogSoftmax", "Sigmoid", "Add", "Sub", "Mul", "Div", "Relu", "BatchNormalization", "Cast"}
POOLING = {"GlobalAveragePool", "AveragePool", "ReduceMean"}
DENSE = {"Gemm", "MatMul"}


def find_embedding(wiring: Wiring, output: str) -> str:
    """The tensor that the classifier reads: the input of the last Gemm or MatMul.

    If the classifier is a convolution (SqueezeNet), this is the convolution's input, which the caller must pool. If the
    network has no classifier, it is ``output`` itself.
    """
    name, passed = output, set[str]()
    while (node := wiring.producer.get(name)) is not None:
        activations = wiring.activations(node)
        # A node that joins two branches, such as a residual sum, is not part of a classifier.
        if len(activations) != 1:
            return output
        if node.op_type in DENSE:
            return activations[0]
        if node.op_type == "Conv":
            return activations[0] if _classifies(wiring, node, passed) else output
        if node.op_type not in TAIL | POOLING:
            return output
        passed.add(node.op_type)
        name = activations[0]
    return output


def _classifies(wiring: Wiring, conv: onnx.NodeProto, passed: set[str]) -> bool:
    """Whether a convolution is the classifier: it is 1 x 1, and its maps are averaged but not normalised."""
    kernel = next((list(t.dims[2:]) for t in wiring.graph.initializer if t.name == conv.input[1]), [])
    return kernel == [1, 1] and bool(passed & POOLING) and "BatchNormalization" not in passed


def scores_kind_of(wiring: Wiring, output: str) -> str:
    """'probabilities' if the last operator that changes values is Softmax, otherwise 'logits'."""
    node = wiring.producer.get(output)
    while node is not None and node.op_type in SHAPING:
        node = wiring.producer.get(node.input[0])
    return "probabilities" if node is not None and node.op_type == "Softmax" else "logits"
