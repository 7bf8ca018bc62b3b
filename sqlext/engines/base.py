"""The protocol of the engines, and the code that they share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sqlext.errors import SqlExtError
from sqlext.networks.library_text import too_new, where

Array = NDArray[np.float32]
# Images per call of an engine: measurements (ResNet-50, 1 to 32) showed no gain from larger batches, which need more memory.
SUB_BATCH = 8


class Engine(Protocol):
    """A compiled network."""

    def run(self, batch: Array) -> tuple[Array, Array | None]:
        """(N, 3, S, S) float32 -> embeddings (N, D) and scores (N, C), or None without a classifier. N may be 0."""


class OneByOne:
    """An engine that runs one image at a time, for a network whose numbers would otherwise depend on the whole batch.

    DynamicQuantizeLinear computes its scale from all values that it gets.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, batch: Array) -> tuple[Array, Array | None]:
        rows = [self._engine.run(batch[i : i + 1]) for i in range(len(batch))] or [self._engine.run(batch)]
        scores = [scores for _, scores in rows if scores is not None]
        return np.concatenate([embedding for embedding, _ in rows]), np.concatenate(scores) if scores else None


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

    Its reason is 'no Det' if the pattern ``missing`` finds the operator in the engine's message. The rest of the message is
    for the developers of the engine, except for the node or the version that it names.
    """
    found = re.search(missing, " ".join(str(error).split()))
    reason = f"no {found[1]}" if found else too_new(error) or f"it cannot load the network{where(error)}"
    return SqlExtError("ENGINE_NOT_AVAILABLE", engine=name, reason=reason)
