"""How many rows a query scores, for many shapes of queries; each result is compared with that of stock Spark.

The worker appends the size of every batch it scores to a file, because an accumulator would miss workers that LIMIT stops
early. Here ``predict('m', x)``, ``classify('m', x)`` and ``classify_score('m', x)`` call a UDF that counts, through the
shim, the bridge and the rules. Stock Spark's result comes from an SQL expression with the same values, which needs no
Python worker. If a query scores NULLs, it comes from the same UDF under names that the rules do not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row, SparkSession
from pyspark.sql.functions import pandas_udf

from sqlext import udfs
from sqlext.spark.hub import register_udf

ROWS = 60
RESULTS = {"predict": "scored", "classify": "scored.label", "classify_score": "scored.score"}
PLAIN = {  # the counting function as an SQL expression of the same values, for arguments that are never NULL
    "predict": "named_struct('label', string({0} % 3), 'score', ({0} % 7) / 7D)",
    "classify": "string({0} % 3)",
    "classify_score": "(({0} % 7) / 7D)",
}


def inlined(sql: str, function: str) -> str:
    """Replaces every call of the function by PLAIN's expression, inner calls first."""
    call = re.compile(rf"\b{function}\('m', ((?:[^()]|\([^()]*\))*)\)")
    while call.search(sql):
        sql = call.sub(lambda found: PLAIN[function].format(f"({found[1]})"), sql)
    return sql


@dataclass
class Counter:
    """Runs SQL and counts the rows that were scored."""

    spark: SparkSession
    file: Path

    def run(self, sql: str) -> tuple[list[Row], int]:
        return self.count(lambda: self.spark.sql(sql).collect())

    def count(self, act: Callable[[], Any]) -> tuple[Any, int]:
        self.file.write_bytes(b"")
        result = act()
        return result, sum(map(int, self.file.read_text().split()))

    def stock(self, sql: str, *, by_udf: bool = False) -> list[Row]:
        """Returns the result of the same query without our functions."""
        for ours in RESULTS:
            sql = sql.replace(f"{ours}('m', ", f"plain_{ours}(") if by_udf else inlined(sql, ours)
        return self.spark.sql(sql).collect()


@pytest.fixture(scope="module")
def counter(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    file = tmp_path_factory.mktemp("calls") / "rows"
    path = str(file)

    @pandas_udf("struct<label:string,score:double>")  # type: ignore[call-overload]
    def g(x: pd.Series) -> pd.DataFrame:
        with open(path, "ab", buffering=0) as log:  # noqa: PTH123
            log.write(b"%d\n" % len(x))
        return pd.DataFrame({"label": x.mod(3).astype(str), "score": x.mod(7) / 7.0})

    def bind(_: SparkSession, function: str, namespace: list[str], arguments: list[dict[str, Any]]) -> dict[str, Any]:
        assert arguments[0]["constant"] and arguments[0]["value"] == "m"
        step = {"name": "scored", "udf": "counted", "arguments": ["CAST(arg1 AS BIGINT)"]}
        return {"steps": [step], "result": RESULTS[function]}

    for name, field in (("classify", "label"), ("classify_score", "score")):
        kind = "string" if field == "label" else "double"
        spark.udf.register(f"plain_{name}", pandas_udf(lambda x, field=field: g.func(x)[field], kind))
    spark.udf.register("plain_predict", g)
    register_udf(spark, "counted", g)
    spark.sql("CREATE DATABASE counts")
    spark.sql("USE counts")
    spark.range(0, ROWS, 1, 2).selectExpr("id", "id * 2 AS double_id", "id % 4 AS part").write.saveAsTable("t")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(udfs, "bind", bind)
        yield Counter(spark, file)
    spark.sql("USE default")
    spark.sql("DROP DATABASE counts CASCADE")


L, S, P = "classify('m', id)", "classify_score('m', id)", "predict('m', id)"

# name, query, rows scored
SHAPES = {
    "one call": (f"SELECT {L} FROM t", ROWS),
    "fields of one predict": (f"SELECT p.label, p.score FROM (SELECT {P} AS p FROM t)", ROWS),
    "two fields inline": (f"SELECT {P}.label, {P}.score FROM t", ROWS),
    "where": (f"SELECT id, {L} AS l FROM t WHERE {S} > 0.5", ROWS),
    "where in a sub-select": (f"SELECT id, p.label FROM (SELECT id, {P} AS p FROM t) WHERE p.score > 0.2", ROWS),
    "order by the prediction": (f"SELECT id, {S} AS s FROM t ORDER BY s, id", ROWS),
    "order by an unselected prediction": (f"SELECT id FROM t ORDER BY {S}, id", ROWS),
    "order by another column": (f"SELECT id, {S} AS s FROM t ORDER BY id", ROWS),
    "where and order by": (f"SELECT id, {S} AS s FROM t WHERE {L} = '1' ORDER BY s, id", ROWS),
    "where and order by, unselected": (f"SELECT id FROM t WHERE {L} = '1' ORDER BY {S}, id", ROWS),
    "order by the prediction, limit": (f"SELECT id, {S} AS s FROM t ORDER BY s, id LIMIT 5", ROWS),
    "group by": (f"SELECT {L} AS l, count(*) FROM t GROUP BY 1", ROWS),
    "group by, having, order by": (f"SELECT {L} AS l, avg({S}) AS a FROM t GROUP BY 1 HAVING a > 0.1 ORDER BY 2", ROWS),
    "having of a call": (f"SELECT {L} AS l, count(*) FROM t GROUP BY {L} HAVING {L} > '0'", ROWS),
    "rollup": (f"SELECT {L} AS l, part, count(*) FROM t GROUP BY ROLLUP (1, 2)", ROWS),
    "per group": ("SELECT part, classify('m', part) AS l, sum(id) FROM t GROUP BY part", 4),
    "per group, having": (
        "SELECT part, classify('m', part) AS l FROM t GROUP BY part HAVING classify_score('m', part) > 0.1 ORDER BY l",
        4,
    ),
    "of an aggregate": ("SELECT part, classify('m', max(id)) AS l FROM t GROUP BY part", 4),
    "distinct": (f"SELECT DISTINCT {L} FROM t", ROWS),
    "count distinct": (f"SELECT count(DISTINCT {L}), avg({S}) FROM t", ROWS),
    "window over the prediction": (f"SELECT id, rank() OVER (PARTITION BY {L} ORDER BY {S}, id) AS r FROM t", ROWS),
    "window and where": (
        f"SELECT * FROM (SELECT id, row_number() OVER (PARTITION BY {L} ORDER BY {S}, id) AS r FROM t) WHERE r < 3",
        ROWS,
    ),
    "join, prediction in where": (
        "SELECT a.id FROM t a JOIN t b ON a.id = b.double_id WHERE classify_score('m', a.id) > 0.2",
        30,
    ),
    "join, prediction in where and select": (
        "SELECT a.id, classify('m', a.id) AS l FROM t a JOIN t b ON a.id = b.id WHERE classify_score('m', a.id) > 0.2",
        ROWS,
    ),
    "join on a prediction": ("SELECT a.id, b.id AS other FROM t a JOIN t b ON classify('m', a.id) = b.id", ROWS),
    "left join, prediction in on": (
        "SELECT a.id, b.id AS other FROM t a LEFT JOIN t b ON a.id = b.id AND classify_score('m', b.id) > 0.5",
        ROWS,
    ),
    "left join, prediction of the missing side": (
        "SELECT a.id, classify('m', b.double_id) AS l FROM t a LEFT JOIN t b ON a.id = b.double_id",
        ROWS,
    ),
    "semi join, prediction in where": (
        "SELECT id FROM t a LEFT SEMI JOIN t b ON a.id = b.double_id WHERE classify_score('m', id) > 0.2",
        30,
    ),
    "in sub-query": (f"SELECT id FROM t WHERE id IN (SELECT id FROM t WHERE {S} > 0.5)", ROWS),
    "prediction in a sub-query's list": (f"SELECT id FROM t WHERE {L} IN (SELECT string(part) FROM t)", ROWS),
    "scalar sub-query": (f"SELECT count(*) FROM t WHERE {S} > (SELECT avg({S}) FROM t)", 2 * ROWS),
    "correlated exists": (
        "SELECT id FROM t a WHERE EXISTS"
        " (SELECT 1 FROM t b WHERE b.id = a.double_id AND classify_score('m', b.id) > 0.5)",
        ROWS,
    ),
    "correlated aggregate": (
        "SELECT id, (SELECT max(classify_score('m', b.id)) FROM t b WHERE b.part = a.id) AS s FROM t a",
        ROWS,
    ),
    "case": (f"SELECT id, CASE WHEN {S} > 0.3 THEN {L} END AS l FROM t", ROWS),
    "union": (f"SELECT {L} AS l FROM t WHERE id < 30 UNION ALL SELECT {L} FROM t WHERE id >= 30", ROWS),
    "generate": (f"SELECT id, x FROM t LATERAL VIEW explode(array({L}, 'x')) AS x", ROWS),
    "nested": ("SELECT classify('m', length(classify('m', id))) AS l FROM t", 2 * ROWS),
    "repartition by range": (f"SELECT /*+ REPARTITION_BY_RANGE(3, s) */ id, {S} AS s FROM t", ROWS),
    "full join": (
        "SELECT a.id, classify('m', b.id) AS l FROM t a FULL JOIN (SELECT id FROM t WHERE id < 9) b ON a.id = b.id",
        ROWS,
    ),
    "outer reference": (
        "SELECT id, (SELECT max(b.part) FROM t b WHERE string(b.id) = classify('m', a.id)) AS x FROM t a",
        ROWS,
    ),
    "union of calls under one name": (
        "SELECT predict('m', id) AS scored FROM t UNION ALL SELECT predict('m', part) AS scored FROM t",
        2 * ROWS,
    ),
    "intersect": (f"SELECT {L} AS l FROM t INTERSECT SELECT classify('m', part) FROM t", 2 * ROWS),
    "common table expression": (f"WITH s AS (SELECT id, {P} AS p FROM t) SELECT p.* FROM s WHERE p.score > 0.5", ROWS),
    "grouping sets of a call": (f"SELECT {L} AS l, part, max({S}) AS s FROM t GROUP BY GROUPING SETS (1, part)", ROWS),
    "call of a group in an aggregate": ("SELECT part, max(classify('m', part)) AS l FROM t GROUP BY part", ROWS),
    "rollup of a prediction's aggregate": (f"SELECT part, max({S}) AS s FROM t GROUP BY ROLLUP (part)", ROWS),
    "constant": ("SELECT id, classify('m', 5) AS l FROM t WHERE id < 4", 4),
    "values": ("SELECT classify('m', 5) AS l", 1),
    "filter of an aggregate": (f"SELECT count(*) FILTER (WHERE {S} > 0.5) AS n FROM t", ROWS),
    "pivot": (f"SELECT * FROM (SELECT part, {L} AS l FROM t) PIVOT (count(*) FOR l IN ('0', '1'))", ROWS),
    "any of a list": (f"SELECT id FROM t WHERE {L} IN ('1', '2') OR {S} > 0.9", ROWS),
    "lateral": ("SELECT a.id, x.l FROM t a, LATERAL (SELECT classify('m', a.id) AS l) x", ROWS),
    "nobody reads it": (f"SELECT id FROM (SELECT id, {L} AS l FROM t)", 0),
    "count over a sub-select": (f"SELECT count(*) FROM (SELECT id, {L} AS l FROM t)", 0),
    "one of two is read": (f"SELECT a FROM (SELECT {L} AS a, classify('m', part) AS b FROM t)", ROWS),
    "limit 0": (f"SELECT {L} FROM t LIMIT 0", 0),
    "three rows by a filter": (f"SELECT {L} FROM t WHERE id < 3", 3),
    "three rows by a filter outside": (f"SELECT l FROM (SELECT id, {L} AS l FROM t) WHERE id < 3", 3),
    "top k of another column": (f"SELECT {L} FROM t ORDER BY id LIMIT 3", 3),
    "first rows": ("SELECT classify('m', id) IS NOT NULL AS l FROM t LIMIT 3", 3),
    "top k by an alias": (f"SELECT id + 1 AS n, {L} AS l FROM t ORDER BY n DESC LIMIT 4", 4),
    "top k, nested": ("SELECT id, classify('m', length(classify('m', id))) AS l FROM t ORDER BY id LIMIT 3", 6),
}


# Shapes that score NULLs, and a few others. The result of stock Spark comes from the same UDF.
BY_UDF = (
    "where and order by",
    "group by, having, order by",
    "window and where",
    "join, prediction in where and select",
    "left join, prediction of the missing side",
    "correlated exists",
    "nested",
    "full join",
    "top k, nested",
)


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_scored(counter: Counter, shape: str) -> None:
    sql, most = SHAPES[shape]
    rows, scored = counter.run(sql)
    stock = counter.stock(sql, by_udf=shape in BY_UDF)
    assert sorted(map(tuple, rows), key=str) == sorted(map(tuple, stock), key=str)
    assert scored == most


def test_insert_scores_only_new_rows(counter: Counter) -> None:
    insert = (
        "INSERT INTO scored SELECT id, p.* FROM"
        " (SELECT n.id, predict('m', n.id) AS p FROM t n LEFT ANTI JOIN scored s ON n.id = s.id)"
    )
    counter.spark.sql("CREATE TABLE scored AS SELECT id, 'old' AS label, 0D AS score FROM t WHERE id < 20")
    assert counter.run(insert)[1] == ROWS - 20
    assert counter.run(insert)[1] == 0
    assert counter.spark.table("scored").count() == ROWS


def test_create_table_as_select(counter: Counter) -> None:
    _, scored = counter.run(f"CREATE TABLE made AS SELECT id, {L} AS l, {S} AS s FROM t WHERE {S} > 0.5 ORDER BY s")
    assert scored == ROWS
    assert counter.spark.table("made").count() == len(counter.stock(f"SELECT id FROM t WHERE {S} > 0.5"))


def test_cached_tables_are_scored_once(counter: Counter) -> None:
    counter.spark.sql(f"CREATE TEMP VIEW labelled AS SELECT id, {L} AS l FROM t")
    _, filled = counter.run("CACHE TABLE labelled")
    again, scored = counter.run("SELECT l, count(*) AS n FROM labelled GROUP BY l")
    counter.spark.sql("UNCACHE TABLE labelled")
    assert (filled, scored, sum(row.n for row in again)) == (ROWS, 0, ROWS)


def test_views_are_scored_when_they_are_read(counter: Counter) -> None:
    _, made = counter.run(f"CREATE VIEW scores AS SELECT id, {P} AS p FROM t")
    rows, scored = counter.run("SELECT a.id, p.label FROM scores a JOIN t ON a.id = t.id WHERE p.score > 0.2")
    assert (made, scored) == (0, ROWS)
    assert len(rows) == len(counter.stock(f"SELECT id FROM t WHERE {S} > 0.2"))


def test_dataframe_api(counter: Counter) -> None:
    scores = counter.spark.table("t").selectExpr("id", f"{P} AS p")
    rows, scored = counter.count(scores.where("p.score > 0.2").orderBy("p.score").select("id", "p.label").collect)
    assert (len(rows), scored) == (len(counter.stock(f"SELECT id FROM t WHERE {S} > 0.2")), ROWS)
    paired, _ = counter.count(
        lambda: scores.alias("a").join(scores.alias("b"), "id").where("a.p.label = b.p.label").count()
    )
    assert paired == ROWS


def test_stream(counter: Counter, tmp_path: Path) -> None:
    counter.spark.table("t").write.parquet(str(tmp_path / "in"))
    stream = counter.spark.readStream.schema(counter.spark.table("t").schema).parquet(str(tmp_path / "in"))
    writer = stream.selectExpr("id", f"{P} AS p").where("p.score > 0.2").writeStream.format("parquet")
    query = writer.options(path=str(tmp_path / "out"), checkpointLocation=str(tmp_path / "check")).trigger(
        availableNow=True
    )
    _, scored = counter.count(lambda: query.start().awaitTermination())
    assert scored == ROWS
    assert counter.spark.read.parquet(str(tmp_path / "out")).count() == len(
        counter.stock(f"SELECT id FROM t WHERE {S} > 0.2")
    )


def test_batches_are_cut_by_rows_and_bytes(counter: Counter) -> None:
    spark = counter.spark
    try:
        spark.conf.set("spark.sqlext.batch.maxRows", 7)
        _, scored = counter.run(f"SELECT {L} FROM t")
        batches = list(map(int, counter.file.read_text().split()))
        assert (scored, max(batches)) == (ROWS, 7)
        spark.conf.set("spark.sqlext.batch.maxBytes", "33b")
        counter.run(
            f"SELECT {L} FROM t"
        )  # a BIGINT counts as 8 bytes; the batch ends with the row that passes the limit
        assert max(map(int, counter.file.read_text().split())) == 5
    finally:
        spark.conf.unset("spark.sqlext.batch.maxRows")
        spark.conf.unset("spark.sqlext.batch.maxBytes")


def test_a_call_in_a_lambda_is_refused_with_a_remedy(counter: Counter) -> None:
    for sql in (
        "SELECT transform(array(id), x -> classify('m', x)) FROM t",
        "SELECT transform(array(id), x -> classify('m', id)) FROM t",
    ):
        with pytest.raises(AnalysisException, match=r"classify cannot be called inside a lambda.*explode") as caught:
            counter.spark.sql(sql)
        assert caught.value.getErrorClass() == "UNSUPPORTED_IN_LAMBDA"
