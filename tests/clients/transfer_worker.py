"""One of two warehouses: ``python transfer_worker.py WAREHOUSE IMAGES EXPORT (export | import)`` prints JSON as its last line."""

from __future__ import annotations

import json
import sys
from typing import Any

from pyspark.sql import SparkSession

import sqlext

ROWS = "SELECT path, content AS image, element_at(split(path, '/'), -2) AS species FROM binaryFile.`{0}/*/*`"


def export(spark: SparkSession, images: str, folder: str) -> None:
    for statement in (
        "CREATE DATABASE models",
        "IMPORT MODEL models.small FROM 'sqlext:small' FORMAT ONNX",
        f"CREATE TABLE shop.rows AS SELECT path, species, embed('models.small', image) AS e FROM ({ROWS.format(images)})",
        "TRAIN MODEL shop.flowers FROM shop.rows FEATURES (e) LABEL species BACKBONE models.small OPTIONS (epochs = 5)",
        f"EXPORT MODEL shop.flowers TO 'file:{folder}'",
    ):
        spark.sql(statement)


def answers(spark: SparkSession, images: str) -> dict[str, Any]:
    """The model's prediction for each image, and its metrics on the held-out rows."""
    rows = spark.sql(f"SELECT path, predict('shop.flowers', image) AS p FROM ({ROWS.format(images)})").collect()
    evaluated = spark.sql("EVALUATE MODEL shop.flowers").first()
    assert evaluated is not None
    metrics = {k: v for k, v in evaluated.asDict().items() if k in ("accuracy", "log_loss", "rows_evaluated", "source")}
    return {"scores": {row.path: [row.p.label, row.p.score] for row in rows}, "metrics": metrics}


def main(warehouse: str, images: str, folder: str, action: str) -> None:
    spark = sqlext.session(master="local[1]", warehouse=warehouse)
    spark.sql("CREATE DATABASE shop")
    message = None
    if action == "export":
        export(spark, images, folder)
    else:
        spark.sql("CREATE DATABASE models")
        imported = spark.sql(f"IMPORT MODEL shop.flowers FROM 'file:{folder}'").first()
        message = imported.message if imported else None
    print(json.dumps(answers(spark, images) | {"message": message}))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
