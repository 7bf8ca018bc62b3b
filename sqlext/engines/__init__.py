"""The engines that run a network inside a Python worker. BigDL, the third engine, runs in the JVM (``sqlext.bigdl``).

Each engine is one file. Nothing is cached here: the caller of :func:`load_engine` caches the engine.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sqlext.errors import SqlExtError

Array = NDArray[np.float32]
# Name -> (module of the engine, requirement to install).
ENGINES = {
    "openvino": ("sqlext.engines.openvino", "openvino>=2024.4"),
    "onnxruntime": ("sqlext.engines.onnxruntime", "onnxruntime>=1.18"),
}
PRECISIONS = {"openvino": ("f32", "bf16"), "onnxruntime": ("f32",)}
# Images per call of an engine: measurements (ResNet-50, 1 to 32) showed no gain from larger batches, which need more memory.
SUB_BATCH = 8


class Engine(Protocol):
    """A compiled network."""

    def run(self, batch: Array) -> tuple[Array, Array | None]:
        """(N, 3, S, S) float32 -> embeddings (N, D) and scores (N, C), or None without a classifier. N may be 0."""


def load_engine(name: str, network: bytes, *, precision: str = "f32", threads: int = 1) -> Engine:
    """Compiles a stored network (``Network.to_bytes``) for this CPU.

    :param precision: 'f32', or 'bf16' with openvino on a CPU that has it.
    :param threads: the cores that one call may use; 1 in a Spark worker, because Spark runs one task per core.
    :raises SqlExtError: ENGINE_NOT_AVAILABLE if the engine is unknown or not installed, or lacks an operator or precision.
    """
    reason = available(name)
    if reason is None and precision not in PRECISIONS[name]:
        reason = f"it computes in {' or '.join(PRECISIONS[name])}, not {precision}"
    if reason is None and precision == "bf16" and not cpu_supports_bf16():
        reason = "this CPU has no bf16 instructions"
    if reason is not None:
        raise SqlExtError("ENGINE_NOT_AVAILABLE", engine=name, reason=reason)
    engine: Engine = importlib.import_module(ENGINES[name][0]).load(network, precision, threads)
    return engine


@cache
def available(name: str) -> str | None:
    """None if the engine can be used here, otherwise why not and how to install it."""
    if name not in ENGINES:
        return f"there is no such engine; the engines are {', '.join(ENGINES)}"
    module, requirement = ENGINES[name]
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:
        return f"its package cannot be imported ({error}); install it with: pip install '{requirement}'"
    return None


@cache
def cpu_supports_bf16() -> bool:
    """Whether this machine's CPU has bf16 and OpenVINO returns right results in it."""
    if available("openvino") is not None:
        return False
    from sqlext.engines import openvino

    return openvino.computes_in_bf16()


def in_parts(call: Callable[[Array], list[Array]], batch: Array, widths: list[int]) -> tuple[Array, Array | None]:
    """Runs ``call`` on sub-batches and concatenates the results."""
    parts = [call(batch[start : start + SUB_BATCH]) for start in range(0, len(batch), SUB_BATCH)]
    joined = [
        np.concatenate([part[i] for part in parts]) if parts else np.empty((0, width), np.float32)
        for i, width in enumerate(widths)
    ]
    return joined[0], joined[1] if len(joined) > 1 else None


def refused(name: str, error: BaseException, missing: str) -> SqlExtError:
    """The error of an engine that cannot load a network.

    Its reason is 'no Det' if the pattern ``missing`` finds the operator in the engine's message, otherwise the message on
    one line.
    """
    text = " ".join(str(error).split())
    found = re.search(missing, text)
    return SqlExtError(
        "ENGINE_NOT_AVAILABLE", engine=name, reason=f"no {found[1]}" if found else text[:300].rstrip(".")
    )
