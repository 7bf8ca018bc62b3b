"""Networks that were exported for a fixed number of pictures, and image sizes that do not fit.

The right values come from onnxruntime on the original file, with as many pictures as it takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from sqlext.engines.onnxruntime import onnxruntime
from sqlext.errors import SqlExtError
from sqlext.images.preprocessing import Preprocessing
from sqlext.networks.graph import read_network
from sqlext.transfer.check import check
from tests.support.small_networks import RESIDUAL, RESIDUAL_WEIGHTS, build

FLATTEN = "features = Flatten (pooled)"
VIEW = "s = Shape (pooled)\n n = Gather <axis = 0> (s, i)\n m = Unsqueeze (n, o)\n t = Concat <axis = 0> (m, j)\n"
ONES = np.ones((4, 19), np.float32)
# Replacements of Flatten, and their constants for B pictures.
FIXED: dict[str, tuple[str, dict[str, Any]]] = {
    "Reshape to B, -1": ("features = Reshape (pooled, t)", {"t": ["B", -1]}),
    "Reshape to B, 19": ("features = Reshape (pooled, t)", {"t": ["B", 19]}),
    "Reshape twice": ("r = Reshape (pooled, s)\n features = Reshape (r, t)", {"s": ["B", 1, -1, 1], "t": ["B", 19]}),
    "Expand": ("r = Flatten (pooled)\n features = Expand (r, t)", {"t": ["B", 19]}),
    "Slice": ("r = Flatten (pooled)\n features = Slice (r, s, t, i)", {"s": [0], "t": ["B"], "i": [0]}),
    "Slice from the end": ("r = Flatten (pooled)\n features = Slice (r, s, t, i)", {"s": [0], "t": ["B"], "i": [-2]}),
    "Squeeze": ("r = Squeeze (pooled)\n features = Reshape (r, t)", {"t": ["B", 19]}),
    "Concat": ("r = Flatten (pooled)\n s = Concat <axis = 1> (r, k)\n features = Gemm (s, l)", {"k": ("B", 2), "l": (21, 19)}),
    "Add": ("r = Flatten (pooled)\n features = Add (r, k)", {"k": ("B", 19)}),
    "view(size(0), -1)": (f"{VIEW} features = Reshape (pooled, t)", {"i": np.int64(0), "o": [0], "j": [-1]}),
    "Shape of one axis": ("s = Shape <start = 0, end = 1> (pooled)\n t = Concat <axis = 0> (s, j)\n features = Reshape (pooled, t)", {"j": [-1]}),
    "nothing": (FLATTEN, {}),
}  # fmt: skip
VIT = """
    c = Conv <kernel_shape = [4, 4], strides = [4, 4]> (x, patches)
    r = Reshape (c, s1)
    tokens = Transpose <perm = [0, 2, 1]> (r)
    cls = {cls}
    all = Concat <axis = 1> (cls, tokens)
    placed = Add (all, places)
    first = Transpose <perm = [1, 0, 2]> (placed)
    q0 = MatMul (first, wq)
    q1 = Reshape (q0, s2)
    q = Transpose <perm = [1, 0, 2]> (q1)
    k0 = MatMul (first, wk)
    k1 = Reshape (k0, s2)
    k = Transpose <perm = [1, 2, 0]> (k1)
    qk = MatMul (q, k)
    weighted = Softmax <axis = -1> (qk)
    v = MatMul (weighted, q)
    v1 = Transpose <perm = [1, 0, 2]> (v)
    v2 = Reshape (v1, s3)
    o = Add (v2, first)
    back = Transpose <perm = [1, 0, 2]> (o)
    h = Gather <axis = 1> (back, zero)
    logits = Gemm (h, wh, bh)
"""


def constant(value: Any, batch: int) -> Any:
    """A constant for ``batch`` pictures; one with values repeats those of one picture."""
    if isinstance(value, list):
        return np.array([batch if size == "B" else size for size in value])
    if isinstance(value, tuple) and value[0] == "B":
        row = np.random.default_rng(4).standard_normal((1, *value[1:])).astype(np.float32)
        return np.repeat(row, batch, 0)
    return value


def residual(kind: str, batch: int) -> onnx.ModelProto:
    steps, constants = FIXED[kind]
    weights = {name: constant(value, batch) for name, value in constants.items()}
    taken = f"float[{batch}, 3, 32, 32] x"
    return build(RESIDUAL.replace(FLATTEN, steps), {**RESIDUAL_WEIGHTS, **weights}, output="logits", inputs=taken)


def transformer(batch: int | None, cls: str = "Identity (token)", tokens: int = 65, taken: str = "") -> onnx.ModelProto:
    """A small vision transformer; ``batch``: the number of pictures for which it was exported, None if that is free."""
    fixed = batch or 1
    weights = {"patches": (8, 3, 4, 4), "places": (1, tokens, 8), "wq": (8, 8), "wk": (8, 8), "wh": (8, 7), "bh": (7,)}
    token = np.random.default_rng(2).standard_normal((1, 1, 8)).astype(np.float32)
    sizes = {
        "token": token if "Expand" in cls else np.repeat(token, fixed, 0),
        "s1": np.array([fixed, 8, -1] if batch else [0, 8, -1]),
        "s2": np.array([tokens, 2 * fixed, 4] if batch else [tokens, -1, 4]),
        "s3": np.array([tokens, fixed, 8] if batch else [tokens, -1, 8]),
        "s4": np.array([fixed, 1, 8]),
        "zero": np.int64(0),
    }
    inputs = taken or f"float[{batch or 'N'}, 3, 32, 32] x"
    return build(VIT.format(cls=cls), {**weights, **sizes}, output="logits", inputs=inputs)


def run(data: bytes, batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: batch})[-1])


def equals_one_by_one(model: onnx.ModelProto, batch: int) -> None:
    """The stored network gives six pictures at once what the original gives them, as many at a time as it takes."""
    pictures = np.random.default_rng(6).standard_normal((12, 3, 32, 32)).astype(np.float32)
    read = read_network(model.SerializeToString())
    parts = np.split(pictures, 12 // batch)
    wanted = np.concatenate([run(model.SerializeToString(), part).reshape(batch, 7) for part in parts])
    for count in (1, 6, 12):
        assert np.abs(run(read.to_bytes(), pictures[:count]) - wanted[:count]).max() < 1e-5


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("kind", FIXED)
def test_a_fixed_batch_is_freed(kind: str, batch: int) -> None:
    model = residual(kind, batch)
    equals_one_by_one(model, batch)
    read = read_network(model.SerializeToString())
    assert (read.embedding_width, read.scores_width) == (19, 7)
    fixes = kind not in ("nothing", "view(size(0), -1)", "Shape of one axis") and (kind, batch) not in (
        ("Expand", 1),
        ("Add", 1),
    )
    assert any(f"the batch size of {batch} that" in note for note in read.input_spec.notes) == fixes


@pytest.mark.parametrize("cls", ["Identity (token)", "Expand (token, s4)"])
@pytest.mark.parametrize("batch", [None, 1, 4])
def test_a_transformer_of_a_fixed_batch_is_freed(batch: int | None, cls: str) -> None:
    if batch is not None:
        equals_one_by_one(transformer(batch, cls), batch)
        return
    read = read_network(transformer(batch, cls).SerializeToString())
    pictures = np.random.default_rng(6).standard_normal((6, 3, 32, 32)).astype(np.float32)
    single = transformer(1, cls).SerializeToString()
    wanted = np.concatenate([run(single, picture[None]) for picture in pictures])
    assert np.abs(run(read.to_bytes(), pictures) - wanted).max() < 1e-5


@pytest.mark.parametrize(
    ("steps", "constants", "says"),
    [
        ("r = Flatten (pooled)\n s = Gather <axis = 0> (r, i)\n features = Unsqueeze (s, o)", {"i": np.int64(0), "o": np.array([0])}, r"'gather_11' \(Gather to 19\) fixes the batch size"),
        ("r = Flatten (pooled)\n features = Add (r, k)", {"k": np.random.default_rng(1).standard_normal((4, 19)).astype(np.float32)}, r"'add_11' \(Add to 4 x 19\) fixes the batch size"),
    ],
)  # fmt: skip
def test_a_batch_that_cannot_be_freed(steps: str, constants: dict[str, Any], says: str) -> None:
    taken = f"float[{4 if 'k' in constants else 1}, 3, 32, 32] x"
    model = build(RESIDUAL.replace(FLATTEN, steps), {**RESIDUAL_WEIGHTS, **constants}, output="logits", inputs=taken)
    with pytest.raises(SqlExtError, match=f"{says}: export it with a free batch axis"):
        read_network(model.SerializeToString())


@pytest.mark.parametrize(
    "steps",
    [
        "r = Flatten (pooled)\n m = ReduceMean <axes = [0], keepdims = 1> (r)\n features = Sub (r, m)",
        "r = Flatten (pooled)\n features = Softmax <axis = 0> (r)",
        "r = Flatten (pooled)\n features = CumSum (r, none)",
        "r = Flatten (pooled)\n features = CumSum <reverse = 1> (r, none)",
    ],
)
def test_a_network_that_mixes_the_pictures_of_a_batch(steps: str) -> None:
    """Its numbers would depend on which pictures happen to be scored together."""
    network = read_network(
        build(
            RESIDUAL.replace(FLATTEN, steps), {**RESIDUAL_WEIGHTS, "none": np.array(0)}, output="logits"
        ).SerializeToString()
    )
    with pytest.raises(
        SqlExtError, match="'(features|logits)' of a picture depends on the other pictures of its batch"
    ) as error:
        check(network, Preprocessing(image_size=32, resize="none"))
    assert error.value.error_class == "IMPORT_CHECK_FAILED"


@pytest.mark.parametrize(("tokens", "size"), [(65, 32), (50, 28), (1 + 96 * 96, 384), (1 + 11 * 11, 44)])
def test_an_image_size_that_fits_the_position_embedding(tokens: int, size: int) -> None:
    data = transformer(None, tokens=tokens, taken="float[N, 3, H, W] x").SerializeToString()
    with pytest.raises(SqlExtError) as error:
        read_network(data)
    assert (
        f"pictures of 224 x 224 do not fit its layers: 'add_4' (Add) takes another size; OPTIONS (image_size = {size})"
        in str(error.value)
    )
    assert read_network(data, image_size=size).input_shape == (3, size, size)


def test_an_image_size_that_fits_the_classifier() -> None:
    nodes = "c = Conv <kernel_shape = [3, 3]> (x, w)\n f = Flatten (c)\n y = Gemm (f, k)"
    model = build(nodes, {"w": (2, 3, 3, 3), "k": (2 * 26 * 26, 7)}, output="y", inputs="float[N, 3, H, W] x")
    with pytest.raises(SqlExtError, match=r"'gemm_2' \(Gemm\) takes another size; OPTIONS \(image_size = 28\) fits"):
        read_network(model.SerializeToString(), image_size=48)
