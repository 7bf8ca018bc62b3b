"""The mean over height and width of embeddings with four axes, compared with NumPy's mean of the tensor in the original file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sqlext.errors import SqlExtError
from tests.core.test_network_outputs import MAPS, f32, model, original, photographs, read, run

LAST = MAPS + "last = Transpose <perm = [0, 2, 3, 1]> (h)\n"
MEAN = "q = ReduceMean <axes = [1, 2], keepdims = 0> ({})"
WINDOW = "w1_ = Reshape (last, windows)\n w2_ = Identity (w1_)\n back = Reshape (w2_, whole)\n"
WINDOWS = {"windows": np.array([-1, 16, 19]), "whole": np.array([-1, 8, 8, 19])}
CLASSES = {"wl": (19, 7), "b4": (7,)}
# End of the graph -> weights, options, the tensor that is averaged and the axes of its height and width.
AVERAGED: dict[str, tuple[str, dict[str, Any], str, str, tuple[int, int]]] = {
    "a Linear layer per position": (LAST + "l = MatMul (last, wl)\n t = Add (l, b4)\n" + MEAN.format("t"), CLASSES, "", "last", (1, 2)),
    "windows put together, as in Swin": (
        LAST + WINDOW + "sum = Add (last, back)\n l = MatMul (sum, wl)\n" + MEAN.format("l"), {**CLASSES, **WINDOWS}, "", "sum", (1, 2),
    ),
    "layer normalisation": (
        LAST + WINDOW + "n = LayerNormalization <axis = -1> (back, g19, s19)\n m = ReduceMean <axes = [1, 2], keepdims = 0> (n)\n q = MatMul (m, wl)",
        {**CLASSES, **WINDOWS, "g19": (19,), "s19": (19,)}, "embedding = 'back'", "back", (1, 2),
    ),
    "a mean over height and width": (
        LAST + WINDOW + "m = ReduceMean <axes = [1, 2], keepdims = 0> (back)\n q = MatMul (m, wl)",
        {**CLASSES, **WINDOWS}, "embedding = 'back'", "back", (1, 2),
    ),
    "one factor per channel": (
        LAST + WINDOW + "n = Mul (back, g19)\n v = Flatten (n)\n q = MatMul (v, wf)",
        {**WINDOWS, "g19": (19,), "wf": (1216, 7)}, "embedding = 'back'", "back", (1, 2),
    ),
    "channels moved back": (
        LAST + "l = MatMul (last, ww)\n t = Transpose <perm = [0, 3, 1, 2]> (l)\n r = Mul (t, two)\n v = Flatten (r)\n q = MatMul (v, wf)",
        {"ww": (19, 19), "two": f32(2), "wf": (1216, 7)}, "embedding = 'r'", "r", (2, 3),
    ),
    "channels first": (
        MAPS + "pooled = GlobalAveragePool (h)\n features = Flatten (pooled)\n q = MatMul (features, wl)", CLASSES, "embedding = 'h'", "h", (2, 3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", AVERAGED)
def test_the_mean_is_over_height_and_width(kind: str) -> None:
    nodes, weights, options, tensor, axes = AVERAGED[kind]
    file, batch = model(nodes, weights), photographs()
    network, _ = read(file, options=options)
    shape = (len(batch), 8, 8, 19) if axes == (1, 2) else (len(batch), 19, 8, 8)
    wanted = original(file, batch, tensor).reshape(shape).mean(axis=axes)
    assert network.embedding_in_file == tensor
    np.testing.assert_allclose(run(network, batch)[0], wanted, rtol=1e-4, atol=1e-5)


def test_axes_that_nothing_tells_are_an_error() -> None:
    nodes = MAPS + "s = Reshape (h, sizes)\n t = Tanh (s)\n v = Flatten (t)\n q = MatMul (v, wf)"
    file = model(nodes, {"sizes": np.array([-1, 8, 19, 8]), "wf": (1216, 7)})
    with pytest.raises(SqlExtError, match="its operators do not say which axis holds the channels"):
        read(file, options="embedding = 't'")
