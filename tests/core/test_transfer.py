"""EXPORT MODEL, and IMPORT MODEL of its files: everything is transferred, and nothing in a folder is trusted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from tests.support.results import one
from tests.support.small_networks import RESIDUAL, RESIDUAL_WEIGHTS, build


def plain(row: Row) -> dict[str, Any]:
    return row.asDict()


def scores(spark: SparkSession, model: str, column: str = "features", table: str = "shop.emb") -> list[Row]:
    return spark.sql(
        f"SELECT p.* FROM (SELECT id, xxhash64({column}) AS h, predict('{model}', {column}) AS p FROM {table}) ORDER BY id, h"
    ).collect()


def same(left: list[Row], right: list[Row]) -> bool:
    assert [row.error for row in left] == [None] * len(left)
    assert [row.label for row in left] == [row.label for row in right]
    return [row.score for row in left] == pytest.approx([row.score for row in right], abs=1e-6)


def refused(spark: SparkSession, sql: str, error_class: str, says: str) -> None:
    with pytest.raises(AnalysisException) as caught:
        spark.sql(sql).collect()
    assert caught.value.getErrorClass() == error_class, str(caught.value)
    assert says in str(caught.value), str(caught.value)


@pytest.fixture(scope="module")
def moved(spark: SparkSession, shop: str) -> Iterator[str]:
    """Database `moved`, and the model shop.head on stored embeddings."""
    spark.sql("CREATE DATABASE moved")
    spark.sql(
        "TRAIN MODEL shop.head FROM shop.emb FEATURES (features) LABEL species BACKBONE models.small VALIDATE SPLIT 0.3 SEED 3 "
        "COMMENT 'a head' OPTIONS (epochs = 12, learning_rate = 0.01, batch_size = 16)"
    )
    yield "moved"
    spark.sql("DROP DATABASE moved CASCADE")
    spark.sql("DROP MODEL shop.head")


@pytest.fixture(scope="module")
def exported(spark: SparkSession, moved: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "head"
    spark.sql(f"EXPORT MODEL shop.head TO 'file:{folder}'")
    return folder


def test_an_export_is_complete_and_predicts_the_same(
    spark: SparkSession, moved: str, tmp_path: Path, exported: Path
) -> None:
    row = one(spark, f"EXPORT MODEL shop.head VERSION 1 TO 'file:{tmp_path}/again'")
    assert (row.model, row.version, row.format, row.status, row.is_default) == (
        "shop.head",
        1,
        "FOLDER",
        "EXPORTED",
        True,
    )
    assert row.message == "with its backbone models.small version 1"
    listing = tmp_path / "again" / "sqlext-export.json"
    assert row.sha256 == hashlib.sha256(listing.read_bytes()).hexdigest()
    assert listing.read_bytes() == (exported / "sqlext-export.json").read_bytes()
    assert row.size_bytes == sum(f.stat().st_size for f in exported.rglob("*") if f.is_file())
    assert not list(tmp_path.glob(".*"))

    got = one(spark, f"IMPORT MODEL moved.head FROM 'file:{exported}'")
    assert (got.model, got.version, got.format, got.status, got.is_default) == (
        "moved.head",
        1,
        "FOLDER",
        "IMPORTED",
        True,
    )
    assert got.message == "its backbone already exists: models.small version 1"
    assert got.sha256 == row.sha256
    made = one(spark, "SHOW CREATE MODEL moved.head").createmodel_stmt
    refused(
        spark, "TRAIN MODEL moved.head", "CANNOT_TRAIN_AGAIN", f"imported, not trained here. SHOW CREATE MODEL:\n{made}"
    )
    assert same(scores(spark, "moved.head"), scores(spark, "shop.head"))
    of_images = [scores(spark, model, "image", "shop.holdout") for model in ("moved.head", "shop.head")]
    assert same(*of_images)
    evaluated = [plain(one(spark, f"EVALUATE MODEL {model}")) for model in ("moved.head", "shop.head")]
    differ = {key for key in evaluated[0] if evaluated[0][key] != evaluated[1][key]}
    assert differ == {"model", "evaluated_at"}
    history = [
        spark.sql(f"SELECT epoch, loss, val_loss, recorded_at FROM {model} ORDER BY epoch").collect()
        for model in ("moved.head", "shop.head")
    ]
    assert history[0] == history[1] and len(history[0]) == 12
    shown = {row.model: row for row in spark.sql("SHOW MODELS IN moved").collect()}["head"]
    before = {row.model: row for row in spark.sql("SHOW MODELS IN shop").collect()}["head"]
    for column in ("kind", "backbone", "label_column", "metric_name", "metric_value", "comment"):
        assert shown[column] == before[column], column
    described = [
        {r.col_name: r.data_type for r in spark.sql(f"DESCRIBE MODEL EXTENDED {model}").collect()}
        for model in ("moved.head", "shop.head")
    ]
    for title in ("Precision", "Statement", "Options", "Layers", "File head.onnx", "File model.bigdl.weights"):
        assert described[0][title] == described[1][title], title
    again = one(spark, f"IMPORT MODEL moved.head FROM 'file:{exported}/'")
    assert (again.status, again.version) == ("EXISTS", 1)


def test_of_two_equal_backbones_an_import_takes_the_one_of_the_same_name(
    spark: SparkSession, moved: str, exported: Path
) -> None:
    spark.sql("CREATE DATABASE another")  # every listing has it before `models`
    try:
        spark.sql("IMPORT MODEL another.small FROM 'sqlext:small'")
        got = one(spark, f"IMPORT MODEL moved.second FROM 'file:{exported}'")
        assert got.message == "its backbone already exists: models.small version 1"
        assert {r.model: r.backbone for r in spark.sql("SHOW MODELS IN moved").collect()}["second"] == "models.small@1"
    finally:
        spark.sql("DROP DATABASE another CASCADE")
    assert one(spark, f"IMPORT MODEL IF NOT EXISTS moved.head FROM 'file:{exported}'").status == "EXISTS"


def test_only_an_export_is_replaced(spark: SparkSession, moved: str, tmp_path: Path) -> None:
    target = tmp_path / "head"
    export = f"EXPORT MODEL shop.head TO 'file:{target}'"
    spark.sql(export)
    refused(spark, export, "EXPORT_TARGET_EXISTS", "OPTIONS (overwrite = true)")
    assert one(spark, f"{export} OPTIONS (overwrite = true)").status == "EXPORTED"
    (target / "model" / "notes.txt").write_text("mine")
    refused(spark, f"{export} OPTIONS (overwrite = true)", "EXPORT_TARGET_EXISTS", "model/notes.txt")
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"x")
    for path in (photos, photos / "a.jpg"):
        refused(
            spark,
            f"EXPORT MODEL shop.head TO 'file:{path}' OPTIONS (overwrite = true)",
            "EXPORT_TARGET_EXISTS",
            "nothing was deleted",
        )
    assert (photos / "a.jpg").read_bytes() == b"x" and (target / "model" / "notes.txt").read_text() == "mine"
    refused(spark, f"EXPORT MODEL shop.hed TO 'file:{tmp_path}/x'", "MODEL_NOT_FOUND", "shop.head")


@pytest.mark.slow
def test_a_missing_backbone_is_imported_under_its_old_name(spark: SparkSession, moved: str, tmp_path: Path) -> None:
    network = tmp_path / "tiny.onnx"
    network.write_bytes(build(RESIDUAL, RESIDUAL_WEIGHTS, output="logits", seed=3).SerializeToString())
    spark.sql(f"IMPORT MODEL moved.tiny FROM 'file:{network}' COMMENT 'tiny' OPTIONS (image_size = 32)")
    spark.sql("CREATE TABLE moved.rows AS SELECT species, embed('moved.tiny', image) AS e FROM shop.images")
    spark.sql(
        "TRAIN MODEL moved.on_tiny FROM moved.rows FEATURES (e) LABEL species BACKBONE moved.tiny OPTIONS (epochs = 2)"
    )
    before = scores(spark, "moved.on_tiny", "image", "shop.holdout")
    for model in ("on_tiny", "tiny"):
        spark.sql(f"EXPORT MODEL moved.{model} TO 'file:{tmp_path}/{model}'")
    spark.sql("DROP MODEL moved.on_tiny")
    spark.sql("DROP MODEL moved.tiny")
    row = one(spark, f"IMPORT MODEL moved.on_tiny FROM 'file:{tmp_path}/on_tiny'")
    assert row.message.startswith("its backbone was imported as moved.tiny version 1")
    assert same(scores(spark, "moved.on_tiny", "image", "shop.holdout"), before)
    refused(
        spark, f"IMPORT OR REPLACE MODEL moved.tiny FROM 'file:{tmp_path}/on_tiny'", "MODEL_KIND_MISMATCH", "backbone"
    )
    network_only = one(spark, f"IMPORT MODEL moved.tiny FROM 'file:{tmp_path}/tiny'")
    assert (network_only.status, network_only.version) == ("EXISTS", 1)
    other = one(spark, f"IMPORT MODEL moved.tiny2 FROM 'file:{tmp_path}/tiny' COMMENT 'mine'")
    assert (other.status, other.is_default) == ("IMPORTED", True)
    for model in ("tiny", "tiny2"):  # the first was imported as the backbone of a head, the second from its own export
        text = one(spark, f"SHOW CREATE MODEL moved.{model}").createmodel_stmt
        again = one(spark, text)
        assert (again.status, again.version) == ("EXISTS", 1), text
    width = "SELECT size(embed('moved.{0}', image)) AS n FROM shop.holdout LIMIT 1"
    assert one(spark, width.format("tiny2")).n == one(spark, width.format("tiny")).n == 19


def damage(folder: Path, change: Any) -> None:
    """Changes the list of an export, as an attacker would."""
    listing = folder / "sqlext-export.json"
    values = json.loads(listing.read_text())
    change(values)
    listing.write_text(json.dumps(values))


def test_nothing_in_a_folder_is_trusted(spark: SparkSession, moved: str, exported: Path, tmp_path: Path) -> None:
    import shutil

    def broken(name: str) -> Path:
        return Path(shutil.copytree(exported, tmp_path / name))

    secret = tmp_path / "secret"
    secret.write_bytes(b"s")
    folder = broken("outside")
    outside = {"size": 1, "sha256": hashlib.sha256(b"s").hexdigest()}
    damage(folder, lambda v: v["files"].update({"model/../../secret": outside}))
    refused(spark, f"IMPORT MODEL moved.x FROM 'file:{folder}'", "EXPORT_DAMAGED", "names 'model/../../secret'")

    folder = broken("tampered")
    head = folder / "model" / "head.onnx"
    head.write_bytes(bytes([*head.read_bytes()[:-1], 7]))
    refused(spark, f"IMPORT MODEL moved.x FROM 'file:{folder}'", "EXPORT_DAMAGED", "model/head.onnx was changed")
    digest = hashlib.sha256(head.read_bytes()).hexdigest()
    damage(folder, lambda v: v["files"]["model/head.onnx"].update(sha256=digest))
    refused(spark, f"IMPORT MODEL moved.x FROM 'file:{folder}'", "EXPORT_DAMAGED", "not the one in model/manifest.json")

    folder = broken("missing")
    (folder / "backbone" / "network.onnx").unlink()
    refused(spark, f"IMPORT MODEL moved.x FROM 'file:{folder}'", "EXPORT_DAMAGED", "backbone/network.onnx is missing")

    folder = broken("newer")
    damage(folder, lambda v: v.update(sqlext_export=99, release="9.0"))
    refused(
        spark, f"IMPORT MODEL moved.x FROM 'file:{folder}'", "MODEL_FORMAT_TOO_NEW", "Use bigdl-sqlext 9.0 or newer"
    )

    refused(spark, f"IMPORT MODEL moved.x FROM 'file:{tmp_path}'", "UNKNOWN_FORMAT", "ONNX")
    refused(spark, f"IMPORT MODEL moved.x FROM 'file:{secret}'", "UNKNOWN_FORMAT", "ONNX")
    refused(spark, f"IMPORT MODEL moved.x FROM 'file:{tmp_path}/none'", "FILE_NOT_FOUND", f"file:{tmp_path}/none")
    assert "x" not in {row.model for row in spark.sql("SHOW MODELS IN moved").collect()}


# --- ONNX -----------------------------------------------------------------------------------------------------------


def test_onnx_of_a_backbone_is_the_same_content(spark: SparkSession, moved: str, tmp_path: Path) -> None:
    row = one(spark, f"EXPORT MODEL models.small TO 'file:{tmp_path}/small.onnx' FORMAT ONNX")
    assert row.format == "ONNX" and row.sha256 == hashlib.sha256((tmp_path / "small.onnx").read_bytes()).hexdigest()
    assert one(spark, f"IMPORT MODEL models.small FROM '{tmp_path}/small.onnx'").status == "EXISTS"
    refused(
        spark,
        f"EXPORT MODEL models.small TO 'file:{tmp_path}/small.onnx' FORMAT ONNX",
        "EXPORT_TARGET_EXISTS",
        "overwrite",
    )
    again = one(
        spark, f"EXPORT MODEL models.small TO 'file:{tmp_path}/small.onnx' FORMAT ONNX OPTIONS (overwrite = true)"
    )
    assert again.sha256 == row.sha256
    (tmp_path / "data.csv").write_text("a,b")
    sql = f"EXPORT MODEL models.small TO 'file:{tmp_path}/data.csv' FORMAT ONNX OPTIONS (overwrite = true)"
    refused(spark, sql, "EXPORT_TARGET_EXISTS", "nothing was deleted")


def test_onnx_of_a_head_on_arrays_imports_as_a_classifier(spark: SparkSession, moved: str, tmp_path: Path) -> None:
    row = one(spark, f"EXPORT MODEL shop.head TO 'file:{tmp_path}/head.onnx' FORMAT ONNX")
    assert (
        row.message
        == "input 'features' takes the features, N x width, unscaled; output 'logits' (logits: apply softmax to get the scores)"
    )
    got = one(spark, f"IMPORT MODEL moved.head_onnx FROM 'file:{tmp_path}/head.onnx'")
    assert (got.format, got.status, got.version, got.is_default) == ("ONNX", "IMPORTED", 1, True)
    assert same(scores(spark, "moved.head_onnx"), scores(spark, "shop.head"))
    assert one(spark, f"IMPORT MODEL moved.head_onnx FROM 'file:{tmp_path}/head.onnx'").status == "EXISTS"
    evaluated = one(spark, "EVALUATE MODEL moved.head_onnx FROM shop.emb")
    assert evaluated.accuracy == one(spark, "EVALUATE MODEL shop.head FROM shop.emb").accuracy
    spark.sql("DESCRIBE MODEL EXTENDED moved.head_onnx").collect()
    refused(spark, "EVALUATE MODEL moved.head_onnx", "NO_HELD_OUT_ROWS", f"(imported from 'file:{tmp_path}/head.onnx')")
    head = f"IMPORT MODEL moved.head_onnx FROM '{tmp_path}/head.onnx'"
    refused(spark, f"{head} OPTIONS (mean = '0 0 0')", "OPTION_WITHOUT_EFFECT", "only trained layers")
    spark.sql(
        "CREATE TABLE moved.names AS SELECT * FROM VALUES (2, 'z'), (0, 'x'), (1, 'y'), (4, 'v'), (3, 'w') AS n(i, name)"
    )
    second = one(spark, f"{head} LABELS FROM moved.names")
    assert second.message.startswith(
        "default stays 1: an import does not change it (ALTER MODEL moved.head_onnx SET DEFAULT VERSION 2"
    )
    assert {r.label for r in scores(spark, "moved.head_onnx@2")} <= set("vwxyz")
    spark.sql("ALTER MODEL moved.head_onnx SET DEFAULT VERSION 1")
    again = one(spark, f"{head} LABELS FROM moved.names OPTIONS (promote = 'always')")
    assert (again.status, again.is_default, again.message.startswith("default stays 1: pinned (ALTER")) == (
        "EXISTS",
        False,
        True,
    )
    refused(spark, f"IMPORT MODEL moved.x FROM '{tmp_path}/head.onnx' LABELS ('a')", "LABELS_MISMATCH", "1 labels")
    refused(spark, f"IMPORT MODEL models.small FROM '{tmp_path}/head.onnx'", "MODEL_KIND_MISMATCH", "classifier")
    spark.sql("SET spark.sqlext.engine = bigdl")
    try:
        assert same(scores(spark, "moved.head_onnx"), scores(spark, "shop.head"))
    finally:
        spark.sql("RESET spark.sqlext.engine")


def test_onnx_of_an_image_classifier_predicts_the_same(
    spark: SparkSession, moved: str, flowers: Row, tmp_path: Path
) -> None:
    spark.sql("SET spark.sqlext.precision = f32")
    try:
        spark.sql(f"EXPORT MODEL shop.flowers VERSION 1 TO 'file:{tmp_path}/flowers.onnx' FORMAT ONNX")
        spark.sql(f"IMPORT MODEL moved.flowers_onnx FROM 'file:{tmp_path}/flowers.onnx' FORMAT ONNX")
        answers = [scores(spark, m, "image", "shop.holdout") for m in ("moved.flowers_onnx", "shop.flowers@1")]
        assert same(*answers)
        embedding = "SELECT embed('{0}', image) AS e FROM shop.holdout ORDER BY id LIMIT 3"
        mine, theirs = (spark.sql(embedding.format(m)).collect() for m in ("moved.flowers_onnx", "models.small"))
        assert [row.e for row in mine] == [pytest.approx(row.e, abs=1e-5) for row in theirs]
    finally:
        spark.sql("RESET spark.sqlext.precision")


def test_files_that_are_not_networks_are_refused(spark: SparkSession, moved: str, tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").write_bytes(b"")
    refused(spark, f"IMPORT MODEL moved.x FROM 'file:{tmp_path}/empty.onnx'", "INVALID_NETWORK", "the file is empty")
    refused(
        spark,
        f"IMPORT MODEL moved.x FROM 'file:{tmp_path}' FORMAT ONNX",
        "IS_A_FOLDER",
        "FORMAT ONNX reads a single file",
    )
    refused(
        spark,
        f"IMPORT MODEL moved.x FROM '{tmp_path}/none.onnx'",
        "FILE_NOT_FOUND",
        f"looked up as file:{tmp_path}/none.onnx",
    )


# --- BigDL's files ----------------------------------------------------------------------------------------------------


def test_bigdl_files_of_a_network_predict_the_same(
    spark: SparkSession, moved: str, flowers: Row, tmp_path: Path
) -> None:
    spark.sql("SET spark.sqlext.precision = f32")
    try:
        spark.sql(f"EXPORT MODEL shop.flowers VERSION 1 TO 'file:{tmp_path}/flowers.bigdl' FORMAT BIGDL")
        row = one(spark, f"IMPORT MODEL moved.flowers_bigdl FROM 'file:{tmp_path}/flowers.bigdl' FORMAT BIGDL")
        assert (row.format, row.status, row.message) == ("BIGDL", "IMPORTED", None)
        answers = [scores(spark, m, "image", "shop.holdout") for m in ("moved.flowers_bigdl", "shop.flowers@1")]
        assert same(*answers)
    finally:
        spark.sql("RESET spark.sqlext.precision")
    (tmp_path / "flowers.bigdl.json").unlink()
    undescribed = f"IMPORT MODEL moved.flowers_undescribed FROM 'file:{tmp_path}/flowers.bigdl' FORMAT BIGDL"
    labels = ", ".join(
        f"'{row.label}'" for row in spark.sql("SELECT DISTINCT species AS label FROM shop.images ORDER BY 1").collect()
    )
    squash = "resize = 'squash:64', mean = '.45 .45 .45', std = '.25 .25 .25'"
    assert "color = rgb" in one(spark, f"{undescribed} LABELS ({labels}) OPTIONS (image_size = 64, {squash})").message
    weights = tmp_path / "flowers.bigdl.weights"
    weights.write_bytes(weights.read_bytes()[:-40] + bytes(40))
    refused(spark, undescribed, "INVALID_NETWORK", "checksum differs")
    weights.unlink()
    refused(spark, undescribed, "INVALID_NETWORK", "must be in the same folder")


def test_bigdl_files_of_a_head_and_of_a_backbone(spark: SparkSession, moved: str, tmp_path: Path) -> None:
    spark.sql(
        "CREATE TABLE moved.points AS SELECT id, rand(1) * 1e5 + 3e5 AS a, rand(2) AS b, CAST(NULL AS DOUBLE) AS price FROM range(60)"
    )
    rows = "(SELECT a, b, 200000 + a + 1000 * b AS price FROM moved.points)"
    spark.sql(f"TRAIN MODEL moved.price FROM {rows} FEATURES (a, b) TARGET price OPTIONS (epochs = 5)")
    asked = "SELECT id, predict_value('{0}', a, b) AS v FROM moved.points ORDER BY id"
    wanted = [r.v for r in spark.sql(asked.format("moved.price")).collect()]
    for format in ("BIGDL", "ONNX", None):
        path, clause = f"file:{tmp_path}/price.{format}", f"FORMAT {format}" if format else ""
        spark.sql(f"EXPORT MODEL moved.price TO '{path}' {clause}")
        spark.sql(f"EXPORT MODEL moved.price TO '{path}' {clause} OPTIONS (overwrite = true)")
        spark.sql(f"IMPORT MODEL moved.price_{format} FROM '{path}' {clause}")
        got = [r.v for r in spark.sql(asked.format(f"moved.price_{format}")).collect()]
        assert got == pytest.approx(wanted, rel=1e-6), format
    names = {f.name for f in tmp_path.iterdir()}
    assert names == {"price.BIGDL", "price.BIGDL.json", "price.BIGDL.weights", "price.ONNX", "price.None"}
    row = one(spark, f"EXPORT MODEL models.small TO 'file:{tmp_path}/small.bigdl' FORMAT BIGDL")
    assert row.size_bytes == sum(f.stat().st_size for f in tmp_path.glob("small.*"))
    spark.sql(f"IMPORT MODEL moved.small_bigdl FROM 'file:{tmp_path}/small.bigdl' FORMAT BIGDL")
    embedding = "SELECT embed('{0}', image) AS e FROM shop.holdout ORDER BY id LIMIT 3"
    mine, theirs = (spark.sql(embedding.format(m)).collect() for m in ("moved.small_bigdl", "models.small"))
    assert [r.e for r in mine] == [pytest.approx(r.e, abs=1e-5) for r in theirs]
    (tmp_path / "other.bigdl.weights").write_bytes(b"mine")
    sql = f"EXPORT MODEL models.small TO 'file:{tmp_path}/other.bigdl' FORMAT BIGDL OPTIONS (overwrite = true)"
    refused(spark, sql, "EXPORT_TARGET_EXISTS", "other.bigdl.weights")
