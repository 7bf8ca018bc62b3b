"""Trains a classifier on a table of pictures and uses it, with drawn flowers and the small network in the package.

    python examples/01_train_and_classify.py

It downloads nothing. For photographs, replace 'sqlext:small' with the path of a ResNet-50 (docs/backbones.md).
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import sqlext
from sqlext.cli.demo_images import write_flowers


def main(folder: Path) -> None:
    write_flowers(folder / "flowers")
    spark = sqlext.session(master="local[2]", warehouse=folder / "warehouse")
    spark.sql("CREATE DATABASE shop")
    for table, part in (("images", "train"), ("holdout", "val")):
        spark.sql(
            f"CREATE TABLE shop.{table} STORED AS PARQUET AS "
            "SELECT element_at(split(path, '/'), -1) AS file, content AS image, element_at(split(path, '/'), -2) AS species "
            f"FROM binaryFile.`{folder}/flowers/{part}/*`"
        )

    spark.sql("IMPORT MODEL shop.small FROM 'sqlext:small' FORMAT ONNX")
    trained = spark.sql(
        "TRAIN MODEL shop.flowers FROM shop.images FEATURES (image) LABEL species BACKBONE shop.small "
        "VALIDATE SPLIT 0.2 SEED 7 OPTIONS (epochs = 25, learning_rate = 0.003)"
    ).first()
    print(trained.message)

    accuracy = spark.sql("EVALUATE MODEL shop.flowers FROM shop.holdout").first().accuracy
    print(f"accuracy on pictures that were not used for training: {accuracy:.3f}")

    print("the five least certain predictions:")
    spark.sql(
        "SELECT file, p.label, round(p.score, 3) AS score FROM "
        "(SELECT file, predict('shop.flowers', image) AS p FROM shop.holdout) ORDER BY p.score LIMIT 5"
    ).show(truncate=False)

    print("the first epochs:")
    spark.sql("SELECT epoch, loss, val_loss FROM shop.flowers WHERE version = 1 ORDER BY epoch LIMIT 5").show()
    spark.stop()


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        main(Path(temporary))
