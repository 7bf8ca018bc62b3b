"""Heads of numbers that need more digits than a FLOAT has, compared with the same head on numbers without the offset."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pandas as pd
import pytest

from sqlext.networks.head import Head, Numbers, narrowed
from sqlext.scoring.worker import TOO_LARGE, ScoringSpec, from_forward
from sqlext.training.scaling import Scaling, TargetScale, start_weights
from sqlext.transfer.import_head import _chain

OFFSET = 1.7e12  # a time in milliseconds
RANDOM = np.random.default_rng(7)
LAYERS = [RANDOM.normal(size=shape).astype(np.float32) for shape in ((5, 3), (5,), (1, 5), (1,))]
SMALL = RANDOM.normal(size=(40, 3)) * [1000.0, 60_000.0, 500.0]


def head(offset: float, target: float = 0.0) -> Head:
    """A head for SMALL + ``offset``, whose predictions are around ``target``."""
    mean, std = narrowed(SMALL.mean(axis=0) + offset, SMALL.std(axis=0))
    return Head(tuple(TargetScale(target, 250.0).fold(LAYERS)), mean, std)


def run(model: Head, features: Numbers) -> npt.NDArray[np.float64]:
    """What onnxruntime returns for the exported head."""
    data = model.to_onnx()
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    kind = np.float64 if session.get_inputs()[0].type == "tensor(double)" else np.float32
    return np.asarray(session.run(None, {"features": features.astype(kind)})[0], dtype=np.float64)


@pytest.mark.parametrize("offset", [0.0, 1e9, OFFSET])
@pytest.mark.parametrize("target", [0.0, 1.7e9, OFFSET])
def test_an_offset_changes_nothing(offset: float, target: float) -> None:
    wanted = head(0.0).logits(SMALL).astype(np.float64)
    model = head(offset, target)
    for found in (model.logits(SMALL + offset), run(model, SMALL + offset)):
        # The numbers themselves are rounded to about 1e-4 when the offset is added.
        assert found - target == pytest.approx(wanted, abs=5e-3)


def test_ordinary_numbers_are_stored_and_exported_as_float() -> None:
    graph = onnx.load_from_string(head(2000.0).to_onnx()).graph
    kinds = {t.data_type for t in graph.initializer} | {graph.input[0].type.tensor_type.elem_type}
    assert kinds == {onnx.TensorProto.FLOAT}
    assert [node.op_type for node in graph.node] == ["Sub", "Div", "Gemm", "Relu", "Gemm"]


@pytest.mark.parametrize(("offset", "target"), [(0.0, 0.0), (OFFSET, 0.0), (0.0, OFFSET), (OFFSET, OFFSET)])
def test_the_same_head_comes_back(offset: float, target: float) -> None:
    data = head(offset, target).to_onnx()
    assert Head.from_onnx(data).to_onnx() == data
    assert _chain(onnx.load_from_string(data).graph).to_onnx() == data


def test_retraining_starts_with_the_same_function() -> None:
    model = head(OFFSET, OFFSET)
    scaling = Scaling(np.full(3, OFFSET), np.array([500.0, 9000.0, 200.0]), TargetScale(OFFSET + 50, 90.0))
    assert scaling.mean is not None and scaling.std is not None and scaling.target is not None
    weights = start_weights(model, scaling)
    assert {w.dtype for w in weights} == {np.dtype(np.float32)}
    scaled = ((SMALL + OFFSET - scaling.mean) / scaling.std).astype(np.float32)
    found = Head(tuple(weights)).logits(scaled).astype(np.float64) * scaling.target.std + scaling.target.mean
    assert found - OFFSET == pytest.approx(model.logits(SMALL + OFFSET) - OFFSET, abs=0.05)


def test_a_target_that_float_cannot_hold_is_named() -> None:
    assert "divide them by a constant" in str(TargetScale(0.0, 1e300).problem)
    assert "divide them by a constant" in str(TargetScale(0.0, float("nan")).problem)
    assert "multiply them by a constant" in str(TargetScale(0.0, 1e-200).problem)
    assert TargetScale(1e20, 1e12).problem is None


def test_features_that_overflow_are_infinite() -> None:
    assert np.isinf(Head(tuple(LAYERS)).scale(np.array([[1e39, 0.0, 0.0]]))).any()
    mean, std = narrowed(np.full(3, 1e39), np.full(3, 1e38))
    assert np.isfinite(Head(tuple(LAYERS), mean, std).scale(np.full((1, 3), 1.1e39))).all()


def test_rows_that_overflow_have_no_prediction() -> None:
    """Also where ReLU makes a number of an infinite feature, or only the product exceeds FLOAT."""
    weights = [np.array([[1.0]]), np.array([0.0]), np.array([[1.0], [-1.0]]), np.array([0.0, 1.0])]
    floats = tuple(w.astype(np.float32) for w in weights)
    scaled = Head(floats, np.zeros(1), np.full(1, 1e-3))
    outputs, good = scaled.finite_logits(np.array([[-2.0], [-1e300], [1e300], [3.0]]))
    assert good.tolist() == [True, False, False, True]
    assert outputs[good].tolist() == [[0, 1], [3000, -2999]]
    steep = Head((np.full((1, 1), 1e30, np.float32), np.zeros(1, np.float32)))
    assert steep.finite_logits(np.array([[1e20], [1.0]], np.float32))[1].tolist() == [False, True]


def test_outputs_of_bigdl_that_overflow_are_a_reason() -> None:
    head = Head((np.ones((2, 1), np.float32), np.zeros(2, np.float32)))
    spec = ScoringSpec("k", head=head, labels=("a", "b"))
    forwarded = pd.Series([[np.inf, 1.0], [1.0, 2.0], None])
    found = from_forward(forwarded, pd.Series([None, None, "no features"]), spec)
    assert found["label"].tolist() == [None, "b", None]
    assert found["error"].tolist() == [TOO_LARGE, None, "no features"]
