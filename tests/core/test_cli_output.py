"""The output formats of the command line, how it splits scripts, and its error lines."""

from __future__ import annotations

import datetime
import io
import json
import math
import re
import time
from decimal import Decimal
from typing import Any

import pytest
from PIL import Image
from pyspark.sql import Row, SparkSession
from pyspark.sql.types import StructType

from sqlext.cli import progress
from sqlext.cli.cells import plain, text
from sqlext.cli.common import StatementFailed, run, show
from sqlext.cli.html import page, section
from sqlext.cli.output import Result, write_csv, write_json, write_table
from sqlext.cli.sql import run_all
from sqlext.cli.statements import complete, split
from sqlext.progress import report
from sqlext.text import byte_size


def picture(width: int = 50, height: int = 30) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(file, "JPEG")
    return file.getvalue()


def schema(ddl: str) -> StructType:
    """A schema from 'a int, b string', without a JVM."""
    kinds = {"int": "integer", "bigint": "long"}
    columns = [column.split() for column in ddl.split(",")]
    fields = [{"name": n, "type": kinds.get(t, t), "nullable": True, "metadata": {}} for n, t in columns]
    return StructType.fromJson({"type": "struct", "fields": fields})


def written(writer: Any, ddl: str, *rows: Any, **options: Any) -> str:
    stream = io.StringIO()
    writer(Result(schema(ddl), rows), stream, **options)
    return stream.getvalue()


IMAGE_STRUCT = Row(origin="", height=3, width=2, nChannels=3, mode=16, data=b"\0" * 18)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "NULL"),
        (True, "true"),
        (3, "3"),
        (2.0, "2.0"),
        (0.123456789, "0.123457"),
        (1e20, "1e+20"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (Decimal("1.20"), "1.20"),
        (datetime.datetime(2024, 5, 1, 10), "2024-05-01 10:00:00"),
        ("a\tb\x1b[31m\u202e", r"a\tb\x1b[31m\u202e"),
        ("two\nlines", "two\nlines"),
        ([1, 2, 3], "[1, 2, 3]"),
        ([0.5] * 2048, "[0.5, 0.5, 0.5, 0.5, 0.5, .. 2,048 values]"),
        (Row(label="ant", score=0.93), "{label: ant, score: 0.93}"),
        ({"a": None}, "{a: NULL}"),
        (b"\x00\xff", "BINARY 2 bytes: 00ff"),
        (b"", "BINARY 0 bytes"),
        (picture(), f"JPEG 50x30, {len(picture())} bytes"),
        (bytearray(picture()), f"JPEG 50x30, {len(picture())} bytes"),
        (IMAGE_STRUCT, "CV_8UC3 2x3, 18 bytes"),
        ([picture()], f"[JPEG 50x30, {len(picture())} bytes]"),
    ],
)
def test_a_value_in_a_table(value: object, shown: str) -> None:
    assert text(value) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (3, "3 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KB"),
        (1536, "1.5 KB"),
        (10_188, "9.9 KB"),
        (10_189, "10 KB"),  # 9.9502
        (86_016, "84 KB"),
        (1_048_063, "1023 KB"),  # 1023.499
        (1_048_064, "1.0 MB"),  # 1023.5, which rounds to 1024
        (1_048_575, "1.0 MB"),
        (3 << 20, "3.0 MB"),
        ((1 << 30) - 1, "1.0 GB"),
        (2000 << 30, "2000 GB"),
    ],
)
def test_sizes(count: int, shown: str) -> None:
    assert byte_size(count) == shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (b"\x00\xff", "AP8="),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (Decimal("1E+2"), "100"),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        ([1.5, None], [1.5, None]),
    ],
)
def test_a_value_in_json(value: object, expected: object) -> None:
    assert plain(value) == expected


def test_json_is_one_object_per_row_and_repeated_names_are_kept() -> None:
    lines = written(write_json, "id int, name string, id int", (1, "a\nb", 2), (None, "ü", 3)).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"id": 1, "name": "a\nb", "id_2": 2},
        {"id": None, "name": "ü", "id_2": 3},
    ]


def test_csv_quotes_what_needs_it() -> None:
    rows = (1, 'say "x", y', True, None), (2, "line\nend", False, b"\0")
    assert written(write_csv, "id int, t string, b boolean, c binary", *rows) == (
        'id,t,b,c\n1,"say ""x"", y",true,\n2,"line\nend",false,AA==\n'
    )


def test_a_table_aligns_numbers_and_counts_rows() -> None:
    lines = written(write_table, "id int, label string", (7, "ant"), (12, None), width=60).splitlines()
    assert [re.sub(r"[─┌┐└┘├┤┬┴┼]+", "-", line) for line in lines] == [
        "-",
        "│ id │ label │",
        "-",
        "│  7 │ ant   │",
        "│ 12 │ NULL  │",
        "-",
        "2 rows",
    ]


def test_a_single_wide_row_is_written_field_by_field() -> None:
    ddl = ", ".join(f"column_{i} string" for i in range(12))
    shown = written(write_table, ddl, tuple(f"value {i}" for i in range(12)), width=80)
    assert len(shown.splitlines()) == 14
    assert re.search(r"column_11\s+│ value 11", shown)
    assert max(map(len, shown.splitlines())) <= 80


def test_markup_and_control_characters_of_data_stay_text() -> None:
    assert "[red]x[/red] :smile:" in written(write_table, "a string", ("[red]x[/red] :smile:",), width=80)


def test_a_plan_is_written_as_it_is() -> None:
    assert written(write_table, "plan string", ("== Physical Plan ==\n+- x\n\n",)) == "== Physical Plan ==\n+- x\n"


def test_the_page_holds_thumbnails_and_escapes_the_rest() -> None:
    result = Result(schema("label string, image binary"), [("<script>x</script>", picture(500, 375))])
    html = page("a & b", [section(result, "SELECT '<b>'")])
    assert "<script>x" not in html
    assert "&lt;script&gt;x" in html
    assert "a &amp; b" in html
    assert "SELECT &#39;&lt;b&gt;&#39;" in html
    assert re.search(r'<img src="data:image/jpeg;base64,[^"]+" alt="JPEG 500x375', html)


def test_a_cut_result_has_a_note(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    script = list(split("SELECT id FROM range(1001); SELECT id AS few FROM range(1000)"))
    note = "only the first 1,000 rows are shown; --format csv or json writes all of them"
    html, shown = io.StringIO(), io.StringIO()
    run_all(spark, script, "html", html)
    assert html.getvalue().count(note) == 1
    assert html.getvalue().count("<tr><td") == 2000
    run_all(spark, script[:1], "table", shown)
    assert note in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("", []),
        (" ; ;; ", []),
        ("-- only; a comment\n/* and; /* another; */ */", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\n SELECT 2 ;", ["SELECT 1", "SELECT 2"]),
        ("SELECT 'a;b', \"c;d\", `e;f`; SELECT 2", ["SELECT 'a;b', \"c;d\", `e;f`", "SELECT 2"]),
        (r"SELECT 'it\'s;'; SELECT '\\'; SELECT 3", [r"SELECT 'it\'s;'", r"SELECT '\\'", "SELECT 3"]),
        (r"SELECT r'\'; SELECT R'a;'", [r"SELECT r'\'", "SELECT R'a;'"]),
        ("SELECT 1 -- x; y'\n, 2; SELECT 3", ["SELECT 1 -- x; y'\n, 2", "SELECT 3"]),
        ("SELECT /* ; /* ; */ ' */ 1; SELECT 2", ["SELECT /* ; /* ; */ ' */ 1", "SELECT 2"]),
        ("SELECT `a``;`; SELECT 2", ["SELECT `a``;`", "SELECT 2"]),
        ("SELECT 'open; SELECT 2", ["SELECT 'open; SELECT 2"]),
        ("SHOW TABLES LIKE 'x;y'; SHOW MODELS", ["SHOW TABLES LIKE 'x;y'", "SHOW MODELS"]),
    ],
)
def test_splitting(script: str, statements: list[str]) -> None:
    assert [statement.text for statement in split(script)] == statements


def test_a_statement_knows_its_line() -> None:
    assert [statement.line for statement in split("-- a\nSELECT 1;\n\n\n  SELECT\n2; SELECT 3")] == [1, 5, 6]


@pytest.mark.parametrize(
    ("typed", "ready"),
    [
        ("", True),
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 'a;", False),
        ("SELECT 1; SELECT", False),
        ("/* still;", False),
        ("SELECT 1; /* still", False),
    ],
)
def test_when_a_typed_statement_is_complete(typed: str, ready: bool) -> None:
    assert complete(typed) is ready


def failure(spark: SparkSession, sql: str) -> list[str]:
    with pytest.raises(StatementFailed) as raised:
        show(spark, split(sql)[0], "json", io.StringIO())
    return raised.value.lines


@pytest.mark.parametrize(
    ("sql", "first", "caret"),
    [
        ("SELEC 1", "error: [PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEC' (line 1)", "  ^"),
        ("\n\nSELECT 1,\n  nope FROM range(1)", "error: [UNRESOLVED_COLUMN.WITH_SUGGESTION] A column ", "    ^"),
        (
            "SELECT * FROM nowhere",
            "error: [TABLE_OR_VIEW_NOT_FOUND] The table or view `nowhere` cannot",
            " " * 16 + "^",
        ),
        ("SELECT raise_error('own words') FROM range(1)", "error: [RuntimeException] own words", None),
    ],
)
def test_an_error_is_one_line_and_a_caret(spark: SparkSession, sql: str, first: str, caret: str | None) -> None:
    lines = failure(spark, sql)
    assert lines[0].startswith(first)
    assert lines[-1] == caret if caret else len(lines) == 1
    assert not any(word in " ".join(lines) for word in ("== SQL", "\tat ", "Traceback", "JVM", "'Project"))


def test_the_line_number_is_that_of_the_script(spark: SparkSession) -> None:
    assert failure(spark, "\n\nSELECT 1,\n  nope FROM range(1)")[0].endswith("(line 4)")


def test_types_of_spark_in_json(spark: SparkSession) -> None:
    query = """SELECT timestamp'2024-05-01 10:00:00+02:00' AS t, timestamp_ntz'2024-05-01 10:00:00' AS n,
      named_struct('label', 'ant', 'at', date'2024-05-01') AS s, map('k', X'00') AS m, CAST(1.5 AS FLOAT) AS f"""
    stream = io.StringIO()
    write_json(run(spark, split(query)[0]), stream)
    assert json.loads(stream.getvalue()) == {
        "t": "2024-05-01T08:00:00+00:00",
        "n": "2024-05-01T10:00:00",
        "s": {"label": "ant", "at": "2024-05-01"},
        "m": {"k": "AA=="},
        "f": 1.5,
    }


def test_a_long_result_streams(spark: SparkSession) -> None:
    result = run(spark, split("SELECT id FROM range(0, 5000, 1, 4)")[0])
    assert sum(row.id for row in result.rows) == 4999 * 2500


def test_progress_is_silent_for_a_while_then_writes_lines(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET", 0.2)
    monkeypatch.setattr(progress, "LINE_EVERY", 0.1)
    with progress.showing("short"):
        pass
    with progress.showing("TRAIN MODEL m"):
        report("embedding", 120, 1244)
        time.sleep(0.5)
        report("training", 3, 20, "loss 0.5")
        time.sleep(0.5)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "short" not in captured.err
    assert "TRAIN MODEL m: embedding 120 of 1,244 (0 s)" in captured.err.splitlines()
    assert captured.err.splitlines()[-1].startswith("TRAIN MODEL m: training 3 of 20, loss 0.5")


def test_a_long_statement_has_a_short_title() -> None:
    assert progress.title_of("-- why\nSELECT  1,\n 2") == "SELECT 1, 2"
    assert len(progress.title_of("SELECT " + "x, " * 100)) == 48
