"""BigDL without sqlext reads what we save; sqlext without BigDL's jar reports that the jar is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from sqlext.bigdl.records import HeadSpec, TrainSettings
from sqlext.bigdl.training import save_head, train_head
from sqlext.spark.jars import JAR, bigdl_jars, spark_jars
from tests.support.training_data import blobs, log_probabilities

_ALONE = """
import json, sys
from pyspark.sql import SparkSession
SparkSession.builder.master("local[1]").config("spark.driver.extraClassPath", sys.argv[1]) \\
    .config("spark.ui.enabled", "false").config("spark.sql.warehouse.dir", sys.argv[4]).getOrCreate()
import numpy as np
from bigdl.dllib.nn.layer import Model
head = Model.loadModel(sys.argv[2], sys.argv[2] + ".weights")
np.save(sys.argv[3], head.forward(np.load(sys.argv[3])))
"""


@pytest.mark.slow
def test_bigdl_alone_reads_a_saved_head(spark: SparkSession, tmp_path: Path) -> None:
    data = blobs()
    head = HeadSpec(width=64, classes=2, hidden=(8,), dropout=0.2)
    trained = train_head(spark, data.frame(spark), head, TrainSettings(epochs=8, learning_rate=0.01))
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        save_head(spark, head, trained.weights, folder)
    names = ["model.bigdl", "model.bigdl.weights"]
    assert sorted(f.name for f in folders[0].iterdir()) == names
    assert [(folders[0] / n).read_bytes() for n in names] == [(folders[1] / n).read_bytes() for n in names]
    batch = tmp_path / "batch.npy"
    np.save(batch, data.features)
    class_path = ":".join([str(spark_jars() / "*"), *map(str, bigdl_jars())])
    command = [sys.executable, "-c", _ALONE, class_path, str(folders[0] / names[0]), str(batch), str(tmp_path / "w")]
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=tmp_path)
    assert np.load(batch) == pytest.approx(log_probabilities(trained.weights, data.features), abs=1e-5)


_WITHOUT = """
import sys
from pyspark.sql import SparkSession
import sqlext
from sqlext.bigdl.installed import missing
from sqlext.bigdl.records import HeadSpec, TrainSettings
from sqlext.bigdl.training import train_head
spark = SparkSession.builder.master("local[1]").config("spark.driver.extraClassPath", sys.argv[1]) \\
    .config("spark.sql.extensions", "org.apache.spark.sql.sqlext.SqlExtensions").config("spark.ui.enabled", "false") \\
    .config("spark.sql.warehouse.dir", sys.argv[2]).config("spark.sqlext.engin", "x").enableHiveSupport().getOrCreate()
print(missing(spark))
print(spark.sql("SELECT cosine_similarity(array(1.0), array(1.0)) AS one").collect())
rows = spark.sql("SELECT array(1.0f) AS features, 0.0D AS target, false AS validates")
try:
    train_head(spark, rows, HeadSpec(1, 2), TrainSettings(epochs=1))
except Exception as error:
    print(type(error).__name__, error)
sqlext.attach(spark)
array = "TRAIN MODEL m FROM (SELECT array(1.0f * id) AS x, id % 2 AS y FROM range(8)) LABEL y"
for sql in (array, array.replace("array(1.0f * id)", "X'00'"), "SELECT embed_resnet(X'00')"):
    try:
        spark.sql(sql).collect()
    except Exception as error:
        print(error.getErrorClass(), str(error).splitlines()[0])
"""


def test_without_bigdls_jar_the_rest_works_and_reports_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, str(JAR), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
    )
    sentence, one, error, train, of_images, embed = done.stdout.splitlines() or [done.stderr] * 6
    assert sentence.startswith("BigDL's jar is not on the class path")
    assert one == "[Row(one=1.0)]"
    assert error == f"SqlExtError {sentence}"
    assert train.startswith(f"BIGDL_MISSING [BIGDL_MISSING] {sentence.rstrip('.')}")
    # No backbone exists, so the error shows the statement that imports one.
    for refused in (of_images, embed):
        assert refused.startswith("BACKBONE_NOT_FOUND")
        assert "Run IMPORT MODEL models.resnet50 FROM 'file:/path/to/resnet50.onnx' FORMAT ONNX" in refused
        assert "docs/backbones.md" in refused
        assert "The name models.resnet50 comes from spark.sqlext.resnet." in refused
    assert "spark.sqlext.engin is not a setting of bigdl-sqlext. Did you mean spark.sqlext.engine?" in done.stderr
