"""Training on a real cluster: a standalone master and two worker processes, started from PySpark's jars."""

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

import numpy as np
import pytest

from sqlext.spark.jars import spark_jars
from sqlext.spark.java import find_java
from tests.support.class_archive import SHORT_LIVED

pytestmark = pytest.mark.slow  # without a cluster: tests/core/test_bigdl_training.py

SEEDS = (1, 2, 3, 4, 5)
ALL_EXECUTORS = {"spark.executor.cores": "1", "spark.cores.max": "2", "spark.sqlext.train.localMaxBytes": "0"}
_CLAUSES = "FROM blobs LABEL target VALIDATE BY validates OPTIONS (standardize = false, early_stop = false, {options})"
STATEMENTS = (
    "TRAIN MODEL whole "
    + _CLAUSES.replace("{options}", "epochs = 6, learning_rate = 0.01, tensorboard = '{folder}/board'"),
    # The rate is almost 0, so the weights stay those of warm_start.
    "TRAIN MODEL onwards "
    + _CLAUSES.replace(
        "{options}", "epochs = 1, learning_rate = 1e-12, warm_start = 'whole', tensorboard = '{folder}/board'"
    ),
)

# Trains one head per seed on the cluster, runs statements there and prints the results as one line of JSON.
_DRIVER = """
import dataclasses, json, sys, time
import sqlext
from sqlext.bigdl.records import HeadSpec, TrainSettings
from sqlext.bigdl.training import train_head
from tests.support.training_data import blobs

request = json.loads(sys.argv[1])
spark = sqlext.session(master=request["master"], warehouse=request["warehouse"], conf=request["conf"])
data = blobs(every=2)
rows = data.frame(spark)
rows.createOrReplaceTempView("blobs")
results = []
for seed in request["seeds"]:
    settings = TrainSettings(epochs=10, learning_rate=0.01, seed=seed)
    start, heard = time.monotonic(), []
    trained = train_head(spark, rows, HeadSpec(64, 2), settings, lambda e: heard.append(e) is None)
    result = dataclasses.asdict(trained)
    result["weights"] = [w.tolist() for w in trained.weights]
    result["heard"] = [e.epoch for e in heard]
    result["seconds"] = time.monotonic() - start
    results.append(result)
statements = [spark.sql(sql).collect()[0].asDict() for sql in request["statements"]]
workers = spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()
found = {"results": results, "executors": len(workers) - 1, "statements": statements}
print("RESULTS " + json.dumps(found, default=str))
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(class_name: str, *arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    """Starts a Spark daemon as sbin/start-master.sh would, but in the foreground."""
    environment = os.environ | {
        "SPARK_HOME": str(spark_jars().parent),
        "SPARK_SCALA_VERSION": "2.12",  # which bin/load-spark-env.sh would set
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_HOME": str(find_java()),
    }
    command = [str(find_java() / "bin" / "java"), "-Xmx512m", *SHORT_LIVED.split(), "-cp", str(spark_jars() / "*")]
    log = (folder / f"{class_name}-{len(list(folder.iterdir()))}.log").open("wb")
    return subprocess.Popen(
        [*command, f"org.apache.spark.deploy.{class_name}", "--host", "127.0.0.1", "--webui-port", "0", *arguments],
        stdout=log,
        stderr=log,
        env=environment,
        cwd=folder,
    )


def _wait_for(logs: Path, text: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while sum(log.read_text(errors="replace").count(text) for log in logs.glob("*.log")) < count:
        assert time.monotonic() < deadline, "\n".join(log.read_text() for log in logs.glob("*.log"))
        time.sleep(0.2)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a master with two workers of one core each."""
    folder = tmp_path_factory.mktemp("cluster")
    port = _free_port()
    url = f"spark://127.0.0.1:{port}"
    daemons = [_start("master.Master", "--port", str(port), folder=folder)]
    try:
        _wait_for(folder, "New state: ALIVE", 1)
        for name in ("a", "b"):
            (folder / name).mkdir()
            work = ("--work-dir", str(folder / name))
            daemons.append(_start("worker.Worker", "-c", "1", "-m", "1200m", *work, url, folder=folder))
        _wait_for(folder, "Registering worker", 2)
        yield url
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)


def _train(
    url: str, folder: Path, conf: dict[str, str], seeds: tuple[int, ...], statements: tuple[str, ...] = ()
) -> dict[str, Any]:
    common = {
        "spark.executor.memory": "1g",
        "spark.executor.extraJavaOptions": SHORT_LIVED,
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        # Otherwise both partitions of the rows may go to the executor that has most of them.
        "spark.shuffle.reduceLocality.enabled": "false",
    }
    request = {"master": url, "warehouse": str(folder / "warehouse"), "conf": common | conf, "seeds": seeds}
    request["statements"] = [sql.format(folder=folder.as_uri()) for sql in statements]
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, json.dumps(request)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULTS ")]
    assert lines, done.stderr[-4000:]
    assert not list(folder.rglob("bigdl.log")), "BigDL wrote its own log into the user's folder"
    answer: dict[str, Any] = json.loads(lines[0].removeprefix("RESULTS "))
    return answer


@pytest.fixture(scope="module")
def distributed(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Training on all executors, which the setting forces."""
    folder = tmp_path_factory.mktemp("distributed")
    return _train(cluster, folder, ALL_EXECUTORS, SEEDS[:1], STATEMENTS) | {"folder": folder}


@pytest.fixture(scope="module")
def further_seeds(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _train(cluster, tmp_path_factory.mktemp("seeds"), ALL_EXECUTORS, SEEDS[1:])


@pytest.fixture(scope="module")
def one_task(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Training in one executor task, because executors come and go: BigDL's distributed path refuses such a cluster."""
    conf = {
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.executorIdleTimeout": "2s",
        "spark.sqlext.train.localMaxBytes": "0",
    }
    return _train(cluster, tmp_path_factory.mktemp("dynamic"), conf, SEEDS)


def test_all_executors_train(distributed: dict[str, Any]) -> None:
    assert distributed["executors"] == 2
    for result in distributed["results"]:
        assert (result["distributed"], result["executors"], result["reproducible"]) == (True, 2, False)
        assert result["batch_size"] == 32 and result["note"] is None
        assert result["heard"] == [e["epoch"] for e in result["history"]] == list(range(1, 11))


def test_one_task_where_executors_come_and_go(one_task: dict[str, Any]) -> None:
    for result in one_task["results"]:
        assert (result["distributed"], result["executors"], result["reproducible"]) == (False, 1, True)
        assert "spark.dynamicAllocation.enabled" in result["note"]


@pytest.mark.parametrize("path", ["distributed", "one_task"])
def test_records_hold_the_losses_that_the_weights_have(path: str, request: pytest.FixtureRequest) -> None:
    from tests.support.training_data import blobs

    data = blobs(every=2)
    for result in request.getfixturevalue(path)["results"]:
        weights = [np.array(w) for w in result["weights"]]
        record = result["history"][-1]
        assert data.losses(weights) == pytest.approx((record["loss"], record["val_loss"]), abs=1e-5)
        assert data.accuracy(weights) == pytest.approx(record["metric_value"])


def test_both_paths_are_as_good(
    distributed: dict[str, Any], further_seeds: dict[str, Any], one_task: dict[str, Any]
) -> None:
    paths = (distributed["results"] + further_seeds["results"], one_task["results"])
    accuracies = [[r["history"][-1]["metric_value"] for r in results] for results in paths]
    print(f"\naccuracy over seeds {SEEDS}: all executors {accuracies[0]}, one task {accuracies[1]}")
    means = [np.mean(values) for values in accuracies]
    # Training on all executors is not repeatable: in six runs its mean was 0.002 to 0.018 below that of one task.
    assert means[0] == pytest.approx(means[1], abs=0.03)
    assert min(means) > 0.85


def test_event_files_and_a_warm_start_where_all_executors_train(distributed: dict[str, Any]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    whole, onwards = distributed["statements"]
    for row, epochs in ((whole, 6), (onwards, 1)):
        assert "trained on 2 executors" in row["message"]
        events = EventAccumulator(str(distributed["folder"] / "board" / f"{row['model']}-{row['run_id']}")).Reload()
        losses, held_out = events.Scalars("loss"), events.Scalars("val_loss")
        assert [e.step for e in losses] == [e.step for e in held_out] == list(range(1, epochs + 1))
        assert (losses[-1].value, held_out[-1].value) == pytest.approx((row["loss"], row["val_loss"]), rel=1e-6)
    assert (onwards["loss"], onwards["val_loss"]) == pytest.approx((whole["loss"], whole["val_loss"]), abs=1e-5)
    assert whole["loss"] < 0.4, "it must be far below ln 2, where a new head starts"
