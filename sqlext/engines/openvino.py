"""OpenVINO: f32 anywhere, bf16 on CPUs that have it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser

from sqlext.engines.base import Array, in_parts, refused
from sqlext.errors import SqlExtError


def _import() -> Any:
    """Imports the package without its telemetry.

    Its converter reports each import over the network and leaves files in the home folder. If it cannot import the
    telemetry package, it uses a built-in stub.
    """
    blocked = "openvino_telemetry" not in sys.modules
    if blocked:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino

        return openvino
    finally:
        if blocked:
            del sys.modules["openvino_telemetry"]


ov = _import()
MISSING = r"No conversion rule found for operations: ([\w.]+)"


# One convolution over three channels with weights of 1/2: an image of ones gives 1.5.
PROBE = "g (float[N,3,2,2] x) => (float[N,1] y) { c = Conv (x, w)  p = GlobalAveragePool (c)  y = Flatten (p) }"


def computes_in_bf16() -> bool:
    """Whether OpenVINO reports bf16 for this CPU and a bf16 network returns the right values.

    The report is not enough: if oneDNN is limited to older instructions (ONEDNN_MAX_CPU_ISA), a bf16 network compiles and
    runs, but returns nothing.
    """
    if "BF16" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return False
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 13]> {PROBE}')
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.full((1, 3, 1, 1), 0.5, np.float32), "w"))
    try:
        outputs, _ = load(model.SerializeToString(), "bf16", 1).run(np.ones((2, 3, 2, 2), np.float32))
    except (SqlExtError, RuntimeError):
        return False
    return bool(outputs.tolist() == [[1.5], [1.5]])


def load(network: bytes, precision: str, threads: int) -> OpenVinoEngine:
    try:
        return OpenVinoEngine(network, precision, threads)
    except RuntimeError as error:
        raise refused("openvino", error, MISSING) from None


class OpenVinoEngine:
    """One compiled model with a free batch axis and one infer request."""

    def __init__(self, network: bytes, precision: str, threads: int) -> None:
        core = ov.Core()
        strict = precision == "f32"
        config = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Without this, OpenVINO computes networks of f32 in bf16 on CPUs that have it.
            "INFERENCE_PRECISION_HINT": precision,
            "EXECUTION_MODE_HINT": "ACCURACY" if strict else "PERFORMANCE",
            # Pinning would put the single thread of every worker on a machine on the same core.
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled = core.compile_model(core.read_model(network, b""), "CPU", config)
        self._request = self._compiled.create_infer_request()
        self._widths = [port.get_partial_shape()[1].get_length() for port in self._compiled.outputs]

    def run(self, batch: Array) -> tuple[Array, Array | None]:
        return in_parts(self._call, batch, self._widths)

    def _call(self, part: Array) -> list[Array]:
        self._request.infer([np.ascontiguousarray(part)], share_inputs=True)
        # A copy, because the next call of this request writes into the same memory.
        return [self._request.get_output_tensor(i).data.copy() for i in range(len(self._widths))]
