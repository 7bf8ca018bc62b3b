"""The trained head: one Linear layer, or several with ReLU between them, stored as a small ONNX graph and run in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """``weights`` are [W1, b1, W2, b2, ..] with W of shape (out, in), as in BigDL's Linear and ONNX's Gemm(transB).

    ``mean`` and ``std`` (width,) scale the features before the first layer as in training; None: features are not scaled.
    """

    weights: tuple[Floats, ...]
    mean: Floats | None = None
    std: Floats | None = None

    @property
    def width(self) -> int:
        """The number of features per row."""
        return int(self.weights[0].shape[1])

    @property
    def outputs(self) -> int:
        return int(self.weights[-1].shape[0])

    @property
    def parameters(self) -> int:
        return sum(w.size for w in self.weights)

    def scale(self, features: Floats) -> Floats:
        """(N, width) float32 -> the same shape, standardised if the head was trained on standardised features."""
        if self.mean is None or self.std is None:
            return features
        return ((features - self.mean) / self.std).astype(np.float32)

    def logits(self, features: Floats) -> Floats:
        """(N, width) float32, unscaled -> (N, outputs) float32."""
        x = self.scale(features)
        pairs = list(zip(self.weights[::2], self.weights[1::2], strict=True))
        for i, (weight, bias) in enumerate(pairs):
            x = x @ weight.T + bias
            if i + 1 < len(pairs):
                x = np.maximum(x, 0)
        return x

    def to_onnx(self) -> bytes:
        """The head as an ONNX graph from `features` (N x width, unscaled) to `logits`."""
        nodes, initializers, current = [], [], "features"
        if self.mean is not None and self.std is not None:
            initializers += [numpy_helper.from_array(self.mean, "mean"), numpy_helper.from_array(self.std, "std")]
            nodes += [helper.make_node("Sub", [current, "mean"], ["centred"])]
            nodes += [helper.make_node("Div", ["centred", "std"], ["scaled"])]
            current = "scaled"
        count = len(self.weights) // 2
        for i in range(count):
            names = [f"linear_{i + 1}.weight", f"linear_{i + 1}.bias"]
            initializers += [numpy_helper.from_array(w, n) for w, n in zip(self.weights[2 * i :], names, strict=False)]
            output = "logits" if i + 1 == count else f"linear_{i + 1}"
            nodes.append(helper.make_node("Gemm", [current, *names], [output], transB=1))
            current = output
            if i + 1 < count:
                nodes.append(helper.make_node("Relu", [output], [f"relu_{i + 1}"]))
                current = f"relu_{i + 1}"
        graph = helper.make_graph(
            nodes,
            "head",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", self.width])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", self.outputs])],
            initializers,
        )
        # Fixed versions: onnx's own default is the newest that it knows. An import compares the bytes with those written here.
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return bytes(model.SerializeToString(deterministic=True))

    @classmethod
    def from_onnx(cls, data: bytes) -> Head:
        """Reads what :meth:`to_onnx` wrote: only its arrays, nothing is run."""
        arrays = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(data).graph.initializer}
        count = sum(name.endswith(".weight") for name in arrays)
        weights = [arrays[f"linear_{i + 1}.{kind}"] for i in range(count) for kind in ("weight", "bias")]
        return cls(tuple(weights), arrays.get("mean"), arrays.get("std"))


def softmax(logits: Floats) -> npt.NDArray[np.float64]:
    """(N, classes) -> probabilities in float64, each row summing to 1."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponent = np.exp(shifted)
    return np.asarray(exponent / exponent.sum(axis=1, keepdims=True))
