"""Measures how long BigDL takes to train a head: in one executor task, and on all cores with its distributed optimizer.

    python benchmarks/bench_training.py [--rows 244] [--width 2048] [--epochs 25] [--batch 4]

The rows are random, in two classes that a linear layer can separate. The second run of each path is warm.
"""

from __future__ import annotations

import argparse
import time
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession

import sqlext
from sqlext.bigdl.placement import Placement
from sqlext.bigdl.records import HeadSpec, TrainSettings
from sqlext.bigdl.training import train_head
from sqlext.spark.conf import available_cores


def feature_rows(spark: SparkSession, rows: int, width: int) -> DataFrame:
    random = np.random.default_rng(1)
    target = np.arange(rows) % 2
    features = random.normal(0, 1, (rows, width)).astype(np.float32)
    features[:, :64] += target[:, None]
    frame = pd.DataFrame(
        {
            "features": [f.tolist() for f in features],
            "target": target.astype(float),
            "validates": np.arange(rows) % 5 == 0,
        }
    )
    return spark.createDataFrame(frame, "features array<float>, target double, validates boolean").cache()


def main(rows: int, width: int, epochs: int, batch: int, warehouse: str) -> None:
    cores = available_cores()
    spark = sqlext.session(master=f"local[{cores}]", warehouse=warehouse)
    data = feature_rows(spark, rows, width)
    data.count()
    settings = TrainSettings(epochs=epochs, optimizer="sgd", learning_rate=0.001, momentum=0.9, batch_size=batch)
    raised = -(-batch // cores) * cores
    print(f"{rows} rows x {width}, {epochs} epochs, batch {batch}, {cores} cores")
    for title, placement in (
        ("one task", Placement(0, 1, batch)),
        (f"distributed, batch {raised}", Placement(1, cores, raised)),
    ):
        for state in ("cold", "warm"):
            started = time.perf_counter()
            head = train_head(spark, data, HeadSpec(width, 2), settings, placement=placement, row_count=rows)
            taken = time.perf_counter() - started
            print(f"{title + ', ' + state:32}{taken:8.2f} s   accuracy {head.history[-1].metric_value:.3f}", flush=True)
    spark.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name, default in (("rows", 244), ("width", 2048), ("epochs", 25), ("batch", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        main(options.rows, options.width, options.epochs, options.batch, temporary)
