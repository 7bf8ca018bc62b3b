"""Trains heads with BigDL on the executors, and writes them as BigDL modules.

The Scala side (jvm/src/BigDLTraining.scala) runs BigDL's LocalOptimizer in one executor task, or its DistriOptimizer on all
executors (see placement.py). It reports each epoch as soon as it ends, and :func:`on_epoch` passes the report to the caller
of :func:`train_head`. On both paths, loss and val_loss are the mean NLL (or squared error) over all training and validation
rows at the end of the epoch, with dropout off.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from sqlext.bigdl.installed import missing
from sqlext.bigdl.placement import DEFAULT_BATCH, Placement, place
from sqlext.bigdl.records import Epoch, HeadSpec, TrainedHead, TrainSettings
from sqlext.catalog.layout import BIGDL_FILES
from sqlext.errors import SqlExtError
from sqlext.networks.head import Numbers
from sqlext.spark.conf import setting_bytes
from sqlext.spark.java_classes import java_classes


class _Run:
    """A training that this process waits for: the caller's callback, and the exception that it raised."""

    def __init__(self, callback: Callable[[Epoch], bool]) -> None:
        self.callback = callback
        self.failure: BaseException | None = None

    def report(self, epoch: Epoch) -> bool:
        try:
            return self.callback(epoch) is not False
        except BaseException as failure:  # raised again in the waiting thread; the calling JVM thread must not see it
            self.failure = failure
            return False


_runs: dict[str, _Run] = {}


def on_epoch(record: Mapping[str, Any]) -> bool:
    """Called by the JVM for each finished epoch (backend method "epoch"). Returns False to end the training."""
    run = _runs.get(record["run"])
    # A run for which nobody waits any more ends at its next epoch.
    return run is not None and run.report(_epoch(record))


def train_head(
    spark: SparkSession,
    rows: DataFrame,
    head: HeadSpec,
    settings: TrainSettings,
    on_epoch: Callable[[Epoch], bool] = lambda _: True,
    *,
    name: str = "model",
    row_count: int | None = None,
    placement: Placement | None = None,
    initial: list[np.ndarray[Any, np.dtype[np.float32]]] | None = None,
) -> TrainedHead:
    """Trains a head on the executors.

    :param rows: features ARRAY<FLOAT> of length ``head.width``, target DOUBLE (class index from 0, or the value), validates
        BOOLEAN; no nulls. Cached during the training unless the caller has cached it.
    :param on_epoch: called with each epoch while training runs; returning False cancels. An exception that it raises is
        raised here. If an executor is lost, training starts again from the first epoch.
    :param name: the model's name, for errors and the description of jobs ("TRAIN MODEL shop.flowers: training 20 epochs").
    :param row_count: the number of ``rows``, if the caller knows it.
    :param placement: where to train; default: chosen by size and settings (placement.py).
    :param initial: weights to start from, in the shapes of ``head``; default: BigDL's random ones, set by the seed.
    :raises SqlExtError: BIGDL_MISSING, TRAINING_TOO_LARGE, TRAINING_DIVERGED.
    """
    if sentence := missing(spark):
        raise SqlExtError("BIGDL_MISSING", reason=sentence)
    with _cached(rows):
        if placement is None:
            placement = place_head(spark, row_count if row_count is not None else rows.count(), head, settings)
        run, waiting = uuid.uuid4().hex, _Run(on_epoch)
        _runs[run] = waiting
        try:
            with _job_description(spark, f"TRAIN MODEL {name}: training {settings.epochs:,} epochs"):
                request = _request(run, f"TRAIN MODEL {name}", head, settings, placement)
                answer = _train(spark, rows, request, _flat(initial))
        finally:
            del _runs[run]
    if waiting.failure is not None:
        raise waiting.failure
    return _trained(answer, name, head, placement)


def save_head(spark: SparkSession, head: HeadSpec, weights: Sequence[Numbers], folder: Path) -> None:
    """Writes ``model.bigdl`` and ``model.bigdl.weights`` into a local folder.

    They are BigDL's protobuf: the same bytes for the same weights. BigDL by itself can read them with
    ``Model.loadModel(definition, weights)``; the module returns log-probabilities, or the value of a regression.
    """
    definition, weights_file = (str(folder / name) for name in BIGDL_FILES)
    _glue(spark).save(json.dumps(_head(head)), _flat(weights), definition, weights_file)


def _flat(weights: Sequence[Numbers] | None) -> bytearray | None:
    """All weights, concatenated, as little-endian float32."""
    if weights is None:
        return None
    return bytearray(np.concatenate([np.asarray(w, dtype="<f4").ravel() for w in weights]).tobytes())


def _glue(spark: SparkSession) -> Any:
    return java_classes(spark).org.apache.spark.sql.sqlext.BigDLTraining


def _train(spark: SparkSession, rows: DataFrame, request: dict[str, Any], initial: bytearray | None) -> Any:
    # In this order: the JVM reads them by position (Scala: BigDLTraining.read).
    columns = rows.selectExpr("CAST(features AS ARRAY<FLOAT>)", "CAST(target AS DOUBLE)", "validates")
    return _glue(spark).train(columns._jdf, json.dumps(request), initial)


def _head(head: HeadSpec) -> dict[str, Any]:
    return asdict(head)


def _request(run: str, name: str, head: HeadSpec, settings: TrainSettings, placement: Placement) -> dict[str, Any]:
    options = asdict(settings) | {"batch_size": placement.batch_size}
    options = {key: value for key, value in options.items() if value is not None}
    head_options = {key: value for key, value in _head(head).items() if value is not None}
    return {
        "run": run,
        "name": name,
        "head": head_options,
        "settings": options,
        "executors": placement.executors,
        "cores": placement.cores,
    }


def executor_heap(spark: SparkSession) -> int:
    """Bytes of an executor's heap; in local mode, executors share the driver's."""
    conf, jvm = spark.sparkContext.getConf(), java_classes(spark)
    if conf.get("spark.master", "").startswith("local"):
        return int(jvm.java.lang.Runtime.getRuntime().maxMemory())
    return (
        # A number without a unit means MiB in this setting; elsewhere it means bytes.
        int(jvm.org.apache.spark.network.util.JavaUtils.byteStringAsMb(conf.get("spark.executor.memory", "1g"))) << 20
    )


def place_head(spark: SparkSession, rows: int, head: HeadSpec, settings: TrainSettings) -> Placement:
    """Where a head would train on this cluster, and with which batch size.

    :raises SqlExtError: TRAINING_TOO_LARGE.
    """
    context = spark.sparkContext
    conf = dict(context.getConf().getAll())
    local_max = setting_bytes(spark, "train.localMaxBytes")
    heap = executor_heap(spark)
    # L-BFGS estimates curvature from changes of the gradient, which is wrong if the batches differ: one batch has all rows.
    batch_size = settings.batch_size or (rows if settings.optimizer == "lbfgs" else DEFAULT_BATCH)
    return place(rows, head.width, batch_size, conf, local_max=local_max, heap=heap, threads=context.defaultParallelism)


def _trained(answer: Any, name: str, head: HeadSpec, placement: Placement) -> TrainedHead:
    report = json.loads(answer.report())
    history = [_epoch(record) for record in report["history"]]
    stopped = report.get("stopped")
    if stopped == "diverged":
        raise SqlExtError("TRAINING_DIVERGED", model=name, loss="not a number", epoch=len(history))
    flat = np.frombuffer(answer.weights(), dtype="<f4")
    shapes = head.shapes
    cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    weights = [part.reshape(shape).copy() for part, shape in zip(np.split(flat, cuts), shapes, strict=True)]
    distributed = placement.executors > 0
    return TrainedHead(
        weights=weights,
        history=history,
        best_epoch=report["best_epoch"],
        batch_size=report["batch_size"],
        executors=max(1, placement.executors),
        distributed=distributed,
        reproducible=not distributed and head.dropout == 0,
        note=placement.note,
        stopped=stopped,
    )


def _epoch(record: Mapping[str, Any]) -> Epoch:
    """Converts the JVM's record, which omits values that are not finite numbers."""
    return Epoch(
        epoch=record["epoch"],
        iteration=record["iteration"],
        loss=record.get("loss", float("nan")),
        val_loss=record.get("val_loss"),
        metric_value=record.get("metric_value"),
        learning_rate=record.get("learning_rate"),
        rows_per_second=record["rows_per_second"],
        recorded_at=datetime.fromtimestamp(record["recorded_at"] / 1000, UTC),
    )


@contextmanager
def _cached(rows: DataFrame) -> Iterator[None]:
    """Caches the rows, which are read two or three times: for the count, for training and, distributed, for validation."""
    # Any cached part of the plan counts: rows.py caches the rows before they are scaled.
    if "InMemoryRelation" in rows._jdf.queryExecution().withCachedData().toString():
        yield
        return
    rows.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield
    finally:
        rows.unpersist()


@contextmanager
def _job_description(spark: SparkSession, description: str) -> Iterator[None]:
    """Sets the description of the thread's jobs, but not their job group: cancelling the statement cancels the training."""
    context = spark.sparkContext
    before = context.getLocalProperty("spark.job.description")
    context.setJobDescription(description)
    try:
        yield
    finally:
        context.setLocalProperty("spark.job.description", before)  # type: ignore[arg-type]
