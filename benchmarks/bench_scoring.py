"""Images per second through embed() in SQL, by engine and precision, compared with only decoding them.

    python benchmarks/bench_scoring.py [--network FILE.onnx] [--images DIR] [--rows 200]

The defaults are ResNet-50 and photographs from SQLEXT_DATA if that is set, otherwise the package's small network and drawn
flowers. Each figure is the median of three runs over a cached table, after one run to warm up. The cache of network outputs is
off: a second run would read what the first one computed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import SparkSession

import sqlext
from sqlext.cli.demo_images import write_flowers
from sqlext.engines import cpu_supports_bf16
from sqlext.spark.conf import available_cores

RUNS = 3


def variants() -> Iterator[tuple[str, str]]:
    yield "openvino", "f32"
    if cpu_supports_bf16():
        yield "openvino", "bf16"
    yield "onnxruntime", "f32"
    yield "bigdl", "f32"


def seconds(spark: SparkSession, sql: str) -> float:
    """The median of RUNS runs, after one that starts the Python workers and compiles the network."""
    spark.sql(sql).collect()
    taken = []
    for _ in range(RUNS):
        started = time.perf_counter()
        spark.sql(sql).collect()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main(network: str, images: str, rows: int, warehouse: Path) -> None:
    cores = available_cores()
    spark = sqlext.session(master=f"local[{cores}]", warehouse=warehouse, conf={"spark.sqlext.cache.maxBytes": "0"})
    spark.sql(f"IMPORT MODEL bench FROM '{network}' FORMAT ONNX")
    found = spark.sql(f"SELECT content AS image FROM binaryFile.`{images}` LIMIT {rows}").repartition(2 * cores).cache()
    found.createOrReplaceTempView("pictures")
    count = found.count()
    print(f"{count} images, network {network}, {cores} cores")
    taken = seconds(spark, "SELECT count(image_error(image)) FROM pictures")
    print(f"{'only decoding':24}{count / taken:8.1f} images/s")
    for engine, precision in variants():
        spark.conf.set("spark.sqlext.engine", engine)
        spark.conf.set("spark.sqlext.embed.precision", precision)
        taken = seconds(spark, "SELECT sum(size(embed('bench', image))) FROM pictures")
        print(f"{engine + ' ' + precision:24}{count / taken:8.1f} images/s", flush=True)
    spark.stop()


if __name__ == "__main__":
    data = Path(os.environ.get("SQLEXT_DATA", "no data"))
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--network", default=f"file:{data / 'models/resnet50.onnx'}" if data.is_dir() else "sqlext:small"
    )
    parser.add_argument("--images", default=f"{data / 'hymenoptera/val/*'}" if data.is_dir() else None)
    parser.add_argument("--rows", type=int, default=200)
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        if options.images is None:
            write_flowers(Path(temporary, "flowers"))
        images = options.images or f"{temporary}/flowers/train/*"
        main(options.network, images, options.rows, Path(temporary, "warehouse"))
