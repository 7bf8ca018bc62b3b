"""The tutorial's job in SQL, statement by statement: ants and bees on ResNet-50, from IMPORT to the accuracy SELECT.

    SQLEXT_DATA=folder python benchmarks/bench_ants_bees.py [--warehouse DIR] [--cache]

The folder holds hymenoptera/{train,val}/{ants,bees} and models/resnet50.onnx. Prints the seconds of each statement and what it
measured; the tables of photographs are made before the clock starts. EVALUATE and SELECT embed the photographs again, unless
--cache leaves the cache of network outputs on, as a session has it by default.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from pyspark.sql import Row, SparkSession

import sqlext

TRAIN = (
    "TRAIN MODEL bugs.antbee FROM bugs.train FEATURES (image) LABEL label BACKBONE models.resnet50 VALIDATE FROM bugs.val "
    "OPTIONS (epochs = 25, batch_size = 4, optimizer = 'sgd', learning_rate = 0.001, momentum = 0.9)"
)


def prepare(spark: SparkSession, data: Path) -> None:
    for database in ("bugs", "models"):
        spark.sql(f"CREATE DATABASE {database}")
    for part in ("train", "val"):
        spark.sql(
            f"CREATE TABLE bugs.{part} STORED AS PARQUET AS SELECT content AS image, element_at(split(path, '/'), -2) AS label "
            f"FROM binaryFile.`file:{data}/hymenoptera/{part}/*`"
        )


def timed(spark: SparkSession, sql: str) -> tuple[float, Row]:
    start = time.perf_counter()
    row = spark.sql(sql).collect()[0]
    return time.perf_counter() - start, row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", help="a new folder to keep tables and models in; default: a temporary one")
    parser.add_argument("--cache", action="store_true", help="leave the cache of network outputs on")
    arguments = parser.parse_args()
    given, conf = arguments.warehouse, {} if arguments.cache else {"spark.sqlext.cache.maxBytes": "0"}
    data = Path(os.environ.get("SQLEXT_DATA", "../shared/data")).resolve()
    if not data.is_dir():
        sys.exit(f"no data in {data}: set SQLEXT_DATA")
    with nullcontext(given) if given else tempfile.TemporaryDirectory() as warehouse:
        spark = sqlext.session(master="local[2]", warehouse=warehouse, conf=conf)
        prepare(spark, data)
        load = os.getloadavg()[0]
        seconds, row = timed(spark, f"IMPORT MODEL models.resnet50 FROM 'file:{data}/models/resnet50.onnx' FORMAT ONNX")
        total = seconds
        print(f"IMPORT    {seconds:6.1f} s  {row.status}")
        seconds, row = timed(spark, TRAIN)
        total += seconds
        print(f"TRAIN     {seconds:6.1f} s  {row.message}")
        seconds, row = timed(spark, "EVALUATE MODEL bugs.antbee FROM bugs.val")
        total += seconds
        print(f"EVALUATE  {seconds:6.1f} s  accuracy {row.accuracy:.4f}")
        seconds, row = timed(spark, "SELECT avg(if(classify('bugs.antbee', image) = label, 1, 0)) AS a FROM bugs.val")
        total += seconds
        print(f"SELECT    {seconds:6.1f} s  average {row.a:.4f}")
        details = {r.col_name: r.data_type for r in spark.sql("DESCRIBE MODEL EXTENDED bugs.antbee").collect()}
        print(
            f"total     {total:6.1f} s  load {load:.1f} before; {details['Engines']}; precision {details['Precision']}"
        )
        spark.stop()


if __name__ == "__main__":
    main()
