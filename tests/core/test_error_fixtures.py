"""tests/fixtures/errors.sql: every bad statement gives the class, the place and the message that stand behind it."""

from __future__ import annotations

import re

import pytest
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import SparkSession

from sqlext import statements
from sqlext.did_you_mean import near_miss, refuse
from sqlext.errors import SqlExtError
from sqlext.routing import route
from sqlext.statements import parse_statement
from tests.support.fixtures import FOLDER, Bad, errors

ERRORS = errors()
PARSED = [bad for bad in ERRORS if not bad.needs_session]
# A session reports what parsing found in the same way whatever the statement: one of each class shows that it does.
REPORTED = [bad for bad in ERRORS if bad.needs_session] + list({bad.error_class: bad for bad in PARSED}.values())


def ids(bad: Bad) -> str:
    return bad.sql[:60]


@pytest.fixture(scope="module")
def catalog(spark: SparkSession) -> SparkSession:
    """Database `err`: table t (id, arrays x, label y, text s), a model m of it, a network net."""
    spark.sql("CREATE DATABASE err")
    spark.sql("USE err")
    spark.sql(
        "CREATE TABLE t AS SELECT id, array(1.0D * (id % 2), 1e-3 * id) AS x, id % 2 AS y, 'a' AS s FROM range(20)"
    )
    spark.sql("TRAIN MODEL m FROM t FEATURES (x) LABEL y OPTIONS (epochs = 1)")
    spark.sql("IMPORT MODEL net FROM 'sqlext:small' FORMAT ONNX")
    yield spark
    spark.sql("USE default")
    spark.sql("DROP DATABASE err CASCADE")


@pytest.mark.parametrize("bad", PARSED, ids=ids)
def test_without_a_session(bad: Bad) -> None:
    routed = route(bad.sql)
    with pytest.raises(SqlExtError) as caught:
        if routed is None and not bad.sql.endswith("open"):  # what Spark rejects first
            refuse(bad.sql)
        else:
            statements.parse(None, routed.sql if routed else bad.sql)  # type: ignore[arg-type]
    error = caught.value
    assert (error.error_class, error.line, error.pos, str(error)) == (bad.error_class, bad.line, bad.pos, bad.message)


def test_in_a_session(catalog: SparkSession) -> None:
    wrong = [difference for bad in REPORTED if (difference := _difference(catalog, bad))]
    assert not wrong, "\n\n".join(wrong)


def _difference(spark: SparkSession, bad: Bad) -> str:
    """What ``bad`` gives in a session, where it is not what it must give: class, message, position, caret, no stack."""
    try:
        spark.sql(bad.sql).collect()
    except AnalysisException as error:  # a ParseException is one
        text, shown = str(error).strip(), f"[{bad.error_class}] {bad.message}"
        place, caret = "", True
        if bad.line is not None and bad.pos is not None:
            parsed = isinstance(error, ParseException)
            place = f" (line {bad.line}, pos {bad.pos})" if parsed else f"; line {bad.line} pos {bad.pos}"
            caret = ("\n" + "-" * bad.pos + "^^^") in text
        is_right = _as_expected(shown + place, text) and caret and error.getErrorClass() == bad.error_class
        return (
            "" if is_right and "\tat " not in text and "Traceback" not in text else f"{bad.sql}\n{shown}{place}\n{text}"
        )
    except Exception as error:
        return f"{bad.sql}\n{error!r}"
    return f"{bad.sql}\nwas accepted"


def _as_expected(shown: str, text: str) -> bool:
    """``..`` stands for any text: which databases and backbones there are depends on the other tests."""
    return re.match(".*".join(map(re.escape, shown.split(".."))), text) is not None


def test_there_are_enough() -> None:
    assert len({bad.sql for bad in ERRORS}) == len(ERRORS) >= 120
    assert len({bad.error_class for bad in ERRORS}) >= 20
    systems = ("BigQuery", "Snowflake", "Flink", "Databricks")
    sections = re.split(r"^-- (?=[A-Z])", (FOLDER / "errors.sql").read_text(), flags=re.MULTILINE)
    elsewhere = [section for section in sections if any(name in section.partition("\n")[0] for name in systems)]
    assert sum(section.count("\n--> ") for section in elsewhere) >= 25


@pytest.mark.parametrize("bad", [bad for bad in ERRORS if " Write: " in bad.message], ids=ids)
def test_what_near_misses_propose_is_accepted(bad: Bad) -> None:
    proposed = bad.message.partition(" Write: ")[2].replace("SELECT ..", "SELECT 1 AS column")
    routed = route(proposed)
    assert proposed.startswith("SELECT ") or (routed is not None and parse_statement(routed.sql))


@pytest.mark.parametrize(
    "sql",
    [
        "GRANT SELECT ON TABLE model TO bob",
        "DROP TABLE model x",
        "SHOW TABLES MODEL x",
        "CREATE TABLE model (a INT",
        "SELECT ml.predict(model, 1",
        "SELECT 'ML.PREDICT(MODEL m' FROM",
        "ALTER TABLE model SET VERSIONS",
        "EXPLAIN SELEC 1",
    ],
)
def test_other_errors_stay_sparks(sql: str) -> None:
    assert near_miss(sql) is None


def test_a_rejected_text_without_our_words_keeps_sparks_error(spark: SparkSession) -> None:
    for sql in ("SELEC 1", "GRANT SELECT ON TABLE model TO bob", "TABLES SHOW", "SELECT ml.x(a,"):
        with pytest.raises(ParseException) as caught:
            spark.sql(sql)
        assert not re.search("Write:", str(caught.value))
