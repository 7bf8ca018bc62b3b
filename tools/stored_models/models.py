"""The models: each is tiny, and together they cover every stored form."""

from __future__ import annotations

from pathlib import Path

from inputs import SIDE
from places import hide_paths, warehouse
from pyspark.sql import SparkSession

from tests.support.small_networks import RESIDUAL, RESIDUAL_WEIGHTS, build
from tests.support.stored import MODELS, SHOP, WAREHOUSE

PREPROCESSING = f"image_size = {SIDE}, resize = 'squash:{SIDE}', mean = '0.5 0.5 0.5', std = '0.25 0.25 0.25'"
# A network of about 4 KB that has every kind of layer.
WEIGHTS = RESIDUAL_WEIGHTS | {
    "w1": (4, 3, 3, 3),
    **dict.fromkeys(("scale1", "shift1", "mean1", "var1", "b2"), (4,)),
    "w2": (4, 4, 3, 3),
    "w3": (6, 4, 1, 1),
    "b3": (6,),
    "w4": (5, 6),
    "b4": (5,),
}
CLASSES = ", ".join(f"'class {i}'" for i in range(5))
# Longer than the metastore allows for a value, so that only the manifest stores the statement.
LONG_COMMENT = f"/* {' '.join(['every word of this'] * 220)} */"


SHAPES = f"TRAIN MODEL {SHOP}.shapes FROM {SHOP}.pictures FEATURES (picture) LABEL shape BACKBONE {MODELS}.tiny"


def create_models(spark: SparkSession, place: Path) -> None:
    """Creates all models. Networks are read from ``place``, and exports are written to it."""
    networks, exports = place / "networks", place / "exports"
    networks.mkdir()
    exports.mkdir()
    import_networks(spark, networks)
    train_on_pictures(spark)
    train_on_arrays(spark)
    train_on_columns(spark)
    hide_paths(spark)
    move(spark, networks, exports / "shapes")


def import_networks(spark: SparkSession, networks: Path) -> None:
    """Creates two versions of a backbone, the second of them not the default, and a network that BigDL cannot run."""
    for seed in (1, 2):
        path = write_network(networks / f"tiny{seed}.onnx", RESIDUAL, seed)
        spark.sql(
            f"IMPORT MODEL {MODELS}.tiny FROM 'file:{path}' FORMAT ONNX LABELS ({CLASSES}) COMMENT 'it\\'s tiny' "
            f"OPTIONS ({PREPROCESSING})"
        )
    spark.sql(f"ALTER MODEL {MODELS}.tiny SET ALIAS newest = 2")
    path = write_network(networks / "erf.onnx", RESIDUAL.replace("f = Relu", "f = Erf"), 3)
    spark.sql(f"IMPORT MODEL {MODELS}.erf FROM 'file:{path}' OPTIONS (scores = 'logits', embedding = 'features')")


def write_network(path: Path, nodes: str, seed: int) -> Path:
    network = build(nodes, WEIGHTS, output="logits", inputs=f"float[N, 3, {SIDE}, {SIDE}] x", seed=seed)
    path.write_bytes(network.SerializeToString())
    return path


def train_on_pictures(spark: SparkSession) -> None:
    """Creates a classifier with comment, properties, aliases, a pin and a dropped version, and a regressor."""
    run, shapes = spark.sql, f"{SHAPES} VALIDATE SPLIT 0.25 TEST 0.2 SEED 3"
    run(
        f"{shapes} COMMENT 'shapes of the shop\\'s pictures' PROPERTIES (team = 'vision', `release` = 007) "
        "OPTIONS (epochs = 3, learning_rate = 0.05, batch_size = 8)"
    )
    run(
        f"{shapes} USING mlp COMMENT 'with a hidden layer' PROPERTIES (ticket = 12) OPTIONS (epochs = 4, hidden = '6', "
        "optimizer = 'sgd', momentum = 0.8, learning_rate = 0.1, early_stop = true, metric = 'f1_score', "
        """class_weights = '{"circle": 2.0, "cross": 1, "square": 0.5}')"""
    )
    run(f"ALTER MODEL {SHOP}.shapes SET ALIAS prod = 1")
    run(f"ALTER MODEL {SHOP}.shapes SET ALIAS champion = 2")
    run(f"ALTER MODEL {SHOP}.shapes SET DEFAULT VERSION 2")
    run(f"ALTER MODEL {SHOP}.shapes SET PROPERTIES (`team.lead` = 'x = y')")
    run(f"{shapes} OPTIONS (epochs = 1, promote = 'never')")
    run(f"ALTER MODEL {SHOP}.shapes DROP VERSION 3")
    run(
        f"TRAIN MODEL {SHOP}.sizes FROM {SHOP}.pictures FEATURES (picture) TARGET size BACKBONE {MODELS}.tiny "
        "OPTIONS (epochs = 2, precision = 'f32')"
    )


def train_on_arrays(spark: SparkSession) -> None:
    """Creates a renamed model, whose folder still has the old name."""
    run = spark.sql
    run(
        f"CREATE TABLE {SHOP}.embedded STORED AS PARQUET AS SELECT id, shape, embed('{MODELS}.tiny', picture) AS features "
        f"FROM {SHOP}.pictures WHERE image_error(picture) IS NULL"
    )
    run(
        f"TRAIN MODEL {SHOP}.arrays FROM {SHOP}.embedded FEATURES (features) LABEL shape USING mlp BACKBONE {MODELS}.tiny "
        "OPTIONS (epochs = 3, hidden = '5,4', dropout = 0.1, class_weights = 'auto', seed = 5)"
    )
    run(f"ALTER MODEL {SHOP}.arrays RENAME TO vectors")


def train_on_columns(spark: SparkSession) -> None:
    """Creates a regressor whose default is its second of three versions, a classifier without held-out rows, and the best of two trials."""
    run = spark.sql
    run(
        f"TRAIN MODEL {SHOP}.price FROM {SHOP}.houses FEATURES (area, rooms, age) TARGET price VALIDATE BY part "
        "COMMENT 'what a house costs' OPTIONS (epochs = 5, standardize = true, learning_rate = 0.1)"
    )
    run(f"TRAIN MODEL {SHOP}.price OPTIONS (epochs = 6)")
    run(f"TRAIN MODEL {SHOP}.price OPTIONS (epochs = 1, promote = 'never')")
    run(f"USE {SHOP}")
    run(
        f"TRAIN MODEL sales {LONG_COMMENT} FROM (SELECT * FROM houses) FEATURES (area, age) LABEL sold VALIDATE NONE "
        "OPTIONS (epochs = 2)"
    )
    run(
        "TRAIN MODEL tuned FROM houses FEATURES (area, age) LABEL sold TUNE (learning_rate IN (0.01, 0.1)) OPTIONS (epochs = 2)"
    )
    run("USE default")


def move(spark: SparkSession, networks: Path, export: Path) -> None:
    """Exports models and imports them again: a folder, BigDL files, and a network whose output is a value."""
    run = spark.sql
    run(f"EXPORT MODEL {SHOP}.shapes TO 'file:{export}'")
    listing = export / "sqlext-export.json"
    listing.write_text(listing.read_text().replace(str(warehouse(spark)), WAREHOUSE))
    run(f"IMPORT MODEL {SHOP}.carried FROM 'file:{export}'")
    run(f"EXPORT MODEL {SHOP}.shapes TO 'file:{networks}/shapes.bigdl' FORMAT BIGDL")
    run(f"IMPORT MODEL {MODELS}.shapes FROM 'file:{networks}/shapes.bigdl' FORMAT BIGDL")
    run(f"EXPORT MODEL {SHOP}.sizes TO 'file:{networks}/sizes.onnx' FORMAT ONNX")
    run(f"IMPORT MODEL {MODELS}.sizes FROM 'file:{networks}/sizes.onnx' FORMAT ONNX")
