"""The numeric check of IMPORT: every engine that can run the network computes its outputs for the same pictures.

Only the outputs reveal a wrong layer, which converts and runs without an error. Examples are BigDL's softmax over the
last axis and the engines' different averages in ceil mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from PIL import Image

from sqlext.bigdl.onnx_to_bigdl import forward
from sqlext.engines import ENGINES, load_engine
from sqlext.engines.base import Array, Engine
from sqlext.errors import SqlExtError
from sqlext.images.preprocessing import Preprocessing, tensor
from sqlext.networks.library_text import where
from sqlext.networks.network import Network
from sqlext.networks.scores import VALUE
from sqlext.transfer.batch_check import mixing
from sqlext.transfer.dispute import EXACT, Measure, agreeing, made_by, measure_of, where_they_part

PICTURES = 6
BIGDL_PICTURES = 2  # BigDL runs 6 pictures of 224 x 224 a second
Outputs = tuple[Array, Array | None]


@dataclass(frozen=True)
class CheckResult:
    """``engines`` maps each engine to None if it can score, otherwise to the reason why it cannot.

    ``differences`` maps 'a, b' to the largest difference between these engines over all outputs, as
    ``measure`` defines it. ``by_reference``: engines differed, and those that can score agree with ONNX's reference implementation.
    """

    engines: dict[str, str | None]
    differences: dict[str, float]
    measure: Measure = EXACT
    by_reference: bool = False

    @property
    def usable(self) -> list[str]:
        return [name for name, reason in self.engines.items() if reason is None]

    def summary(self) -> str:
        """One line for DESCRIBE."""
        if self.by_reference:
            return f"only {' and '.join(self.usable)}: engines differ, and ONNX's reference implementation agrees with these"
        if not self.differences:
            return f"only {self.usable[0]} can run it: nothing to compare"
        pairs = "; ".join(f"{pair}: {value:.1e}" for pair, value in self.differences.items())
        bound = f"bound {self.measure.bound:.0e}"
        return f"{self.measure.name} relative differences on {PICTURES} pictures: {pairs} ({bound})"


class Runs:
    """The last network that each engine has run and its outputs, so that one IMPORT compiles and runs a network once."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Network, Array, Engine, Outputs]] = {}

    def run(self, name: str, network: Network, batch: Array) -> tuple[Engine, Outputs]:
        """The engine with the network and its outputs for a batch."""
        known = self._last.get(name)
        if known is None or known[0] is not network or not np.array_equal(known[1], batch):
            engine = load_engine(name, network.to_bytes())
            self._last[name] = known = (network, batch, engine, engine.run(batch))
        return known[2:]


def check(
    network: Network,
    preprocessing: Preprocessing,
    convert: Callable[[], Any] | None = None,
    *,
    bigdl_reason: str | None = None,
    runs: Runs | None = None,
) -> CheckResult:
    """Compares all engines on a fixed batch.

    If they differ, those that also differ from ONNX's reference implementation are recorded as unable to score.

    :param convert: builds the network in the driver's JVM (``onnx_to_bigdl.convert``); None if BigDL cannot run it,
        for ``bigdl_reason``.
    :param runs: what :func:`first_values` has run already.
    :raises SqlExtError: IMPORT_CHECK_FAILED if two engines differ and the reference implementation does not agree with
        one of them, if an output is constant or not finite, or if no engine can run the network.
    """
    batch, measure = _batch(preprocessing), measure_of(network)
    with ThreadPoolExecutor(1, "sqlext-check") as pool:
        # The conversion in the JVM uses only one core, so the Python engines compile and run at the same time.
        running = pool.submit(_run, network, batch, measure, runs or Runs())
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
    dispute = _dispute(network, results, measure)
    if dispute is not None:
        engines |= _judged_by_reference(network, dispute, results, batch, measure)
        results = {name: outputs for name, outputs in results.items() if engines[name] is None}
        # The reference implementation is slow and judges one picture. It does not decide between engines that differ on another one.
        if (rest := _dispute(network, results, measure)) is not None:
            raise _failed(f"{' and '.join(rest.engines)} differ{_by_how_much(rest, measure)}")
    return CheckResult(engines, _differences(network, results, measure), measure, by_reference=dispute is not None)


@cache
def _fixed() -> list[Image.Image]:
    """Returns the pictures of the check, which take a third of a second to draw."""
    return pictures(PICTURES)


def _batch(preprocessing: Preprocessing) -> Array:
    return np.stack([tensor(picture, preprocessing) for picture in _fixed()])


def first_values(network: Network, preprocessing: Preprocessing, runs: Runs) -> Array | None:
    """The last output for the pictures, from the first engine that can run the network; None if none can."""
    batch = _batch(preprocessing)
    for name in reversed(ENGINES):  # onnxruntime compiles faster than OpenVINO
        try:
            _, (embedding, scores) = runs.run(name, network, batch)
        except Exception:  # noqa: S112 - the engine cannot load or run the network; the check says why
            continue
        return embedding if scores is None else scores
    return None


def _run(
    network: Network, batch: Array, measure: Measure, runs: Runs
) -> tuple[dict[str, str | None], dict[str, Outputs]]:
    """Runs the Python engines. Returns why each cannot run the network, or None, and the outputs of those that can.

    :raises SqlExtError: IMPORT_CHECK_FAILED if the pictures of a batch influence each other.
    """
    engines: dict[str, str | None] = {}
    results: dict[str, Outputs] = {}
    for name in ENGINES:
        try:
            engine, outputs = runs.run(name, network, batch)
            mixed = mixing(network, name, engine, batch, outputs, measure)
        except SqlExtError as error:
            engines[name] = str(error.values.get("reason", error))
            continue
        except Exception as error:  # the classes of onnxruntime's and OpenVINO's errors have no common base
            engines[name] = f"it fails{where(error)}"
            continue
        if mixed:
            raise _failed(mixed)
        engines[name], results[name] = None, outputs
    return engines, results


def _differences(network: Network, results: dict[str, Outputs], measure: Measure) -> dict[str, float]:
    """Returns the largest difference of each pair of engines."""
    return {
        f"{one}, {two}": max(measure.difference(a, b) for _, a, b in _pairs(network, first, second))
        for (one, first), (two, second) in combinations(results.items(), 2)
    }


@dataclass(frozen=True)
class _Dispute:
    """Two engines that differ in an output."""

    engines: tuple[str, str]
    output: str
    difference: float


def _dispute(network: Network, results: dict[str, Outputs], measure: Measure) -> _Dispute | None:
    """Returns the first two engines that differ by more than the bound."""
    for (one, first), (two, second) in combinations(results.items(), 2):
        for name, a, b in _pairs(network, first, second):
            if not measure.agree(a, b):
                return _Dispute((one, two), name, measure.difference(a, b))
    return None


def _judged_by_reference(
    network: Network, dispute: _Dispute, results: dict[str, Outputs], batch: Array, measure: Measure
) -> dict[str, str]:
    """Returns why engines must not score: they differ from ONNX's reference implementation, and others do not.

    :raises SqlExtError: IMPORT_CHECK_FAILED if the reference implementation agrees with no engine.
    """
    one, two = dispute.engines
    parting = where_they_part(network, dispute.engines, batch, measure) or made_by(network, dispute.output)
    right = agreeing(network, results, batch[:1], measure)
    if isinstance(right, list) and right:
        agree = f"{' and '.join(right)}, which {'agrees' if len(right) == 1 else 'agree'} with ONNX's reference implementation"
        return {name: f"from {parting} on, it differs from {agree}" for name in results if name not in right}
    judge = f"cannot run the network{right}" if isinstance(right, str) else "agrees with neither"
    raise _failed(
        f"{one} and {two} differ{_by_how_much(dispute, measure)}; they part at {parting}; ONNX's reference implementation {judge}"
    )


def _by_how_much(dispute: _Dispute, measure: Measure) -> str:
    return f" by {dispute.difference:.2g} of the {measure.size} in '{dispute.output}' (bound {measure.bound:g})"


def _pairs(network: Network, first: Outputs, second: Outputs) -> Iterator[tuple[str, Array, Array]]:
    """Yields each output's name and its values from both engines, for the pictures that both have run."""
    for name, a, b in zip((network.embedding_name, network.scores_name), first, second, strict=True):
        if name is not None and a is not None and b is not None:
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
