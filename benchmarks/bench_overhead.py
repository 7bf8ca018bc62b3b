"""Measures what the extension adds to ordinary SQL: 200 x SELECT 1, analysed and collected, with and without it.

    python benchmarks/bench_overhead.py

Prints medians in milliseconds. Each kind runs twice, alternately, each time in its own process.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pyspark.sql import SparkSession

from sqlext.session import attach
from sqlext.spark import conf as spark_conf
from sqlext.spark.warehouse import warehouse_options

RUNS = 200
KINDS = ("without", "with")


def main() -> None:
    if len(sys.argv) > 1:
        measure(sys.argv[1])
        return
    for kind in KINDS * 2:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, __file__, kind], cwd=folder, check=True)


def measure(kind: str) -> None:
    """Warms up this process, then times the statements one by one."""
    spark = _session(kind)
    for _ in range(RUNS):
        spark.sql("SELECT 1").collect()
    analysed, collected, routed = [], [], []
    for _ in range(RUNS):
        start = time.perf_counter()
        frame = spark.sql("SELECT 1")
        analysed.append(time.perf_counter() - start)
        frame.collect()
        collected.append(time.perf_counter() - start)
    if kind == "with":
        for _ in range(RUNS):
            start = time.perf_counter()
            spark.sql("SHOW MODELS").collect()
            routed.append(time.perf_counter() - start)
    figures = {"analyse": analysed, "analyse + collect": collected, "SHOW MODELS": routed}
    medians = [f"{name} {statistics.median(times) * 1000:.2f} ms" for name, times in figures.items() if times]
    print(f"{kind:8}", "   ".join(medians), flush=True)
    spark.stop()


def _session(kind: str) -> SparkSession:
    """A session with the same settings for both kinds, except for the extension."""
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    options = spark_conf.needed({}) | warehouse_options(Path.cwd(), {})
    for key, value in options.items():
        if kind == "with" or key != "spark.sql.extensions":
            builder.config(key, value)
    return attach(builder.getOrCreate()) if kind == "with" else builder.getOrCreate()


if __name__ == "__main__":
    main()
