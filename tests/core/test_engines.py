"""The engines of the Python workers agree with each other for any batch."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sqlext.engines import ENGINES, available, cpu_supports_bf16, load_engine
from sqlext.errors import SqlExtError
from sqlext.images.decode import decode
from sqlext.images.preprocessing import Preprocessing, tensor
from sqlext.networks.graph import read_network
from sqlext.scoring import worker as _worker
from sqlext.scoring.worker import ScoringSpec
from tests.support.small_networks import residual

Array = np.ndarray[Any, np.dtype[np.float32]]


@pytest.fixture(scope="module")
def small() -> bytes:
    return read_network(residual()).to_bytes()


@pytest.fixture(scope="module")
def resnet(real_data: Path) -> bytes:
    return read_network((real_data / "models" / "resnet50.onnx").read_bytes()).to_bytes()


@pytest.fixture(scope="module")
def photographs(real_data: Path) -> Array:
    files = sorted((real_data / "hymenoptera" / "val").glob("*/*.jp*g"))[::10]
    return np.stack([tensor(decode(file.read_bytes()), Preprocessing()) for file in files])


def random(count: int) -> Array:
    return np.random.default_rng(2).standard_normal((count, 3, 32, 32)).astype(np.float32)


def cosine(a: Array, b: Array) -> Array:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("name", ENGINES)
def test_any_batch(name: str, small: bytes) -> None:
    """The results for an image do not depend on the other images of the batch; an empty batch has the right widths."""
    engine = load_engine(name, small)
    embedding, scores = engine.run(random(19))
    assert scores is not None and (embedding.shape, scores.shape) == ((19, 19), (19, 7))
    assert embedding.dtype == scores.dtype == np.float32
    for count in (0, 1, 5, 8, 9):
        part, part_scores = engine.run(random(19)[:count])
        assert part_scores is not None and part.shape == (count, 19)
        assert np.allclose(part, embedding[:count], atol=1e-5) and np.allclose(part_scores, scores[:count], atol=1e-5)


@pytest.mark.parametrize("name", ENGINES)
def test_results_are_the_callers_own(name: str, small: bytes) -> None:
    engine = load_engine(name, small)
    first, _ = engine.run(random(4))
    before = first.copy()
    engine.run(-random(4))
    assert np.array_equal(first, before)


@pytest.mark.parametrize("name", ENGINES)
def test_without_a_classifier(name: str) -> None:
    embedding, scores = load_engine(name, read_network(residual(), embedding="logits").to_bytes()).run(random(3))
    assert embedding.shape == (3, 7) and scores is None


def test_parity_on_a_small_network(small: bytes) -> None:
    one, two = (load_engine(name, small).run(random(9)) for name in ENGINES)
    assert one[1] is not None and two[1] is not None
    assert np.abs(one[0] - two[0]).max() < 1e-5 and np.abs(one[1] - two[1]).max() < 1e-5


@pytest.mark.real_data
def test_parity_on_photographs(resnet: bytes, photographs: Array) -> None:
    (e1, s1), (e2, s2) = (load_engine(name, resnet).run(photographs) for name in ENGINES)
    assert s1 is not None and s2 is not None
    assert np.abs(e1 - e2).max() < 1e-4 * np.abs(e2).max()
    assert np.abs(s1 - s2).max() < 1e-4 * np.abs(s2).max() and (s1.argmax(1) == s2.argmax(1)).all()


@pytest.mark.real_data
def test_bf16_is_believed_only_when_it_answers() -> None:
    """Limited to AVX2, oneDNN runs a bf16 network and returns nothing, although OpenVINO reports that the CPU has bf16."""
    limited = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    code = "from sqlext.engines import cpu_supports_bf16; print(cpu_supports_bf16())"
    done = subprocess.run([sys.executable, "-c", code], env=limited, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(not cpu_supports_bf16(), reason="this CPU has no bf16 instructions")
def test_bf16_on_photographs(resnet: bytes, photographs: Array) -> None:
    exact, _ = load_engine("openvino", resnet).run(photographs)
    rough, _ = load_engine("openvino", resnet, precision="bf16").run(photographs)
    assert cosine(exact, rough).min() > 0.999
    assert np.abs(exact - rough).max() > 1e-4, "the results are those of f32, not of bf16"


@pytest.mark.parametrize(
    ("name", "precision", "reason"),
    [
        ("tensorflow", "f32", "the engines are openvino, onnxruntime"),
        ("onnxruntime", "bf16", "it computes in f32, not bf16"),
        ("openvino", "int4", "it computes in f32 or bf16, not int4"),
    ],
)
def test_unavailable_engines(name: str, precision: str, reason: str, small: bytes) -> None:
    with pytest.raises(SqlExtError, match=reason) as error:
        load_engine(name, small, precision=precision)
    assert error.value.error_class == "ENGINE_NOT_AVAILABLE" and name in str(error.value)


@pytest.mark.parametrize("name", ENGINES)
def test_a_network_that_an_engine_refuses(name: str) -> None:
    with pytest.raises(SqlExtError) as error:
        load_engine(name, b"no network")
    assert error.value.error_class == "ENGINE_NOT_AVAILABLE" and "\n" not in str(error.value)


def test_a_missing_package_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['openvino'] = None\nfrom sqlext.engines import available; print(available('openvino'))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'openvino" in printed
    assert available("openvino") is None


QUIET = """
import sys
from pathlib import Path
sends = []
network = ("socket.connect", "socket.getaddrinfo", "urllib")
sys.addaudithook(lambda event, args: event.startswith(network) and sends.append((event, args)))
from sqlext.engines import ENGINES, load_engine
import numpy as np
for name in ENGINES:
    load_engine(name, Path(sys.argv[1]).read_bytes()).run(np.zeros((2, 3, 32, 32), np.float32))
assert not sends, sends
assert "openvino_telemetry" not in sys.modules
"""


def test_nothing_is_printed_sent_or_left_behind(small: bytes, tmp_path: Path) -> None:
    """Unless prevented, OpenVINO's package reports its import over the network and leaves files in the home folder."""
    (tmp_path / "network.onnx").write_bytes(small)
    home = tmp_path / "home"
    home.mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", QUIET, str(tmp_path / "network.onnx")],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert not list(home.iterdir())


@dataclass
class Held:
    """A broadcast that has been fetched."""

    value: bytes


@pytest.mark.parametrize("name", ENGINES)
def test_equal_images_of_one_batch_go_through_the_network_once(
    name: str, small: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_sizes: list[int] = []
    run = _worker._run

    def counted(batch: Array, *rest: Any) -> Array:
        batch_sizes.append(len(batch))
        return run(batch, *rest)

    monkeypatch.setattr(_worker, "_run", counted)
    a, b = picture((200, 30, 30)), picture((30, 30, 200))
    preprocessing = Preprocessing(image_size=32, resize="none").to_dict()
    spec = ScoringSpec("key", f"network for {name}", preprocessing, engine=name)
    frame = _worker.embed_images(pd.Series([a, b, a, None, b"no picture", a, b]), spec, Held(small))
    assert batch_sizes == [2]
    rows = list(frame.embedding)
    assert all(np.array_equal(rows[i], rows[0]) for i in (2, 5))
    assert np.array_equal(rows[6], rows[1])
    assert not np.array_equal(rows[0], rows[1])
    assert list(frame.error.isna()) == [True, True, True, False, False, True, True]


def picture(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(file, "PNG")
    return file.getvalue()
