"""ONNX's reference implementation, which runs operators in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator  # imports 300 modules: import this module inside functions
from onnx.reference.op_run import OpRun

# Releases of onnx lack DequantizeLinear of the opsets before this one, which most exporters write.
_WITHOUT_DEQUANTIZE = 19


def evaluator(model: onnx.ModelProto) -> ReferenceEvaluator:
    """Runs a graph slowly, but as ONNX defines it."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    return ReferenceEvaluator(model, new_ops=[DequantizeLinear] if opset < _WITHOUT_DEQUANTIZE else [])


class DequantizeLinear(OpRun):  # type: ignore[misc]  # onnx has no types for it
    op_domain = ""

    def _run(self, x: Any, scale: Any, zero_point: Any = None, axis: int = 1, **_: Any) -> tuple[Any]:
        """(x - zero point) * scale, with one of each for the whole tensor or per element of an axis."""

        def along(values: Any) -> Any:
            values = np.asarray(values)
            shape = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)] if values.size > 1 else []
            return values.reshape(shape)

        moved = x.astype(np.float32) - (0 if zero_point is None else along(zero_point).astype(np.float32))
        return ((moved * along(scale)).astype(np.asarray(scale).dtype),)
