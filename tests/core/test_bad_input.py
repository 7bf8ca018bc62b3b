"""Bad input of TRAIN, IMPORT and EVALUATE: an error that names the thing and its place, and nothing lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession

from sqlext.catalog import ModelCatalog, ModelRef
from tests.support.results import one

TRAIN = "TRAIN MODEL shop.flowers FROM shop.images FEATURES (image) LABEL species BACKBONE models.small"


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (TRAIN.replace("shop.images", "shop.imges"), r"SOURCE_NOT_FOUND.*Did you mean shop\.images\?; line 1 pos 30"),
        (TRAIN.replace("shop.images", "nowhere.images"), "SOURCE_NOT_FOUND.*nowhere"),
        (TRAIN.replace("shop.images", "(SELECT nope FROM shop.images)"), r"SOURCE_NOT_FOUND.*nope.*; line 1 pos 38"),
        (TRAIN.replace("shop.images", "(SELEC 1)"), "SOURCE_NOT_FOUND"),
        (TRAIN.replace("(image)", "(imge)"), r"COLUMN_NOT_FOUND.*imge.*Did you mean image\?; line 1 pos 52"),
        (TRAIN.replace("LABEL species", "LABEL speces"), r"COLUMN_NOT_FOUND.*Did you mean species\?"),
        (TRAIN.replace("(image)", "(id)"), "INVALID_FEATURES.*neither an image.*nor an array"),
        (TRAIN.replace("(image)", "(species)"), "INVALID_FEATURES.*the column that the model predicts"),
        (TRAIN.replace("(image)", "(image, species)"), "INVALID_FEATURES.*must be the only feature column"),
        (TRAIN.replace("LABEL species", "LABEL image"), "INVALID_LABEL.*binary"),
        (TRAIN.replace("models.small", "models.smal"), r"BACKBONE_NOT_FOUND.*models\.small"),
        (TRAIN.replace("models.small", "shop.flowers"), "NOT_A_BACKBONE"),
        (TRAIN.replace("shop.images", "(SELECT image, 'x' AS species FROM shop.images)"), "TOO_FEW_CLASSES.*only 'x'"),
        (TRAIN.replace("shop.images", "(SELECT * FROM shop.images WHERE false)"), "NO_ROWS.*empty"),
        (
            TRAIN.replace("shop.images", "(SELECT image, 0.5 + size(array(id)) * rand(1) AS species FROM shop.images)"),
            "INVALID_LABEL.*TARGET",
        ),
        (TRAIN.replace("MODEL shop.flowers", "MODEL shop.images"), "NOT_A_MODEL.*shop.images"),
        (TRAIN.replace("MODEL shop.flowers", "MODEL models.small"), "NOT_A_CLASSIFIER"),
        (TRAIN.replace("MODEL shop.flowers", "MODEL nodb.flowers"), "DATABASE_NOT_FOUND.*nodb"),
        (TRAIN.replace("MODEL shop.flowers", "MODEL a.b.c"), "INVALID_MODEL_NAME"),
        (TRAIN + " VALIDATE FROM shop.emb", "COLUMN_NOT_FOUND.*image"),
        (TRAIN + " VALIDATE FROM (SELECT 1 AS image, species FROM shop.emb)", "COLUMN_TYPE_DIFFERS.*image is int"),
        (
            "EVALUATE MODEL shop.flowers FROM (SELECT species FROM shop.emb)",
            "FEATURES_NOT_CLEAR.*no image and no array",
        ),
        ("EVALUATE MODEL shop.flowers FROM shop.holdout LABEL specie", r"COLUMN_NOT_FOUND.*Did you mean species\?"),
        (
            "IMPORT OR REPLACE MODEL models.small FROM 'sqlext:small' FORMAT ONNX OPTIONS (mean = '0.1 0.1 0.1')",
            "BACKBONE_IN_USE.*shop.flowers",
        ),
        (
            TRAIN.replace("TRAIN MODEL", "TRAIN OR REPLACE MODEL") + " OPTIONS (promote = 'never')",
            "INVALID_OPTION_VALUE.*OR REPLACE",
        ),
        ("EVALUATE MODEL shop.flowers LABEL nope", "Add FROM, or leave LABEL out"),
        ("EVALUATE MODEL models.small", "NOTHING_TO_EVALUATE"),
        ("IMPORT MODEL shop.flowers FROM 'sqlext:small' FORMAT ONNX", "NOT_AN_IMPORT"),
        ("IMPORT MODEL shop.x FROM 'sqlext:big' FORMAT ONNX", "NOT_IN_PACKAGE.*sqlext:small"),
        ("IMPORT MODEL shop.x FROM 'file:/no/such/file.onnx'", "FILE_NOT_FOUND.*file:/no/such/file.onnx"),
        ("IMPORT MODEL shop.x FROM 'nofs:/x.onnx'", "FILE_NOT_FOUND.*nofs"),
        (
            "IMPORT MODEL shop.x FROM 'sqlext:small' FORMAT ONNX OPTIONS (resize = 'tiny')",
            "INVALID_PREPROCESSING.*short_side",
        ),
        ("IMPORT MODEL shop.x FROM 'sqlext:small' FORMAT ONNX OPTIONS (mean = '1 2')", "INVALID_PREPROCESSING.*mean"),
        ("IMPORT MODEL shop.x FROM 'sqlext:small' FORMAT ONNX LABELS ('a', 'b')", "LABELS_MISMATCH.*2 labels.*64"),
        ("IMPORT MODEL shop.x FROM 'sqlext:small' FORMAT ONNX OPTIONS (embedding = 'nope')", "INVALID_NETWORK.*nope"),
    ],
)
def test_errors_name_the_thing_and_lose_nothing(spark: SparkSession, flowers: Row, sql: str, says: str) -> None:
    catalog = ModelCatalog(spark)
    before = [e.versions for e in catalog.everywhere([])]
    with pytest.raises(AnalysisException, match=re.compile(says, re.DOTALL)) as caught:
        spark.sql(sql)
    text = str(caught.value)
    assert "Traceback" not in text
    assert "\tat " not in text
    assert [e.versions for e in catalog.everywhere([])] == before


def test_no_onnx_file(spark: SparkSession, tmp_path: Path, database: str) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"\x89PNG\r\n\x1a\n this is no network")
    with pytest.raises(AnalysisException, match="INVALID_NETWORK"):
        spark.sql(f"IMPORT MODEL m FROM 'file:{path}'")
    assert ModelCatalog(spark).find(ModelRef.parse("m", database).name) is None


def test_a_failed_train_leaves_the_default_and_a_failed_run(spark: SparkSession, database: str) -> None:
    from sqlext.catalog import RunStore

    spark.sql("CREATE TABLE t AS SELECT array(1.0D * (id % 2), 1e-3 * id) AS x, id % 2 AS y FROM range(40)")
    assert one(spark, "TRAIN MODEL m FROM t LABEL y OPTIONS (epochs = 2)").version == 1
    with pytest.raises(AnalysisException, match="TRAINING_DIVERGED.*learning_rate"):
        spark.sql(
            "TRAIN MODEL m FROM t LABEL y OPTIONS (epochs = 50, optimizer = 'sgd', learning_rate = 1e38, early_stop = false)"
        )
    entry = ModelCatalog(spark).get(ModelRef.parse("m", database).name)
    assert ([v.version for v in entry.versions], entry.default.version) == ([1], 1)
    runs = RunStore(spark).list(database)
    assert [r.status for r in runs] == ["FAILED", "READY"]
    assert "diverged" in (runs[0].error or "")
    with pytest.raises(AnalysisException, match="INVALID_MODEL_PROPERTY.*line 1 pos 29"):
        spark.sql(f"TRAIN MODEL m FROM t LABEL y PROPERTIES (note = '{'x' * 4001}')")
    assert len(RunStore(spark).list(database)) == len(runs), (
        "what publishing would refuse is refused before a run begins"
    )


def test_import_again_is_exists_and_other_options_are_a_version(spark: SparkSession, database: str) -> None:
    sql = "IMPORT MODEL m FROM 'sqlext:small' FORMAT ONNX"
    first, again = one(spark, sql), one(spark, sql)
    assert (first.status, first.version, first.is_default) == ("IMPORTED", 1, True)
    assert "trying things out" in first.message
    assert (again.status, again.version) == ("EXISTS", 1)
    assert one(spark, "IMPORT MODEL IF NOT EXISTS m FROM 'sqlext:small' FORMAT ONNX").status == "EXISTS"
    second = one(spark, sql + " OPTIONS (mean = '0.4 0.4 0.4')")
    assert (second.status, second.version, second.is_default) == ("IMPORTED", 2, False)
    assert second.message.startswith(
        "default stays 1: embeddings made with it would not fit another network (ALTER MODEL "
    )
    assert f"ALTER MODEL {database}.m SET DEFAULT VERSION 2 changes it)" in second.message
    same = one(spark, sql + " OPTIONS (mean = '0.4 0.4 0.4', promote = 'always')")
    assert (same.status, same.is_default, same.message.partition(":")[0]) == ("EXISTS", False, "default stays 1")
    third = one(spark, sql + " OPTIONS (mean = '0.3 0.4 0.4', promote = 'always')")
    assert (third.version, third.is_default) == (3, True)
