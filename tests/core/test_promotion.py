"""promote = 'if_better': the two versions are compared on the same rows, none of which trained the new version."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.results import one

QUICK = "OPTIONS (epochs = 20, learning_rate = 0.3, early_stop = false{})"
IF_BETTER = QUICK.format(", promote = 'if_better'")


def test_rows_with_the_features_of_a_training_row(spark: SparkSession, database: str) -> None:
    """All rows have the same b, so its hash does not tell validation rows from training rows, in which a is right."""
    spark.sql(
        "CREATE TABLE t STORED AS PARQUET AS SELECT id, IF(part = 'train', id % 2, 1 - id % 2) AS a, 1 AS b, "
        "id % 2 AS y, part FROM (SELECT id, IF(id < 10, 'validation', 'train') AS part FROM range(60))"
    )
    train = "TRAIN MODEL m FROM t FEATURES ({}) LABEL y VALIDATE BY part "
    assert one(spark, train.format("a") + QUICK.format("")).metric_value == 0
    row = one(spark, train.format("b") + IF_BETTER)
    assert row.metric_value == 0.5
    assert row.message.startswith("is now the default: version 1 scores 0.000, this version 0.500")


@pytest.mark.slow
def test_groups_with_the_same_features(spark: SparkSession, database: str) -> None:
    """b repeats in all groups; a model of the id has the same groups and shows which rows are held out."""
    spark.sql(
        "CREATE TABLE t STORED AS PARQUET AS SELECT id, id % 20 AS g, cast(rand(7) < 0.3 AS INT) AS noise, id % 3 AS b, "
        "id % 2 AS y FROM range(0, 200, 1, 1)"
    )
    spark.sql("CREATE TABLE u STORED AS PARQUET AS SELECT *, abs(y - noise) AS a FROM t")
    train = "TRAIN MODEL {} FROM u FEATURES ({}) LABEL y VALIDATE SPLIT 0.3 GROUP g "
    spark.sql(train.format("ids", "id") + QUICK.format(""))
    held_out = "SELECT id, a, y FROM u JOIN sqlext_held_out('ids') h ON h.row_hash = xxhash64(u.id)"
    one(spark, train.format("m", "a") + QUICK.format(""))
    rows = spark.sql(f"SELECT y, classify('m', a) AS p FROM ({held_out})").toPandas()
    right = np.mean(rows["y"].astype(str) == rows["p"])
    everywhere = spark.sql("SELECT avg(double(y = classify('m', a))) AS v FROM u").toPandas()["v"][0]
    assert round(right, 3) != round(everywhere, 3)
    message = one(spark, train.format("m", "b") + IF_BETTER).message
    assert message.startswith(f"default stays 1: version 1 scores {right:.3f}, this version ")
    assert "may have trained" not in message


def test_rows_that_may_have_trained_the_default(spark: SparkSession, database: str) -> None:
    spark.sql("CREATE TABLE t STORED AS PARQUET AS SELECT id AS x, id >= 30 AS y FROM range(60)")
    train = "TRAIN MODEL m FROM t FEATURES (x) LABEL y VALIDATE SPLIT 0.2 SEED {} "
    one(spark, train.format(1) + QUICK.format(""))
    held_out = {r.row_hash for r in spark.sql("SELECT row_hash FROM sqlext_held_out('m@1')").collect()}
    row = one(spark, train.format(2) + IF_BETTER)
    again = {r.row_hash for r in spark.sql("SELECT row_hash FROM sqlext_held_out('m@2')").collect()}
    assert f"version 1 may have trained on {len(again - held_out)} of these {len(again)} rows" in row.message


def test_a_default_that_cannot_score_every_row(spark: SparkSession, database: str) -> None:
    spark.sql(
        "CREATE TABLE t STORED AS PARQUET AS SELECT IF(id = 5, 1e300D, id) AS x, id AS z, id >= 30 AS y, id % 5 = 0 AS v FROM range(60)"
    )
    train = "TRAIN MODEL m FROM t FEATURES ({}) LABEL y VALIDATE BY v "
    one(spark, train.format("x") + QUICK.format(""))
    message = one(spark, train.format("z") + IF_BETTER).message
    assert message.startswith(
        "default stays 1: version 1 can score 11 (the features are too large for this model), this version 12 rows"
    )


def test_a_replaced_version_that_got_an_alias_meanwhile(
    spark: SparkSession, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlext.training import steps

    spark.sql("CREATE TABLE t STORED AS PARQUET AS SELECT id AS x, id % 2 AS y FROM range(20)")
    train = "TRAIN OR REPLACE MODEL m FROM t FEATURES (x) LABEL y OPTIONS (epochs = 1)"
    one(spark, train)
    publish = steps._publish

    def and_alias(*arguments: object) -> object:
        version = publish(*arguments)  # type: ignore[arg-type]
        spark.sql("ALTER MODEL m SET ALIAS prod = 1")
        return version

    monkeypatch.setattr(steps, "_publish", and_alias)
    row = one(spark, train)
    assert (row.status, row.version, row.is_default) == ("READY", 2, True)
    assert row.message.startswith("version 1 was not removed: ") and "prod" in row.message
    assert [r.version for r in spark.sql("SHOW MODEL VERSIONS m").collect()] == [2, 1]
