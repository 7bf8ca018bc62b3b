"""The trained head: one Linear layer, or several with ReLU between them, stored as a small ONNX graph and run in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64]

# Above this ratio of mean to standard deviation, a FLOAT of 24 bits loses visible digits: more than 6e-5 standard deviations.
_WIDEST = 1000.0
_MOST = 1e38  # a little below the largest FLOAT
# Why a row has no prediction although its features are numbers.
TOO_LARGE = "the features are too large for this model"


def narrowed(mean: npt.NDArray[np.float64], std: npt.NDArray[np.float64]) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation in float32 if no value of the data loses digits in it, otherwise unchanged.

    A head with float32 numbers takes FLOAT features when it is exported, as most tools write them.
    """
    if fits_float(mean, std):
        return mean.astype(np.float32), std.astype(np.float32)
    return mean, std


def fits_float(mean: Numbers | float, std: Numbers | float) -> bool:
    """Whether numbers with this mean and standard deviation keep their digits in float32."""
    centre, width = np.abs(mean), np.asarray(std)
    usual = (width > np.finfo(np.float32).tiny) & (centre + width < _MOST)
    return bool(np.all(usual & (centre <= _WIDEST * width)))


@dataclass(frozen=True)
class Head:
    """``weights`` are [W1, b1, W2, b2, ..] with W of shape (out, in), as in BigDL's Linear and ONNX's Gemm(transB).

    ``mean`` and ``std`` (width,) scale the features before the first layer as in training; None: features are not scaled.
    All arrays are float32, except those of numbers that need more digits: ``mean`` and ``std``, and the last bias, which
    moves a regression's output to the mean of its target.
    """

    weights: tuple[Numbers, ...]
    mean: Numbers | None = None
    std: Numbers | None = None

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

    @property
    def takes_double(self) -> bool:
        """Whether the features would lose digits in float32."""
        return self.mean is not None and self.mean.dtype == np.float64

    @property
    def returns_double(self) -> bool:
        """Whether the outputs would lose digits in float32."""
        return self.weights[-1].dtype == np.float64

    def float_layers(self) -> list[Floats]:
        """The weights for software that computes only in float32; it leaves :meth:`restore` to the caller."""
        *others, bias = (np.asarray(weight) for weight in self.weights)
        last = np.zeros_like(bias) if self.returns_double else bias
        return [np.asarray(weight, dtype=np.float32) for weight in (*others, last)]

    def restore(self, outputs: Floats) -> Numbers:
        """Adds to the outputs of :meth:`float_layers` what these layers leave out."""
        return outputs.astype(np.float64) + self.weights[-1] if self.returns_double else outputs

    def scale(self, features: Numbers) -> Floats:
        """(N, width) -> the same shape in float32, standardised if the head was trained on standardised features."""
        with np.errstate(over="ignore"):  # the caller finds infinity in the result
            if self.mean is None or self.std is None:
                return features.astype(np.float32)
            return ((features.astype(np.float64) - self.mean) / self.std).astype(np.float32)

    def logits(self, features: Numbers) -> Numbers:
        """(N, width), unscaled -> (N, outputs), in float64 if float32 would lose digits of a regression's target."""
        return self.of_scaled(self.scale(features))

    def finite_logits(self, features: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """:meth:`logits`, and for which rows no number exceeded FLOAT on the way; the others have no prediction."""
        scaled = self.scale(features)
        outputs = self.of_scaled(scaled)
        # Both are tested: ReLU makes a number of an infinite feature.
        return outputs, np.isfinite(scaled).all(axis=1) & np.isfinite(outputs).all(axis=1)

    def of_scaled(self, x: Floats) -> Numbers:
        """:meth:`logits` of features that are scaled already."""
        layers = self.float_layers()
        pairs = list(zip(layers[::2], layers[1::2], strict=True))
        with np.errstate(over="ignore", invalid="ignore"):  # the caller finds infinity and NaN in the result
            for i, (weight, bias) in enumerate(pairs):
                x = x @ weight.T + bias
                if i + 1 < len(pairs):
                    x = np.maximum(x, 0)
        return self.restore(x)

    def to_onnx(self) -> bytes:
        """The head as an ONNX graph from `features` (N x width, unscaled) to `logits`; DOUBLE where it needs the digits."""
        graph = helper.make_graph(
            self._nodes(),
            "head",
            [helper.make_tensor_value_info("features", _type(self.takes_double), ["N", self.width])],
            [helper.make_tensor_value_info("logits", _type(self.returns_double), ["N", self.outputs])],
            self._initializers(),
        )
        # Fixed versions: onnx's own default is the newest that it knows. An import compares the bytes with those written here.
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return bytes(model.SerializeToString(deterministic=True))

    def _initializers(self) -> list[onnx.TensorProto]:
        """The arrays, by the names that :meth:`from_onnx` reads; earlier releases read the same names."""
        names = [f"linear_{i // 2 + 1}.{('weight', 'bias')[i % 2]}" for i in range(len(self.weights))]
        scaling = [] if self.mean is None or self.std is None else [(self.mean, "mean"), (self.std, "std")]
        pairs = [*scaling, *zip(self.weights, names, strict=True)]
        return [numpy_helper.from_array(np.asarray(array), name) for array, name in pairs]

    def _nodes(self) -> list[onnx.NodeProto]:
        """One chain of nodes: Sub, Div, (Cast,) Gemm, Relu, .., Gemm(, Cast, Add)."""
        nodes: list[onnx.NodeProto] = []
        current = "features"

        def add(kind: str, constants: list[str], output: str, **attributes: Any) -> None:
            nonlocal current
            nodes.append(helper.make_node(kind, [current, *constants], [output], **attributes))
            current = output

        if self.mean is not None:
            add("Sub", ["mean"], "centred")
            add("Div", ["std"], "scaled")
        if self.takes_double:
            add("Cast", [], "scaled_float", to=TensorProto.FLOAT)
        count = len(self.weights) // 2
        for i in range(1, count):
            add("Gemm", [f"linear_{i}.weight", f"linear_{i}.bias"], f"linear_{i}", transB=1)
            add("Relu", [], f"relu_{i}")
        last = [f"linear_{count}.weight", f"linear_{count}.bias"]
        if not self.returns_double:
            add("Gemm", last, "logits", transB=1)
            return nodes
        add("Gemm", last[:1], "product", transB=1)
        add("Cast", [], "product_double", to=TensorProto.DOUBLE)
        add("Add", last[1:], "logits")
        return nodes

    @classmethod
    def from_onnx(cls, data: bytes) -> Head:
        """Reads what :meth:`to_onnx` wrote: only its arrays, nothing is run."""
        arrays = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(data).graph.initializer}
        count = sum(name.endswith(".weight") for name in arrays)
        weights = [arrays[f"linear_{i + 1}.{kind}"] for i in range(count) for kind in ("weight", "bias")]
        return cls(tuple(weights), arrays.get("mean"), arrays.get("std"))


def _type(double: bool) -> int:
    return int(TensorProto.DOUBLE if double else TensorProto.FLOAT)


def softmax(logits: Numbers) -> npt.NDArray[np.float64]:
    """(N, classes) -> probabilities in float64, each row summing to 1."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponent = np.exp(shifted)
    return np.asarray(exponent / exponent.sum(axis=1, keepdims=True))
