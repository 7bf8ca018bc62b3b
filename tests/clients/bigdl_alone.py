"""Classifies photographs with only BigDL and the files of a published version, without sqlext.

Usage: python bigdl_alone.py CLASS_PATH MODEL_FOLDER PHOTOGRAPHS OUTPUT, where MODEL_FOLDER is the `_model` folder of a version
and PHOTOGRAPHS contains one folder per class. Writes {file name: label} as JSON. The preprocessing is that of torchvision.
"""

import json
import sys
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
from bigdl.dllib.nn.layer import Model
from PIL import Image, ImageOps
from pyspark.sql import SparkSession

MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def preprocess(path: Path) -> np.ndarray:
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    scale = 256 / min(image.size)
    width, height = (256 if side == min(image.size) else int(side * scale) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - 224) / 2), round((height - 224) / 2)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    return ((pixels - MEAN) / STD).transpose(2, 0, 1)


def load(folder: Path) -> Model:
    module = Model.loadModel(str(folder / "model.bigdl"), str(folder / "model.bigdl.weights"))
    return module.evaluate()


def main(class_path: str, folder: str, photographs: str, output: str) -> None:
    builder = SparkSession.builder.master("local[1]").config("spark.driver.extraClassPath", class_path)
    builder.config("spark.driver.memory", "4g").config("spark.ui.enabled", "false").getOrCreate()
    manifest = json.loads((Path(folder) / "manifest.json").read_text())
    backbone = load(Path(urlparse(manifest["backbone"]["location"]).path) / "_model")
    head = load(Path(folder))
    files = sorted(Path(photographs).glob("*/*"))
    labels = {}
    for start in range(0, len(files), 8):
        chunk = files[start : start + 8]
        embedding, _scores = backbone.forward(np.stack([preprocess(file) for file in chunk]))
        best = head.forward(embedding).argmax(axis=1)
        labels.update({file.name: manifest["labels"][i] for file, i in zip(chunk, best, strict=True)})
    Path(output).write_text(json.dumps(labels))


if __name__ == "__main__":
    main(*sys.argv[1:])
