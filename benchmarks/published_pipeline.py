"""The published tutorial's pipeline on the same photographs, with only BigDL: the baseline for bench_ants_bees.py.

    SQLEXT_DATA=folder python benchmarks/published_pipeline.py MODEL_FOLDER

MODEL_FOLDER is the `_model` folder of an imported ResNet-50; bench_ants_bees.py --warehouse DIR leaves one in DIR. The pipeline is
NNImageReader -> NNModel (1,000 scores per image) -> NNClassifier with 25 epochs of SGD in batches of 4. Prints the seconds of each
step; takes minutes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bigdl.dllib.feature.common import ChainedPreprocessing
from bigdl.dllib.feature.image import (
    ImageCenterCrop,
    ImageChannelNormalize,
    ImageFeatureToTensor,
    ImageMatToTensor,
    ImageResize,
    RowToImageFeature,
)
from bigdl.dllib.nn.criterion import ClassNLLCriterion
from bigdl.dllib.nn.layer import Linear, LogSoftMax, Model, SelectTable, Sequential
from bigdl.dllib.nncontext import init_nncontext
from bigdl.dllib.nnframes import NNClassifier, NNImageReader, NNModel
from bigdl.dllib.optim.optimizer import SGD
from pyspark.ml import Pipeline
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sqlext.spark.conf import LOG_CONFIGURATION
from sqlext.spark.jars import bigdl_jars, spark_jars

T = TypeVar("T")
MEAN_AND_STD = (123.675, 116.28, 103.53, 58.395, 57.12, 57.375)
BIGDL_NEEDS = {
    "spark.shuffle.reduceLocality.enabled": "false",
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.serializer": "org.apache.spark.serializer.JavaSerializer",
}


def session() -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[2]").config("spark.driver.memory", "8g")
    builder.config("spark.driver.extraClassPath", ":".join([str(spark_jars() / "*"), *map(str, bigdl_jars())]))
    builder.config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={LOG_CONFIGURATION.as_uri()}")
    for key, value in BIGDL_NEEDS.items():
        builder.config(key, value)
    return builder.config("spark.ui.enabled", "false").getOrCreate()


def pipeline(folder: Path) -> Pipeline:
    network = Model.loadModel(str(folder / "model.bigdl"), str(folder / "model.bigdl.weights"))
    scores = Sequential().add(network).add(SelectTable(2)).evaluate()  # the graph returns embedding and scores
    steps = [
        RowToImageFeature(),
        ImageResize(256, 256),
        ImageCenterCrop(224, 224),
        ImageChannelNormalize(*MEAN_AND_STD),
    ]
    prepared = ChainedPreprocessing([*steps, ImageMatToTensor(), ImageFeatureToTensor()])
    embedder = NNModel(scores, prepared).setBatchSize(4).setFeaturesCol("image").setPredictionCol("embedding")
    head = Sequential().add(Linear(1000, 2)).add(LogSoftMax())
    classifier = NNClassifier(head, ClassNLLCriterion()).setOptimMethod(SGD(learningrate=0.001, momentum=0.9))
    classifier.setBatchSize(4).setMaxEpoch(25).setFeaturesCol("embedding").setPredictionCol("prediction")
    return Pipeline(stages=[embedder, classifier.setCachingSample(False)])


def timed(name: str, step: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = step()
    seconds = time.perf_counter() - start
    print(f"{name:<9} {seconds:6.1f} s", flush=True)
    return seconds, result


def main() -> None:
    data = Path(os.environ.get("SQLEXT_DATA", "../shared/data")).resolve()
    if len(sys.argv) != 2 or not data.is_dir():
        sys.exit(__doc__)
    spark = session()
    context: Any = init_nncontext(redirect_spark_log=False)

    def photographs(part: str) -> DataFrame:
        folder = f"{data}/hymenoptera/{part}/*"
        frame = NNImageReader.readImages(folder, context, resizeH=256, resizeW=256, image_codec=1)
        return frame.withColumn("label", F.when(F.col("image.origin").contains("/ants/"), 1.0).otherwise(2.0))

    loading, stages = timed("load", lambda: pipeline(Path(sys.argv[1])))
    fitting, model = timed("fit", lambda: stages.fit(photographs("train")))
    right = (F.col("prediction") == F.col("label")).cast("double")
    scoring, row = timed("score", lambda: model.transform(photographs("val")).agg(F.avg(right)).first())
    print(f"total     {loading + fitting + scoring:6.1f} s  accuracy {row[0]:.4f}")
    spark.stop()


if __name__ == "__main__":
    main()
