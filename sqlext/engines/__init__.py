"""The engines that run a network inside a Python worker. BigDL, the third engine, runs in the JVM (``sqlext.bigdl``).

Each engine is one file. Nothing is cached here: the caller of :func:`load_engine` caches the engine.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from sqlext.engines.base import Engine, OneByOne
from sqlext.errors import SqlExtError

# Name -> (pip requirement that installs it, precisions that it supports); the engine is the module of that name.
ENGINES = {
    "openvino": ("openvino>=2024.4", ("f32", "bf16")),
    "onnxruntime": ("onnxruntime>=1.18", ("f32",)),
}


def load_engine(name: str, network: bytes, *, precision: str = "f32", threads: int = 1) -> Engine:
    """Compiles a stored network (``Network.to_bytes``) for this CPU.

    :param precision: 'f32', or 'bf16' with openvino on a CPU that has it.
    :param threads: the cores that one call may use; 1 in a Spark worker, because Spark runs one task per core.
    :raises SqlExtError: ENGINE_NOT_AVAILABLE if the engine is unknown or not installed, or lacks an operator or precision.
    """
    reason = available(name)
    if reason is None and precision not in ENGINES[name][1]:
        reason = f"it computes in {' or '.join(ENGINES[name][1])}, not {precision}"
    if reason is None and precision == "bf16" and not cpu_supports_bf16():
        reason = "this CPU has no bf16 instructions"
    if reason is not None:
        raise SqlExtError("ENGINE_NOT_AVAILABLE", engine=name, reason=reason)
    engine: Engine = _module(name).load(network, precision, threads)
    # Parsing 100 MB takes 0.4 s. The name of an operator is in the file as it is, so none is missed; a network that only
    # has the word elsewhere runs one by one, too, which gives the same numbers.
    return OneByOne(engine) if b"DynamicQuantize" in network else engine


@cache
def available(name: str) -> str | None:
    """None if the engine can be used here, otherwise why not and how to install it."""
    if name not in ENGINES:
        return f"there is no such engine; the engines are {', '.join(ENGINES)}"
    try:
        _module(name)
    except (ImportError, OSError) as error:
        return f"its package cannot be imported ({error}); install it with: pip install '{ENGINES[name][0]}'"
    return None


def _module(name: str) -> Any:
    """Imported when it is needed: an engine that is not installed must not hide the others."""
    return importlib.import_module(f"sqlext.engines.{name}")


@cache
def cpu_supports_bf16() -> bool:
    """Whether this machine's CPU has bf16 and OpenVINO returns right results in it."""
    if available("openvino") is not None:
        return False
    return bool(_module("openvino").computes_in_bf16())
