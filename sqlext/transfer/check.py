"""The numeric check of IMPORT: every engine that can run the network computes its outputs for the same pictures.

Only the outputs reveal a wrong layer, which converts and runs without an error. Examples are BigDL's softmax over the
last axis and the engines' different averages in ceil mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from PIL import Image

from sqlext.bigdl.onnx_to_bigdl import forward
from sqlext.engines import ENGINES, load_engine
from sqlext.engines.base import Array
from sqlext.errors import SqlExtError
from sqlext.images.preprocessing import Preprocessing, tensor
from sqlext.networks.graph import Network
from sqlext.networks.scores import VALUE

BOUND = 1e-3  # relative to the largest number of an output
PICTURES = 6
BIGDL_PICTURES = 2  # BigDL runs 6 pictures of 224 x 224 a second
Outputs = tuple[Array, Array | None]


@dataclass(frozen=True)
class CheckResult:
    """``engines`` maps each engine to None if it can score, otherwise to the reason why it cannot.

    ``differences`` maps 'a, b' to the largest difference between these engines over all outputs, relative to the
    largest number of the output.
    """

    engines: dict[str, str | None]
    differences: dict[str, float]

    @property
    def usable(self) -> list[str]:
        return [name for name, reason in self.engines.items() if reason is None]

    def summary(self) -> str:
        """One line for DESCRIBE."""
        if not self.differences:
            return f"only {self.usable[0]} can run it: nothing to compare"
        pairs = "; ".join(f"{pair}: {value:.1e}" for pair, value in self.differences.items())
        return f"largest relative differences on {PICTURES} pictures: {pairs} (bound {BOUND:.0e})"


def check(
    network: Network,
    preprocessing: Preprocessing,
    convert: Callable[[], Any] | None = None,
    *,
    bigdl_reason: str | None = None,
) -> CheckResult:
    """Compares all engines on a fixed batch.

    :param convert: builds the network in the driver's JVM (``onnx_to_bigdl.convert``); None if BigDL cannot run it,
        for ``bigdl_reason``.
    :raises SqlExtError: IMPORT_CHECK_FAILED if two engines differ, if an output is constant or not finite, or if no
        engine can run the network.
    """
    batch = np.stack([tensor(picture, preprocessing) for picture in pictures(PICTURES)])
    with ThreadPoolExecutor(1, "sqlext-check") as pool:
        # The conversion in the JVM uses only one core, so the Python engines compile and run at the same time.
        running = pool.submit(_run, network.to_bytes(), batch)
        in_bigdl = forward(convert(), batch[:BIGDL_PICTURES]) if convert else None
        engines, results = running.result()
    if in_bigdl is not None:
        results["bigdl"] = in_bigdl
    engines["bigdl"] = None if in_bigdl is not None else bigdl_reason or "it was not converted"
    if not results:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in engines.items())
        raise _failed(f"no engine can run it ({reasons})")
    for name, outputs in results.items():
        _check_alive(network, name, outputs)
    return CheckResult(engines, _compare(network, results))


def first_values(network: Network, preprocessing: Preprocessing) -> Array | None:
    """The last output for the pictures, from the first engine that can run the network; None if none can."""
    batch = np.stack([tensor(picture, preprocessing) for picture in pictures(PICTURES)])
    for name in reversed(ENGINES):  # onnxruntime compiles faster than OpenVINO
        try:
            embedding, scores = load_engine(name, network.to_bytes()).run(batch)
        except SqlExtError:
            continue
        return embedding if scores is None else scores
    return None


def _run(network: bytes, batch: Array) -> tuple[dict[str, str | None], dict[str, Outputs]]:
    """Runs the Python engines. Returns why each cannot run the network, or None, and the outputs of those that can."""
    engines: dict[str, str | None] = {}
    results: dict[str, Outputs] = {}
    for name in ENGINES:
        try:
            results[name] = load_engine(name, network).run(batch)
            engines[name] = None
        except SqlExtError as error:
            engines[name] = str(error.values.get("reason", error))
    return engines, results


def _compare(network: Network, results: dict[str, Outputs]) -> dict[str, float]:
    """Returns the largest relative difference per pair of engines, and raises an error if one exceeds the bound."""
    differences = {}
    for (one, first), (two, second) in combinations(results.items(), 2):
        worst = 0.0
        for name, a, b in _pairs(network, first, second):
            difference = float(np.abs(a - b).max() / max(float(np.abs(a).max()), 1e-30))
            if not difference <= BOUND:
                raise _failed(
                    f"{one} and {two} differ by {difference:.2g} of the largest number in '{name}' (bound {BOUND:g}): "
                    "one of them computes an operator of this network incorrectly"
                )
            worst = max(worst, difference)
        differences[f"{one}, {two}"] = worst
    return differences


def _pairs(network: Network, first: Outputs, second: Outputs) -> Iterator[tuple[str | None, Array, Array]]:
    """Yields each output's name and its values from both engines, for the pictures that both have run."""
    for name, a, b in zip((network.embedding_name, network.scores_name), first, second, strict=True):
        if a is not None and b is not None:
            both = min(len(a), len(b))
            yield name, a[:both], b[:both]


def _check_alive(network: Network, engine: str, outputs: Outputs) -> None:
    """Refuses an output that does not depend on the picture: it is useless, even if the engines agree on it.

    A regressor's value may be constant: such a network is an export of a model that was trained to predict it.
    """
    for name, values in zip((network.embedding_name, network.scores_name), outputs, strict=True):
        if values is None:
            continue
        if not np.isfinite(values).all():
            raise _failed(f"'{name}' has values that are not finite in {engine} for ordinary pictures")
        is_value = name == network.scores_name and network.scores_kind == VALUE
        if not is_value and float(np.ptp(values, axis=0).max()) <= 1e-6 * float(np.abs(values).max()):
            raise _failed(f"'{name}' is the same for different pictures in {engine}, so it says nothing about them")


def _failed(reason: str) -> SqlExtError:
    return SqlExtError("IMPORT_CHECK_FAILED", reason=reason)


def pictures(count: int) -> list[Image.Image]:
    """Returns fixed pictures that resemble photographs: soft light, edges, shapes of one colour, fine texture."""
    random = np.random.default_rng(20240324)
    return [_picture(random, 320 + 16 * position, 256 + 8 * position) for position in range(count)]


def _picture(random: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draws an RGB picture: a gradient, overlapping discs and bars, stripes, grain."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    corners = random.uniform(0, 255, (4, 3))
    across, down = (x / width)[..., None], (y / height)[..., None]
    top, bottom = corners[0] + (corners[1] - corners[0]) * across, corners[2] + (corners[3] - corners[2]) * across
    picture = top + (bottom - top) * down
    for _ in range(8):
        centre, size = random.uniform(0, 1, 2) * (width, height), random.uniform(10, 90)
        disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < size**2
        bar = np.abs((x - centre[0]) * random.uniform(-1, 1) + (y - centre[1])) < size / 6
        picture[disc] = random.uniform(0, 255, 3)
        picture[bar] *= random.uniform(0.4, 1.2)
    stripes = 12 * np.sin(x * random.uniform(0.1, 0.9) + y * random.uniform(0.1, 0.9))[..., None]
    return Image.fromarray((picture + stripes + random.normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8))
