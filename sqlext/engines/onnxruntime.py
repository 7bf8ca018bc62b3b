"""onnxruntime: f32 on any CPU."""

from __future__ import annotations

import os

import numpy as np

from sqlext.engines.base import Array, in_parts, refused

# The library reads this when it loads; otherwise it stores a device id in the home folder and sends usage data.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

MISSING = r"(?:implementation for |Fatal error: )(\S+?)(?:\(-?\d+\))?(?: node| is not a registered)"
FATAL = 4  # log severity: problems are raised as exceptions, and nobody reads a worker's console

onnxruntime.set_default_logger_severity(FATAL)
onnxruntime.disable_telemetry_events()


def load(network: bytes, precision: str, threads: int) -> OnnxRuntimeEngine:
    try:
        return OnnxRuntimeEngine(network, threads)
    except Exception as error:  # its exception classes have no public base class
        raise refused("onnxruntime", error, MISSING) from None


class OnnxRuntimeEngine:
    """One inference session."""

    def __init__(self, network: bytes, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL
        # Spinning threads would take CPU time from other Spark tasks.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._widths = [output.shape[1] for output in self._session.get_outputs()]

    def run(self, batch: Array) -> tuple[Array, Array | None]:
        return in_parts(self._call, batch, self._widths)

    def _call(self, part: Array) -> list[Array]:
        outputs: list[Array] = self._session.run(None, {self._input: np.ascontiguousarray(part)})
        return outputs
