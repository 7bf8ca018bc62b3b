"""Two drivers with one metastore publish versions of one model at the same time: no number is used twice, none is lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest

from sqlext.spark.java import find_java
from tests.support.class_archive import SHORT_LIVED

EACH = 6  # versions per driver
SITE = """<configuration>
<property><name>javax.jdo.option.ConnectionURL</name><value>jdbc:derby:{folder}/metastore;create=true</value></property>
<property><name>datanucleus.schema.autoCreateAll</name><value>true</value></property>
<property><name>hive.metastore.schema.verification</name><value>false</value></property>
<property><name>hive.async.log.enabled</name><value>false</value></property>
<property><name>hive.metastore.warehouse.dir</name><value>{folder}/warehouse</value></property>
</configuration>"""


class Driver:
    """A driver process: one line in, one line of JSON out."""

    def __init__(self, uri: str, folder: Path) -> None:
        worker = Path(__file__).with_name("catalog_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, str(worker), uri, str(folder / "warehouse")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / f"driver{id(self)}.log").open("w"),
            text=True,
            env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        )

    def send(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the driver has ended"
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture
def metastore(tmp_path: Path) -> Iterator[str]:
    """Starts a real HiveMetaStore from PySpark's jars and returns its thrift URI."""
    (tmp_path / "hive-site.xml").write_text(SITE.format(folder=tmp_path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    jars = Path(pyspark.__path__[0]) / "jars" / "*"
    java = [str(find_java() / "bin" / "java"), "-Xmx512m", *SHORT_LIVED.split(), "-cp", f"{tmp_path}:{jars}"]
    log = (tmp_path / "metastore.log").open("w")
    server = subprocess.Popen(
        [*java, "org.apache.hadoop.hive.metastore.HiveMetaStore", "-p", str(port)],
        stdout=log,
        stderr=log,
        cwd=tmp_path,
    )
    try:
        wait_for(port, server)
        yield f"thrift://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "the metastore has ended"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("no metastore after a minute")


@pytest.mark.slow
def test_two_drivers_publish_one_model(metastore: str, tmp_path: Path) -> None:
    drivers = [Driver(metastore, tmp_path) for _ in range(2)]
    try:
        assert [driver.answer() for driver in drivers] == ["ready", "ready"]
        for driver in drivers:
            driver.send(f"publish flowers {EACH}")
        per_driver = [[(number, run) for number, run in driver.answer()] for driver in drivers]
        drivers[0].send("show flowers")
        listed = drivers[0].answer()
    finally:
        for driver in drivers:
            driver.close()
    published = per_driver[0] + per_driver[1]
    assert len({number for number, _ in published}) == 2 * EACH
    first = {number for number, _ in per_driver[0]}
    assert max(first) - min(first) >= EACH, "one driver finished before the other began, so there was no race"
    assert sorted(published) == [(number, run) for number, run, _, _ in listed]
    assert all(run == written and own for _, run, written, own in listed)
    models = [p for p in (tmp_path / "warehouse").iterdir() if p.name.startswith("flowers-")]
    assert len(models) == 1  # the driver that lost the first publish has removed its files
    assert {p.name for p in models[0].iterdir()} == {f"v{number}-{run}" for number, run in published}
