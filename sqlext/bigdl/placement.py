"""Decides where a head trains: in one executor task or on all executors.

One task is the default: BigDL's LocalOptimizer needs no communication between executors, is repeatable and, for the feature
sets that fit, faster. Above ``spark.sqlext.train.localMaxBytes`` BigDL's DistriOptimizer uses all executors, provided that
their number is known and fixed: it splits the rows into one part per executor when it starts, and cannot change that later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sqlext.errors import SqlExtError
from sqlext.text import byte_size

DEFAULT_BATCH = 32
# Features may take one tenth of an executor's heap: while rows are read they exist twice, and half of the heap is Spark's.
SHARE_OF_HEAP = 10


@dataclass(frozen=True)
class Placement:
    """``executors`` is 0 for one task. ``cores`` is per executor. ``note`` is a remark for the user, or None."""

    executors: int
    cores: int
    batch_size: int
    note: str | None = None


def place(
    rows: int, width: int, batch_size: int, conf: Mapping[str, str], *, local_max: int, heap: int, threads: int
) -> Placement:
    """The placement of a training over ``rows`` x ``width`` float32 features.

    :param conf: the settings of the Spark application.
    :param local_max: spark.sqlext.train.localMaxBytes, in bytes; 0 requests the distributed path.
    :param heap: bytes of an executor's heap (in local mode the driver's).
    :param threads: cores of a local master; ignored for other masters.
    :raises SqlExtError: TRAINING_TOO_LARGE if neither path is possible; it names the setting to change.
    """
    size, fits = 4 * rows * width, heap // SHARE_OF_HEAP
    if size <= min(local_max, fits):
        return Placement(0, 1, min(batch_size, rows))
    problem = _unfit(conf)
    if problem is None:
        return _distributed(batch_size, *_layout(conf, threads))
    if size <= fits:
        note = f"trained on 1 executor, although {byte_size(size)} of features call for all of them: {problem}"
        return Placement(0, 1, min(batch_size, rows), note)
    raise SqlExtError("TRAINING_TOO_LARGE", size=byte_size(size), limit=byte_size(fits), problem=problem)


def _distributed(asked: int, executors: int, cores: int) -> Placement:
    total = executors * cores
    # BigDL fails if the batch cannot be divided equally among all cores.
    batch = math.ceil(asked / total) * total
    raised = f"batch_size raised from {asked} to {batch}, a multiple of the {total} cores" if batch != asked else None
    return Placement(executors, cores, batch, raised)


def _unfit(conf: Mapping[str, str]) -> str | None:
    """Why BigDL cannot train on all executors, with the setting to change; None if it can."""
    if _is_local(conf):
        return None
    needed = ["spark.executor.cores", _executors_key(conf)]
    if conf.get("spark.dynamicAllocation.enabled") == "true":
        least, most = (conf.get(f"spark.dynamicAllocation.{end}Executors") for end in ("min", "max"))
        # With dynamic allocation, BigDL takes the number of executors from these two and requires them to be equal.
        if least is None or least != most:
            return (
                "the number of executors is not fixed; set spark.dynamicAllocation.enabled to false, or "
                "spark.dynamicAllocation.minExecutors and .maxExecutors to the same number"
            )
        needed = ["spark.executor.cores"]
    unset = [key for key in needed if key not in conf]
    if unset:
        return f"the number of cores is not known; set {' and '.join(unset)}"
    return None


def _layout(conf: Mapping[str, str], threads: int) -> tuple[int, int]:
    if _is_local(conf):
        return 1, threads
    cores = int(conf["spark.executor.cores"])
    if conf.get("spark.dynamicAllocation.enabled") == "true":
        return int(conf["spark.dynamicAllocation.minExecutors"]), cores
    key = _executors_key(conf)
    number = int(conf[key])
    return (number if key == "spark.executor.instances" else max(1, number // cores)), cores


def _executors_key(conf: Mapping[str, str]) -> str:
    """The setting that fixes the number of executors: YARN and Kubernetes count executors, a standalone cluster counts cores."""
    master = conf.get("spark.master", "")
    if master.startswith("yarn") or (master.startswith("k8s") and "spark.executor.instances" in conf):
        return "spark.executor.instances"
    return "spark.cores.max"


def _is_local(conf: Mapping[str, str]) -> bool:
    return conf.get("spark.master", "").startswith("local")
