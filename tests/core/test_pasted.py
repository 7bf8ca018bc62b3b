"""SQL text as people paste it: other spaces, typographic quotes, doubled quotes, double-quoted names, other encodings."""
# ruff: noqa: RUF001

from __future__ import annotations

import io
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pyspark.errors import ParseException
from pyspark.sql import SparkSession

from sqlext.cli.encoding import decoded
from sqlext.cli.prompt import _piped
from sqlext.cli.statements import complete, split
from sqlext.errors import SqlExtError
from sqlext.grammar.pasted import ZERO_WIDTH, plain_spaces
from sqlext.routing import route
from sqlext.statements import parse_statement
from tests.support.results import one

SPACES = (
    "\u00a0",
    "\u202f",
    "\u2003",
    "\u3000",
    "\u200b",
    "\u2060",
    "\ufeff",
    "\u00ad",
    "\u2028",
    "\u0085",
    "\v",
    "\f",
)
MISPRINTS = {
    "COMMENT ON MODEL m IS ‘a’": (
        22,
        "'‘' (U+2018, LEFT SINGLE QUOTATION MARK) has no meaning in SQL; write ' instead.",
    ),
    "COMMENT ON MODEL m IS 'a’": (
        24,
        "'’' (U+2019, RIGHT SINGLE QUOTATION MARK) has no meaning in SQL; write ' instead.",
    ),
    "TRAIN MODEL m FROM t LABEL “y”": (27, "'“' (U+201C, LEFT DOUBLE QUOTATION MARK) has no meaning in SQL"),
    "TRAIN MODEL m FROM t LABEL y OPTIONS (seed = –1)": (45, "'–' (U+2013, EN DASH) has no meaning in SQL; write -"),
    "TRAIN MODEL m FROM t LABEL y OPTIONS（seed = 1)": (36, "(U+FF08, FULLWIDTH LEFT PARENTHESIS) has no meaning"),
}


@pytest.mark.parametrize("space", SPACES, ids=ascii)
def test_spaces(space: str) -> None:
    sql = f"{space}TRAIN{space}MODEL m FROM t LABEL `a{space}b` COMMENT 'c{space}d' --{space}\n"
    written = sql.replace(f"{space}TRAIN{space}", " TRAIN ")
    assert plain_spaces(sql) == written
    assert parse_statement(sql) == parse_statement(written)
    assert route(sql) is not None
    assert [part.text.lstrip(ZERO_WIDTH) for part in split(f"SELECT 1;{space}; SELECT '{space};'{space}")] == [
        "SELECT 1",
        f"SELECT '{space};'{space}".rstrip(),
    ]


@pytest.mark.parametrize("sql", ["SELECT 'a;", 'SELECT "a;', "SELECT `a;", "/* a;", "/* /* */ ;", "SELECT r'a\\;"])
def test_what_is_not_closed_is_not_complete(sql: str) -> None:
    assert not complete(sql)


@pytest.mark.parametrize("sql", MISPRINTS)
def test_typographic_signs_are_named(sql: str) -> None:
    offset, message = MISPRINTS[sql]
    with pytest.raises(SqlExtError) as caught:
        parse_statement(sql)
    assert (caught.value.error_class, caught.value.offset) == ("SYNTAX_ERROR", offset)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "sql",
    ["COMMENT ON MODEL m IS 'it’s – “so”'", "DROP MODEL `it’s`", "DROP MODEL m -- it’s\n", "DROP /* “ */ MODEL m"],
)
def test_they_may_stand_in_strings_names_and_comments(sql: str) -> None:
    parse_statement(sql)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("'it''s'", r"'it\'s'"), ('"say ""so"""', "'say \"so\"'"), ("'a''b''c'", r"'a\'b\'c'"), ("''''", r"'\''")],
)
def test_doubled_quotes(written: str, meant: str) -> None:
    for sql in (f"COMMENT ON MODEL m IS {written}", f"TRAIN MODEL m FROM t LABEL y OPTIONS (metric = {written})"):
        with pytest.raises(SqlExtError) as caught:
            parse_statement(sql)
        assert str(caught.value) == f"In Spark, {written} is two strings next to each other; write {meant}."
        assert sql[caught.value.offset or 0 :].startswith(written)


# --- through Spark's parser ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES, ids=ascii)
def test_spaces_in_a_session(spark: SparkSession, space: str) -> None:
    assert "model" in spark.sql(f"{space}SHOW{space}MODELS;{space}").columns
    # Spark's own statements, which Spark would refuse; inside a string, the space is part of the value.
    assert one(spark, f"SELECT{space}'a{space}b'{space}AS x").x == f"a{space}b"


def test_typographic_signs_in_a_session(spark: SparkSession) -> None:
    for sql, (offset, message) in MISPRINTS.items():
        with pytest.raises(ParseException) as caught:
            spark.sql(sql)
        assert message in str(caught.value)
        assert f"(line 1, pos {offset})" in str(caught.value)
    for sql in ("SELECT ‘a’", "SELECT 3 – 1", "SELECT 'a’"):
        with pytest.raises(ParseException, match="has no meaning in SQL"):
            spark.sql(sql)
    assert one(spark, "SELECT '’' AS x").x == "’"
    with pytest.raises(ParseException, match="PARSE_SYNTAX_ERROR"):
        spark.sql("SELECT é")


def test_names_in_double_quotes(spark: SparkSession, database: str) -> None:
    """They are names where Spark's settings say so; the recorded statement means the same under other settings."""
    spark.sql("CREATE TABLE t AS SELECT id AS `a ``b`, id % 2 AS y FROM range(20)")
    both = ("spark.sql.ansi.enabled", "spark.sql.ansi.doubleQuotedIdentifiers")
    for key in both:
        spark.conf.set(key, "true")
    try:
        train = 'TRAIN MODEL m FROM (SELECT "a `b", "y" FROM "t") FEATURES ("a `b") LABEL "y" OPTIONS (epochs = 1)'
        assert one(spark, train).rows_trained > 0
    finally:
        for key in both:
            spark.conf.unset(key)
    assert "FROM (SELECT `a ``b`, `y` FROM `t`)" in one(spark, "SHOW CREATE MODEL m")[0]
    assert one(spark, "TRAIN MODEL m").version == 2


# --- files -----------------------------------------------------------------------------------------------------------


def test_files_in_utf8() -> None:
    assert decoded("\ufeffSELECT 'é';\r\nSELECT 2\rFROM t".encode(), "q.sql") == "SELECT 'é';\nSELECT 2\nFROM t"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            "SELECT 1".encode("utf-16"),
            "q.sql is UTF-16, not UTF-8; save it as UTF-8, for example with iconv -f UTF-16 ",
        ),
        ("SELECT 1".encode("utf-32"), "q.sql is UTF-32, not UTF-8"),
        ("SELECT 1".encode("utf-16-le"), "q.sql has NUL bytes, so it is not UTF-8 text"),
        ("SELECT 1;\nSELECT 'é'".encode("latin-1"), "q.sql is not UTF-8: line 2 has the byte 0xe9; save it as UTF-8"),
    ],
)
def test_files_in_other_encodings(data: bytes, says: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        decoded(data, "q.sql")
    assert says in str(caught.value)


def test_the_line_of_standard_input_is_named() -> None:
    with pytest.raises(click.UsageError, match="standard input is not UTF-8: line 3 has the byte 0xe9"):
        list(_piped(io.BytesIO("SELECT 1;\nSELECT 2;\nSELECT 'é';\n".encode("latin-1"))))


def test_the_command_says_it_before_spark_starts(tmp_path: Path) -> None:
    from sqlext.cli.sql import command

    file = tmp_path / "latin.sql"
    file.write_bytes("SELECT 'é'".encode("latin-1"))
    done = CliRunner().invoke(command, ["-f", str(file)])
    assert done.exit_code == 2
    assert f"{file} is not UTF-8: line 1 has the byte 0xe9" in done.output
