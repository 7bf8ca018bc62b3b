"""Predictions wherever SQL accepts an expression (INSERT, CTAS, views, streams), compared with what the weights imply."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.support.results import one
from tests.support.tiny_models import publish, publish_columns


@pytest.fixture(scope="module")
def places(spark: SparkSession) -> Iterator[SparkSession]:
    """Database `places`: models cols and price, and table points (id, a, b), with label c0 for ids 0 to 5 and c1 for 6 to 9."""
    spark.sql("CREATE DATABASE places")
    spark.sql("CREATE DATABASE elsewhere")
    spark.sql("USE places")
    publish_columns(spark)
    spark.sql("CREATE TABLE points STORED AS PARQUET AS SELECT id, 5D AS a, int(id) AS b FROM range(10)")
    yield spark
    spark.sql("USE default")
    for database in ("elsewhere", "places"):
        spark.sql(f"DROP DATABASE {database} CASCADE")


C, V = "classify('places.cols', a, b)", "predict_value('places.price', a, b)"


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (f"SELECT count(*) FROM places.points WHERE {C} = 'c1' AND {V} < 200003", 2),
        (f"SELECT count(*) FROM (SELECT {C} AS c FROM places.points GROUP BY {C} HAVING min({V}) < 200005)", 1),
        (f"SELECT first(id) FROM (SELECT id FROM places.points ORDER BY {V}, {C} LIMIT 1)", 9),
        # Above the join, features may be NULL where those below are not.
        (
            "SELECT count(predict_error('places.price', r.a, r.b)) FROM places.points p LEFT JOIN (SELECT *, "
            "predict_error('places.price', a, b) AS e FROM places.points WHERE id > 6) r ON p.id = r.id WHERE r.e IS NULL",
            7,
        ),
        (f"SELECT sum(CASE {C} WHEN 'c0' THEN 1 ELSE 100 END) FROM places.points", 406),
        (f"SELECT count(*) FROM places.points p JOIN (VALUES ('c0')) AS w(label) ON {C} = w.label", 6),
        (f"SELECT sum(r) FROM (SELECT rank() OVER (PARTITION BY {C} ORDER BY {V} DESC) AS r FROM places.points)", 31),
        (f"SELECT count(*) FROM places.points WHERE EXISTS (SELECT 1 FROM VALUES ('c1') AS w(l) WHERE w.l = {C})", 4),
    ],
)
def test_places_in_a_query(places: SparkSession, query: str, answer: int) -> None:
    assert places.sql(query).first()[0] == answer  # type: ignore[index]


def test_insert_and_create_table(places: SparkSession) -> None:
    places.sql(
        f"CREATE TABLE places.made STORED AS PARQUET AS SELECT id, {C} AS label, {V} AS value FROM places.points WHERE id < 7"
    )
    places.sql(f"INSERT INTO places.made SELECT id + 100, {C}, {V} FROM places.points WHERE {C} = 'c1'")
    row = one(places, "SELECT count(*) AS n, count_if(label = 'c1') AS ones, max(value) AS top FROM places.made")
    assert (row.n, row.ones, row.top) == (11, 5, 200_010.0)


def test_a_view_uses_the_models_of_its_database(places: SparkSession) -> None:
    """A model of the same name in the reader's database does not replace it; a new default version does."""
    places.sql("CREATE VIEW elsewhere.labelled AS SELECT id, classify('cols', a, b) AS label FROM places.points")
    publish(
        places,
        "elsewhere.cols",
        [[0, 0], [0, 0]],
        [9, 0],
        input={"kind": "columns", "columns": [{"name": "a"}, {"name": "b"}]},
    )
    places.sql("USE elsewhere")
    count = "SELECT count_if(label = 'c1') AS ones FROM elsewhere.labelled"
    assert one(places, count).ones == 4
    assert one(places, "SELECT classify('cols', 5D, 9) AS label").label == "c0"
    publish(
        places,
        "places.cols",
        [[0, 0], [0, 0]],
        [0, 9],
        input={"kind": "columns", "columns": [{"name": "a"}, {"name": "b"}]},
    )
    assert one(places, count).ones == 10
    places.sql("DROP MODEL places.cols VERSION 1")
    places.sql("USE places")
    publish_columns(places)


def test_a_stream_of_files(places: SparkSession, tmp_path: Path) -> None:
    places.table("places.points").write.parquet(str(tmp_path / "in"))
    places.readStream.schema("id BIGINT, a DOUBLE, b INT").parquet(str(tmp_path / "in")).createOrReplaceTempView(
        "arriving"
    )
    labelled = places.sql(f"SELECT id, {C} AS label, {V} AS value FROM arriving WHERE {C} = 'c1'")
    writer = labelled.writeStream.format("parquet").option("checkpointLocation", str(tmp_path / "check"))
    writer.trigger(availableNow=True).start(str(tmp_path / "out")).awaitTermination()
    found = places.read.parquet(str(tmp_path / "out")).orderBy("id").collect()
    assert [(row.id, row.label, row.value) for row in found] == [(i, "c1", 200_010.0 - i) for i in range(6, 10)]


def test_similar_images_in_one_query(places: SparkSession) -> None:
    """Floats and doubles give the expected rows, and the plan has no Python worker."""
    places.sql(
        "CREATE TABLE places.emb STORED AS PARQUET AS SELECT id, array(float(cos(id)), float(sin(id))) AS e FROM range(30)"
    )
    query = (
        "SELECT b.id, cosine_similarity(a.e, CAST(b.e AS ARRAY<{kind}>)) AS s FROM places.emb a JOIN places.emb b ON a.id <> b.id "
        "WHERE a.id = 3 ORDER BY s DESC LIMIT 3"
    )
    for kind in ("FLOAT", "DOUBLE"):
        frame = places.sql(query.format(kind=kind))
        assert [row.id for row in frame.collect()] == [28, 22, 9]
        plan = frame._jdf.queryExecution().executedPlan().toString()
        assert "Python" not in plan
        assert "Scoring" not in plan
