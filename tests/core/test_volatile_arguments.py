"""Arguments that are not deterministic: they work wherever Spark allows them, and each row's value is computed once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tests.support.tiny_models import publish


@pytest.fixture(scope="module")
def session(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Model `same` returns its number; `clean` and `noise` are UDFs that Spark calls non-deterministic; `pictures` are files."""
    spark.sql("CREATE DATABASE volatile")
    spark.sql("USE volatile")
    publish(spark, "same", [[1.0]], [0.0])
    spark.udf.register("clean", F.udf(lambda value: value, "binary").asNondeterministic())
    spark.udf.register("noise", F.udf(lambda i: __import__("random").random(), "double").asNondeterministic())
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("a b.png", "c.png"):
        Image.new("RGB", (9, 9)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no picture")
    spark.sql(f"CREATE TEMPORARY VIEW pictures AS SELECT * FROM binaryFile.`{folder}`")
    yield spark
    spark.sql("USE default")
    spark.sql("DROP DATABASE volatile CASCADE")


def value(argument: str) -> str:
    return f"predict_value('same', array({argument}))"


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT {value('rand(7)')} p, rand(7) r FROM range(20)",
        f"SELECT {value('CAST(monotonically_increasing_id() % 1000 AS DOUBLE)')} p, monotonically_increasing_id() % 1000 r FROM range(20)",
        f"SELECT p, r FROM (SELECT {value('r')} p, r FROM (SELECT noise(id) r FROM range(20)))",
        f"SELECT {value('noise(id)')} p, noise(id) r FROM range(20)",
        f"SELECT {value('noise(rand(3))')} p, noise(rand(3)) r FROM range(20)",
        f"SELECT {value('spark_partition_id() * 1.0')} p, spark_partition_id() r FROM range(20)",
        f"SELECT p, r FROM (SELECT {value('rand(7)')} p, rand(7) r FROM range(20)) WHERE p > 0.01 ORDER BY p LIMIT 20",
        f"WITH s AS (SELECT id, rand(1) r FROM range(20)) SELECT {value('r')} p, r FROM s ORDER BY {value('r')}",
        f"SELECT p, r FROM (SELECT id, rand(7) r, {value('rand(7)')} p, row_number() OVER (ORDER BY id) n FROM range(20))",
        f"SELECT r, p FROM (SELECT rand(5) r FROM range(20)) LATERAL VIEW explode(array({value('r')})) e AS p",
        f"SELECT {value('aggregate(transform(array(id), x -> rand(2)), 0D, (a, b) -> a + b)')} p, "
        "aggregate(transform(array(id), x -> rand(2)), 0D, (a, b) -> a + b) r FROM range(20)",
    ],
)
def test_the_value_that_is_shown_is_the_value_that_is_scored(session: SparkSession, query: str) -> None:
    rows = session.sql(query).collect()
    assert len(rows) == 20
    assert [row.p for row in rows] == pytest.approx([float(row.r) for row in rows], abs=1e-6)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"SELECT count(*) n FROM range(50) WHERE {value('rand(7)')} < 2", 50),
        (f"SELECT count(*) n FROM range(50) WHERE {value('rand(7)')} > 2", 0),
        (f"SELECT count(*) n FROM (SELECT id FROM range(50) ORDER BY {value('rand(7)')})", 50),
        (
            f"SELECT count(*) n FROM (SELECT {value('rand(7)')} > 0 g, count(*) c FROM range(50) GROUP BY 1) WHERE c >= 49",
            1,
        ),
        (f"SELECT int(max({value('rand(7)')}) < 1) n FROM range(50)", 1),
        (f"SELECT int({value('max(id) + 0 * rand(7)')}) n FROM range(50)", 49),
        (f"SELECT int({value('minute(current_timestamp()) * 0D + 3')}) n", 3),
        (f"SELECT int({value('length(uuid()) * 1D')}) n", 36),
        ("SELECT count(image_error(content)) n FROM pictures", 1),
        ("SELECT count(image_error(clean(content))) n FROM pictures", 1),
        ("SELECT count(image_error(read_image(input_file_name()))) n FROM pictures", 1),
        ("SELECT sum(image_info(clean(content)).width) n FROM pictures", 18),
        ("SELECT count(image_error(c)) n FROM (SELECT clean(content) c FROM pictures)", 1),
        ("SELECT count(*) n FROM pictures WHERE image_error(clean(content)) IS NULL AND length(path) > 0", 2),
    ],
)
def test_wherever_spark_allows_it(session: SparkSession, query: str, expected: int) -> None:
    assert [row.n for row in session.sql(query).collect()] == [expected]


def test_the_name_of_the_file_is_that_of_the_row(session: SparkSession, tmp_path: Path) -> None:
    """Although the workers get rows of several files at once."""
    for i in range(8):
        (tmp_path / f"{i}.csv").write_text(f"{i}\n")
    session.sql(f"CREATE OR REPLACE TEMPORARY VIEW numbered (v DOUBLE) USING csv OPTIONS (path '{tmp_path}')")
    session.sql(f"CREATE OR REPLACE TEMPORARY VIEW scored AS SELECT {value('v')} AS p FROM numbered")
    for query in (
        f"SELECT input_file_name() AS file, {value('v')} AS p FROM numbered",
        f"SELECT input_file_name() AS file, {value('v')} AS p FROM numbered WHERE {value('v')} >= 0 AND input_file_name() <> ''",
        f"SELECT input_file_name() AS file, p FROM (SELECT {value('v')} AS p FROM numbered) WHERE p >= 0",
        f"SELECT file, {value('v')} AS p FROM (SELECT v, input_file_name() AS file FROM numbered)",
        "SELECT input_file_name() AS file, p FROM scored WHERE p >= 0",
    ):
        found = {row.file.rsplit("/", 1)[1]: row.p for row in session.sql(query).collect()}
        assert found == {f"{i}.csv": float(i) for i in range(8)}


def test_row_numbers_stay_when_only_the_first_rows_are_scored(session: SparkSession) -> None:
    query = f"SELECT id, {value('id')} AS p, monotonically_increasing_id() AS n FROM range(0, 90, 1, 1) ORDER BY id DESC LIMIT 3"
    assert [(row.id, row.p, row.n) for row in session.sql(query).collect()] == [
        (89, 89, 89),
        (88, 88, 88),
        (87, 87, 87),
    ]


def test_columns_of_the_dataframe_api(session: SparkSession) -> None:
    frame = session.range(20).select(F.rand(7).alias("r"), F.expr(value("rand(7)")).alias("p"))
    assert all(row.p == pytest.approx(row.r, abs=1e-6) for row in frame.collect())
