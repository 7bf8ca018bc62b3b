"""The cache of network outputs: computed once, shared by processes, bounded in size, and lost without harm."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import Row, SparkSession

from sqlext.scoring.cache import FILE, OutputCache, content_hash, output_cache

LIMIT = 10_000_000


class Network:
    """Returns [n, n, ..] for b'n' and a reason for anything else; records its inputs."""

    def __init__(self, width: int = 4) -> None:
        self.width = width
        self.inputs: list[bytes] = []

    def __call__(self, images: list[bytes]) -> list[Any]:
        self.inputs += images
        return [np.full(self.width, float(i), np.float32) if i.isdigit() else "no number" for i in images]


def through(cache: OutputCache, scope: str, images: list[bytes], network: Any) -> list[Any]:
    """Does what the worker does: takes outputs from the cache, and the missing ones from the network."""
    keys = [content_hash(scope, image) for image in images]
    known = cache.read(keys)
    missing = [i for i, found in enumerate(known) if found is None]
    made = dict(zip(missing, network([images[i] for i in missing]), strict=True))
    cache.write({keys[i]: output for i, output in made.items() if not isinstance(output, str)})
    return [made[i] if found is None else found for i, found in enumerate(known)]


def test_an_output_is_computed_once_and_a_reason_each_time(tmp_path: Path) -> None:
    cache, network = OutputCache(tmp_path / FILE, LIMIT), Network()
    first = through(cache, "net f32", [b"1", b"x", b"2"], network)
    again = through(cache, "net f32", [b"3", b"2", b"x", b"1"], network)
    assert network.inputs == [b"1", b"x", b"2", b"3", b"x"]
    assert first[1] == again[2] == "no number"
    assert [out.tolist() for out in (first[0], first[2])] == [[1.0] * 4, [2.0] * 4]
    assert [out.tolist() for out in (again[0], again[1], again[3])] == [[3.0] * 4, [2.0] * 4, [1.0] * 4]
    through(cache, "net bf16", [b"1"], network)
    assert network.inputs[5:] == [b"1"], "another precision is another output"


def test_structs_are_identified_by_their_pixels() -> None:
    struct = {"origin": "a.jpg", "height": 1, "width": 2, "nChannels": 1, "mode": 0, "data": bytearray(b"ab")}
    assert content_hash("s", struct) == content_hash("s", {**struct, "origin": "b.jpg", "data": b"ab"})
    for changed in ({"height": 2, "width": 1}, {"mode": 16}, {"data": b"ba"}):
        assert content_hash("s", {**struct, **changed}) != content_hash("s", struct)


def test_the_oldest_are_dropped_at_the_limit(tmp_path: Path) -> None:
    cache, network = OutputCache(tmp_path / FILE, 1_000_000), Network(width=2048)
    for start in range(0, 480, 16):
        through(cache, "s", [b"%d" % i for i in range(start, start + 16)], network)
        assert cache._used() <= 1_000_000
    network.inputs.clear()
    through(cache, "s", [b"479", b"0"], network)
    assert network.inputs == [b"0"]
    assert (tmp_path / FILE).stat().st_size < 1_300_000


def test_processes_share_the_file(tmp_path: Path) -> None:
    script = f"""
import sys, numpy as np
from pathlib import Path
from sqlext.scoring.cache import OutputCache, content_hash
cache = OutputCache(Path(sys.argv[1]), {LIMIT})
for n in range(60):
    images = [b"%d" % i for i in range(n, n + 16)]
    keys = [content_hash("s", image) for image in images]
    known = cache.read(keys)
    outputs = [np.full(64, float(i), np.float32) if found is None else found for i, found in zip(images, known)]
    cache.write(dict(zip(keys, outputs)))
    assert [o.tolist() for o in outputs] == [[float(i)] * 64 for i in images]
"""
    command = [sys.executable, "-c", script, str(tmp_path / FILE)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    network = Network(width=64)
    through(OutputCache(tmp_path / FILE, LIMIT), "s", [b"%d" % i for i in range(75)], network)
    assert network.inputs == []


def test_a_damaged_file_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache, network = OutputCache(tmp_path / "other", LIMIT), Network()
    cache._database.close()
    assert [out.tolist() for out in through(cache, "s", [b"7"], network)] == [[7.0] * 4]
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path},{tmp_path / 'second'}")
    assert output_cache(LIMIT + 1) is None
    assert [r.getMessage() for r in caplog.records][-1] == "network outputs are not cached: file is not a database"


def test_nothing_is_cached_without_a_limit_or_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path))
    assert output_cache(0) is None
    monkeypatch.delenv("SPARK_LOCAL_DIRS")
    assert output_cache(LIMIT + 2) is None
    assert not list(tmp_path.iterdir())


# --- in Spark ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(spark: SparkSession) -> sqlite3.Connection:
    """Opens the file of the session's executor."""
    disks = spark._jvm.org.apache.spark.SparkEnv.get().blockManager().diskBlockManager()  # type: ignore[union-attr]
    return sqlite3.connect(Path(disks.localDirs()[0].getPath()) / FILE)


def test_what_training_embedded_is_not_embedded_again(
    spark: SparkSession, flowers: Row, stored: sqlite3.Connection
) -> None:
    count = "SELECT count(*) FROM outputs"
    before = stored.execute(count).fetchone()[0]
    spark.conf.set("spark.sqlext.precision", "f32")
    try:
        labelled = spark.sql("SELECT classify('shop.flowers', image) AS l FROM shop.images").collect()
    finally:
        spark.conf.unset("spark.sqlext.precision")
    assert len(labelled) == 80
    assert None not in {row.l for row in labelled}
    assert stored.execute(count).fetchone()[0] == before >= 80


def test_a_query_gets_the_cached_output(
    spark: SparkSession, shop: str, stored: sqlite3.Connection, tmp_path: Path
) -> None:
    Image.radial_gradient("L").convert("RGB").resize((40, 30)).save(tmp_path / "own.png")
    query = f"SELECT embed('models.small', content) AS e FROM binaryFile.`{tmp_path}`"
    (first,) = spark.sql(query).collect()
    assert max(first.e) > 0
    (age, output), *_ = stored.execute("SELECT age, output FROM outputs ORDER BY age DESC LIMIT 1")
    assert np.frombuffer(output, np.float32).tolist() == first.e
    with stored:
        stored.execute("UPDATE outputs SET output = ? WHERE age = ?", (bytes(len(output)), age))
    (second,) = spark.sql(query).collect()
    assert set(second.e) == {0.0}
