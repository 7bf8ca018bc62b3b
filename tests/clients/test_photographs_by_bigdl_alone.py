"""BigDL can read a published version: a script without sqlext loads its `_model/` and returns the labels of classify()."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import pytest
from pyspark.sql import SparkSession

from sqlext.catalog import ModelCatalog, ModelRef
from sqlext.spark.jars import bigdl_jars, spark_jars

pytestmark = pytest.mark.real_data


def test_bigdl_alone_gives_the_labels_of_classify(
    spark: SparkSession, database: str, real_data: Path, tmp_path: Path
) -> None:
    photographs = real_data / "hymenoptera"
    source = "(SELECT content AS image, element_at(split(path, '/'), -2) AS label FROM binaryFile.`file:{}/{}/*`)"
    spark.sql(f"IMPORT MODEL resnet50 FROM 'file:{real_data}/models/resnet50.onnx' FORMAT ONNX")
    spark.sql(
        f"TRAIN MODEL antbee FROM {source.format(photographs, 'train')} LABEL label BACKBONE resnet50 VALIDATE NONE "
        "OPTIONS (epochs = 25, batch_size = 4, optimizer = 'sgd', learning_rate = 0.001)"
    )
    version = ModelCatalog(spark).resolve(ModelRef.parse("antbee", database))
    output = tmp_path / "labels.json"
    script = Path(__file__).with_name("bigdl_alone.py")
    class_path = ":".join([str(spark_jars() / "*"), *map(str, bigdl_jars())])
    folder = str(Path(urlparse(version.location).path) / "_model")
    command = [sys.executable, str(script), class_path, folder, str(photographs / "val"), str(output)]
    subprocess.run(command, check=True, capture_output=True, timeout=500, cwd=tmp_path)
    alone = json.loads(output.read_text())
    spark.conf.set("spark.sqlext.precision", "f32")
    try:
        rows = spark.sql(
            f"SELECT element_at(split(path, '/'), -1) AS name, classify('antbee', content) AS label FROM binaryFile.`file:{photographs}/val/*`"
        ).collect()
    finally:
        spark.conf.unset("spark.sqlext.precision")
    assert len(rows) == len(alone) == 153
    different = [row.name for row in rows if alone[row.name] != row.label]
    print(f"\nBigDL without sqlext compared with classify() in f32: {153 - len(different)} of 153 labels agree")
    assert different == []
