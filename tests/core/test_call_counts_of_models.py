"""How many rows real models score, with both Python engines: the worker's scoring steps append to a file.

tests/core/test_call_counts.py covers the shapes of queries. This module covers the functions themselves, the steps over
DataFrames in training and evaluation, and features that are assembled from columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from sqlext.catalog import ModelCatalog, ModelRef
from sqlext.scoring import steps as _models
from sqlext.scoring import worker as _worker
from sqlext.scoring.inputs import Argument
from tests.support.tiny_models import publish_columns

ROWS = 12
Count = Callable[[DataFrame], tuple[list[Row], int]]


def counting(original: Callable[..., Any], path: str) -> Callable[..., Any]:
    """Wraps a step of the worker, to append the size of each batch to a file."""

    def call(values: Any, *rest: Any, **named: Any) -> Any:
        with open(path, "ab", buffering=0) as log:  # noqa: PTH123
            log.write(b"%d\n" % len(values))
        return original(values, *rest, **named)

    return call


@pytest.fixture(scope="module", params=["onnxruntime", pytest.param("openvino", marks=pytest.mark.slow)])
def count(
    spark: SparkSession, flowers: Row, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Count]:
    """A function that collects a query and returns its rows and how many the workers scored; the parameter is the engine."""
    file = tmp_path_factory.mktemp("counts") / "rows"
    database = f"counted_{request.param}"
    spark.sql(f"CREATE DATABASE {database}")
    spark.sql(f"USE {database}")
    numbered = "row_number() OVER (ORDER BY id) AS id, image, species"
    spark.sql(
        f"CREATE TABLE t STORED AS PARQUET AS SELECT *, 1.5D * id AS a, 7 AS b FROM (SELECT {numbered} FROM shop.holdout) WHERE id <= {ROWS}"
    )
    publish_columns(spark)
    spark.conf.set("spark.sqlext.engine", request.param)
    spark.conf.set("spark.sqlext.resnet", "models.small")
    _models._bound.clear()
    with pytest.MonkeyPatch.context() as patch:
        for step in ("predict_images", "predict_arrays", "data_urls", "embed_images", "inspect_images"):
            patch.setattr(_worker, step, counting(getattr(_worker, step), str(file)))

        def collect(frame: DataFrame) -> tuple[list[Row], int]:
            file.write_bytes(b"")
            rows = frame.collect()
            return rows, sum(map(int, file.read_text().split()))

        yield collect
    _models._bound.clear()
    spark.conf.unset("spark.sqlext.engine")
    spark.conf.unset("spark.sqlext.resnet")
    spark.sql("USE default")
    spark.sql(f"DROP DATABASE {database} CASCADE")


M = "'shop.flowers', image"
# query, rows scored
IMAGES = {
    f"SELECT classify({M}) AS l, classify_score({M}) AS s, classify_score_of('shop.flowers', species, image) AS o, "
    f"classify_topk({M}, 2) AS k, predict_error({M}) AS e, predict({M}).version AS v FROM t": ROWS,
    f"SELECT id FROM t WHERE predict_error({M}) IS NULL AND classify_topk({M}, 1)[0].score > 0.01 ORDER BY classify_score({M})": ROWS,
    f"SELECT k[0].label AS l, count(*) AS n FROM (SELECT classify_topk({M}, 3) AS k FROM t) GROUP BY 1 HAVING max(k[0].score) > 0": ROWS,
    f"SELECT predict_error({M}) AS e, classify_topk({M}, 1) AS k FROM t ORDER BY id LIMIT 3": 3,
    f"SELECT id FROM (SELECT id, classify_topk({M}, 1) AS k FROM t)": 0,
    f"SELECT DISTINCT classify({M}) AS l FROM t": ROWS,
    f"SELECT classify({M}) AS l, rank() OVER (PARTITION BY classify({M}) ORDER BY classify_score({M})) AS r FROM t": ROWS,
    f"SELECT a.id FROM (SELECT id, image FROM t) a JOIN t b ON a.id = b.id WHERE classify({M.replace('image', 'a.image')}) <> ''": ROWS,
    f"SELECT id FROM t LEFT SEMI JOIN (SELECT id AS i FROM t) ON id = i WHERE classify({M}) <> ''": ROWS,
    "SELECT embed('models.small', image) AS e, embed_resnet(image) AS r FROM t WHERE size(embed_resnet(image)) = 160": ROWS,
    "SELECT embed('models.small', image) AS e FROM t WHERE id < 4 ORDER BY id LIMIT 2": 2,
    "SELECT image_info(image).width AS w, image_error(image) AS e FROM t WHERE image_info(image).height > 1 ORDER BY w": ROWS,
}
OTHERS = {
    "SELECT image_data_url(image, 32) AS u FROM t WHERE image_data_url(image, 32) IS NOT NULL": ROWS,
    "SELECT predict_value('price', a, b) AS v FROM t WHERE predict_value('price', a, b) > 200003 ORDER BY v": ROWS,
    "SELECT predict_value('price', a, b) AS v, predict_error('price', a, b) AS e FROM t ORDER BY id LIMIT 2": 2,
    "SELECT classify_topk('cols', struct(b, a), 1) AS k FROM t WHERE classify('cols', struct(b, a)) = 'c0' AND id < 6": 5,
    "SELECT classify('cols', a, b) AS l, predict_value('price', a, b) AS v FROM t": 2 * ROWS,  # two models
    "SELECT predict_value('price', a, b) AS v FROM t LIMIT 0": 0,
    f"SELECT classify({M}) AS l, embed_resnet(image) AS e, image_info(image) AS i FROM t LIMIT 0": 0,
}


def test_functions_of_one_image_score_it_once(spark: SparkSession, count: Count) -> None:
    for sql, most in IMAGES.items():
        rows, scored = count(spark.sql(sql))
        assert scored == most, sql
        assert rows, sql


def test_columns_thumbnails_and_regressions(spark: SparkSession, count: Count) -> None:
    for sql, most in OTHERS.items():
        assert count(spark.sql(sql))[1] == most, sql


def test_steps_over_a_data_frame(spark: SparkSession, count: Count) -> None:
    model = ModelCatalog(spark).resolve(ModelRef.parse("price", spark.catalog.currentDatabase()))
    table = spark.table("t")
    features = [Argument(table.schema[name].dataType, name) for name in ("a", "b")]
    scored = _models.apply_steps(table, _models.prediction_steps(spark, model, features))
    # The optimizer pushes the filter below the exchange; it must not score the rows there a second time.
    again = scored.repartition(3).where("scored.value > 200003").orderBy("scored.value").select("id", "scored.value")
    rows, how_many = count(again)
    assert how_many == ROWS
    assert [row.value for row in rows] == sorted(row.value for row in rows)
    assert 0 < len(rows) < ROWS


def test_inserts_and_streams_score_new_rows(spark: SparkSession, count: Count, tmp_path: Path) -> None:
    spark.sql("CREATE TABLE scored STORED AS PARQUET AS SELECT id, 'old' AS label FROM t WHERE id <= 4")
    insert = (
        "INSERT INTO scored SELECT id, p.label FROM (SELECT n.id, predict('cols', n.a, n.b) AS p FROM t n "
        "LEFT ANTI JOIN scored s ON n.id = s.id)"
    )
    assert [_write(spark, count, insert) for _ in range(2)] == [ROWS - 4, 0]
    spark.table("t").drop("image").write.parquet(str(tmp_path / "in"))
    stream = spark.readStream.schema(spark.table("t").drop("image").schema).parquet(str(tmp_path / "in"))
    labelled = stream.selectExpr("id", "classify('cols', a, b) AS l").where("l = 'c0'")
    query = labelled.writeStream.format("parquet").options(
        path=str(tmp_path / "out"), checkpointLocation=str(tmp_path / "check")
    )
    started = query.trigger(availableNow=True).start
    file_rows = count(_Act(lambda: started().awaitTermination()))  # type: ignore[arg-type]
    assert file_rows[1] == ROWS
    assert spark.read.parquet(str(tmp_path / "out")).count() == spark.sql("SELECT * FROM t WHERE a >= b").count()


class _Act:
    """Takes the place of a DataFrame, to run anything."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self.collect = act


def _write(spark: SparkSession, count: Count, sql: str) -> int:
    return count(_Act(lambda: spark.sql(sql).collect()))[1]  # type: ignore[arg-type]
