"""Statements of the grammar and of Spark, in any white space, comments and case, through the session's real parser."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from sqlext.routing import route
from tests.support.fixtures import accepted
from tests.support.generated import NATIVE, name, others, trainings

FIFTY = settings(max_examples=50, deadline=None, derandomize=True, database=None)
SPACE = (" ", "\n", "\t", "\r\n", " -- SHOW MODELS\n", "/* ' */", " /* TRAIN MODEL m /* DROP MODEL m */ ; */ ", "/**/")
TOKEN = re.compile(
    r"""(?P<space>(?:\s|--[^\n]*|/\*(?:(?!\*/).)*\*/)+)|(?P<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:``|[^`])*`)|(?P<word>[A-Za-z]\w*)|.""",
    re.DOTALL,
)
MODELS_ALONE = (  # Spark's own, however near they come
    "DESCRIBE model",
    "DESC TABLE EXTENDED model",
    "SHOW TABLES LIKE 'models'",
    "SHOW PARTITIONS model",
    "SHOW COLUMNS IN models",
    "SHOW CREATE TABLE models",
    "CREATE TABLE model AS SELECT 1 AS version",
    "CREATE OR REPLACE TEMPORARY VIEW model AS SELECT 'SHOW MODELS' AS training",
    "DROP VIEW IF EXISTS model",
    "ALTER TABLE model SET TBLPROPERTIES ('model' = 'm')",
    "COMMENT ON TABLE model IS 'TRAIN MODEL m'",
    "EXPLAIN FORMATTED SELECT classify('m', image) FROM models",
    "INSERT OVERWRITE model SELECT * FROM train",
    "CACHE TABLE evaluate",
    "ANALYZE TABLE model COMPUTE STATISTICS",
    "FROM train SELECT model",
    "SELECT model.version FROM train model",
)
WRITTEN = [text for text, _ in accepted() if (routed := route(text)) is not None and not routed.is_bare]


@st.composite
def rewritten(draw: st.DrawFn, statements: st.SearchStrategy[str]) -> str:
    """A statement with other white space and comments between its tokens and its words in other case."""
    sql, done = draw(statements), draw(st.sampled_from(("", *SPACE)))
    for token in TOKEN.finditer(sql):
        if token["space"]:
            done += draw(st.sampled_from(SPACE))
        elif token["word"]:
            done += draw(st.sampled_from((str.upper, str.lower, str.title, str)))(token[0])
        else:
            done += token[0]
    return done + draw(st.sampled_from(("", ";", " ; ", "\n-- the end", "/* end */ ;")))


def parsed_as(spark: SparkSession, sql: str) -> str:
    """The class of the plan, of the explained one under EXPLAIN, or of the error; nothing is run."""
    session: Any = spark._jsparkSession
    try:
        plan = session.sessionState().sqlParser().parsePlan(sql)
    except Py4JJavaError as error:
        return str(error.java_exception.getClass().getName())
    if plan.getClass().getSimpleName() == "ExplainCommand":
        plan = plan.logicalPlan()
    return str(plan.getClass().getName())


ours = rewritten(
    st.sampled_from(WRITTEN)
    | trainings().map(lambda pair: pair[0])
    | others
    | others.map("EXPLAIN {}".format)
    | others.map("( {} )".format)
)
native = rewritten(
    st.sampled_from(MODELS_ALONE)
    | st.tuples(st.sampled_from(NATIVE), name, name, name).map(lambda drawn: drawn[0].format(*drawn[1:]))
)


@FIFTY
@given(sql=ours)
def test_ours_become_our_command(spark: SparkSession, sql: str) -> None:
    assert parsed_as(spark, sql) == "org.apache.spark.sql.sqlext.StatementCommand"
    assert route(sql) is not None


@FIFTY
@given(sql=native)
def test_sparks_stay_what_spark_makes_of_them(spark: SparkSession, sql: str) -> None:
    """The same plan, or the same error, as of Spark's parser alone."""
    jvm: Any = spark._jvm
    try:
        expected = jvm.org.apache.spark.sql.execution.SparkSqlParser().parsePlan(sql)
        if expected.getClass().getSimpleName() == "ExplainCommand":
            expected = expected.logicalPlan()
        wanted = str(expected.getClass().getName())
    except Py4JJavaError as error:
        wanted = str(error.java_exception.getClass().getName())
    assert parsed_as(spark, sql) == wanted
    assert "sqlext" not in wanted
    routed = route(sql)
    assert routed is None or routed.is_bare  # DESCRIBE model: a head of ours alone, which Spark is asked about first
