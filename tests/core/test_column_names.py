"""Columns with dots, spaces, quotes, accents and other case: every clause finds them, and messages quote them as SQL does."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pytest
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Row, SparkSession

from sqlext.errors import SqlExtError, nearest
from sqlext.grammar.notes import Name, Part
from sqlext.grammar.reader import TokenReader
from sqlext.routing import route
from sqlext.sources import recorded_name
from sqlext.statements import parse_statement, read_statement
from sqlext.text import identifier, quote_if_needed
from tests.support.fixtures import accepted
from tests.support.results import one

ODD = ("PM2.5", "c d", "x\"y'z", "f(x), -1", "größe", "end ", "a`b", "true")
LABEL, GROUP, SIDE, NUMBER, ANSWER = "la.bel", "g r.oup", "si`de", "nu.mber", "an.swer"
PLAIN = tuple(f"f{i}" for i in range(len(ODD)))
FEATURES = ", ".join(map(identifier, ODD))
LAST = "OPTIONS (epochs = 3, learning_rate = 0.3)"


def columns(features: tuple[str, ...], label: str, group: str, side: str, number: str) -> str:
    """The SELECT list of 60 rows, whose values do not depend on the names."""
    values = [
        *(f"double((id * {i + 3}) % 17) AS {identifier(name)}" for i, name in enumerate(features)),
        f"if(id % 17 > 8, 'a', 'b') AS {identifier(label)}",
        f"int(id % 20) AS {identifier(group)}",
        f"id % 4 = 0 AS {identifier(side)}",
        f"double(id % 17) AS {identifier(number)}",
    ]
    return ", ".join(values)


@pytest.fixture(scope="module")
def names(spark: SparkSession) -> Iterator[SparkSession]:
    """Database `names` with the views `odd` and `plain` of the same values."""
    spark.sql("CREATE DATABASE names")
    spark.sql("USE names")
    for view, of in (("odd", (ODD, LABEL, GROUP, SIDE, NUMBER)), ("plain", (PLAIN, "y", "g", "s", "n"))):
        spark.sql(f"CREATE TEMPORARY VIEW {view} AS SELECT {columns(*of)} FROM range(0, 60, 1, 1)")
    yield spark
    for view in ("odd", "plain"):
        spark.catalog.dropTempView(view)
    spark.sql("USE default")
    spark.sql("DROP DATABASE names CASCADE")


def figures(row: Row) -> tuple[object, ...]:
    return row.rows_trained, row.rows_validated, row.rows_skipped, row.metric_value, row.baseline_value


CREATED = "CREATE MODEL {model} FEATURES ({features}) LABEL {label} VALIDATE BY {side} {last} AS SELECT * FROM {source}"
TRAINED = "TRAIN MODEL {model} FROM {source} "
TRAININGS = {
    "created": CREATED,
    "grouped": TRAINED + "FEATURES ({features}) LABEL {label} VALIDATE SPLIT 0.2 TEST 0.2 GROUP {group} {last}",
    "number": TRAINED + "FEATURES ({features}) TARGET {number} VALIDATE FROM {source} {last}",
    "tuned": TRAINED + "LABEL {label} TUNE (learning_rate IN (0.1, 0.3)) {last}",
}
NAMES = {
    "odd": {"features": FEATURES, "label": identifier(LABEL), "group": identifier(GROUP), "side": identifier(SIDE),
            "number": identifier(NUMBER)},
    "plain": {"features": ", ".join(PLAIN), "label": "y", "group": "g", "side": "s", "number": "n"},
}  # fmt: skip
EVALUATION = (
    f"EVALUATE MODEL m_odd VERSION 1 FROM (SELECT *, `{LABEL}` AS `{ANSWER}` FROM odd) LABEL {identifier(ANSWER)}"
)


def statement(name: str, source: str) -> str:
    return TRAININGS[name].format(model=f"{name}_{source}", source=source, last=LAST, **NAMES[source])


# One training has all the clauses that name columns in a split; `make test-slow` runs the others.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "grouped" else pytest.mark.slow) for name in TRAININGS]
)
def test_training_gives_the_same_as_with_plain_names(names: SparkSession, name: str) -> None:
    rows = [one(names, statement(name, source)) for source in ("odd", "plain")]
    assert figures(rows[0]) == figures(rows[1])
    evaluated = [one(names, f"EVALUATE MODEL {name}_{source} FROM {source}").asDict() for source in ("odd", "plain")]
    assert evaluated[0]["rows_evaluated"] == 60
    named = [key for key, value in evaluated[0].items() if value != evaluated[1][key]]
    assert set(named) <= {"model", "source", "evaluated_at"}


def test_everything_else_with_a_trained_version(names: SparkSession) -> None:
    wanted = one(names, f"TRAIN MODEL m_plain FROM plain FEATURES ({', '.join(PLAIN)}) LABEL y {LAST}")
    trained = one(names, f"TRAIN MODEL m_odd FROM odd FEATURES ({FEATURES}) LABEL `{LABEL}` {LAST}")
    assert figures(trained) == figures(wanted)
    created = one(names, "SHOW CREATE MODEL m_odd")[0]
    assert f"FEATURES ({', '.join(map(quote_if_needed, ODD))})" in created
    assert f"LABEL `{LABEL}`" in created
    again = one(names, created)
    better = one(names, "TRAIN MODEL m_odd OPTIONS (promote = 'if_better', epochs = 1)")
    other = one(names, f"TRAIN MODEL m_odd FROM odd FEATURES (`c d`) LABEL `{LABEL}` OPTIONS (promote = 'if_better')")
    assert figures(again) == figures(trained)
    assert all("cannot be scored" not in (row.message or "") for row in (better, other))
    scores = {
        f"score({source}, {call[:6]})": [
            row.s for row in names.sql(f"SELECT classify_score_of('{model}', 'a', {call}) s FROM {source}").collect()
        ]
        for model, source, call in (
            ("m_odd@1", "odd", FEATURES),
            ("m_odd@1", "odd", f"struct({FEATURES}, 1 AS more)"),
            ("m_plain", "plain", ", ".join(PLAIN)),
        )
    }
    assert len(set(map(tuple, scores.values()))) == 1
    assert one(names, EVALUATION).rows_evaluated == 60
    described = names.sql("DESCRIBE MODEL m_odd VERSION 1").collect()
    assert set(map(quote_if_needed, ODD)) <= {row[0] for row in described}
    assert "`PM2.5`" in names.sql("EXPLAIN TRAIN MODEL m_odd").collect()[0][0]
    broken = f"(SELECT * FROM odd UNION ALL SELECT {', '.join('NULL' for _ in ODD)}, 'a', 1, true, 1)"
    message = one(names, f"TRAIN MODEL m_odd FROM {broken} FEATURES ({FEATURES}) LABEL `{LABEL}` {LAST}").message
    listed = message[message.index("SELECT") :].split("; ")[0]
    assert names.sql(listed).count() == 1, listed


def test_names_that_differ_in_case(names: SparkSession) -> None:
    names.conf.set("spark.sql.caseSensitive", "true")
    try:
        names.sql("CREATE TEMPORARY VIEW cased AS SELECT f0 AS x, 16 - f0 AS X, y, f1 AS Z FROM plain")
        train = "TRAIN MODEL cased FROM cased FEATURES ({}) LABEL y VALIDATE NONE " + LAST
        assert one(names, train.format("x, X, Z")).rows_trained == 60
        assert one(names, train.format("X")).rows_trained == 60
        assert one(names, "EVALUATE MODEL cased FROM cased").rows_evaluated == 60
        apart = names.sql(
            "SELECT classify_score_of('cased', 'a', X) AS a, classify_score_of('cased', 'a', x) AS b FROM cased"
        )
        assert apart.where("a <> b").count() > 0
        with pytest.raises(AnalysisException, match="Column PM is not in cased"):
            names.sql(train.format("PM"))
    finally:
        names.conf.unset("spark.sql.caseSensitive")
    with pytest.raises(AnalysisException, match=r"\[AMBIGUOUS_COLUMN\] Column x is ambiguous: cased has x and X"):
        names.sql(train.format("x"))
    names.catalog.dropTempView("cased")


@pytest.mark.parametrize("value", ["TRUE", pytest.param("True", marks=pytest.mark.slow)])
def test_case_sensitivity_that_is_set_in_capitals(names: SparkSession, value: str) -> None:
    names.conf.set("spark.sql.caseSensitive", value)
    try:
        names.sql("CREATE TEMPORARY VIEW capitals AS SELECT f0 AS x, 16 - f0 AS X, y FROM plain")
        row = one(names, f"TRAIN MODEL capitals FROM capitals TARGET x VALIDATE NONE {LAST}")
        assert "features: X (left out: y)" in row.message
    finally:
        names.catalog.dropTempView("capitals")
        names.conf.unset("spark.sql.caseSensitive")


def test_a_column_with_a_dot_beside_a_field_of_a_struct(names: SparkSession) -> None:
    source = "(SELECT named_struct('c', f0, 'a.b', f1) AS s, f2 AS `s.c`, y FROM plain)"
    both = one(names, f"TRAIN MODEL nested FROM {source} FEATURES (s.c, `s.c`, s.`a.b`) LABEL y {LAST}")
    alone = one(names, f"TRAIN MODEL nested_alone FROM {source} FEATURES (s.c) LABEL y {LAST}")
    control = one(names, f"TRAIN MODEL unnested FROM plain FEATURES (f0, f2, f1) LABEL y {LAST}")
    assert figures(both) == figures(control)
    assert "left out: `s.c`" in alone.message
    with pytest.raises(AnalysisException, match=r"A name with a dot is written in back-ticks: s\.`a\.b`\."):
        names.sql(f"TRAIN MODEL wrong FROM {source} FEATURES (s.a.b) LABEL y")


def test_names_that_an_older_version_recorded(names: SparkSession) -> None:
    frame = names.sql("SELECT f0 AS `PM2.5`, f1 AS `s.c`, named_struct('c', f2) AS s FROM plain")
    assert recorded_name(frame, "PM2.5", 0).parts == ("PM2.5",)
    assert recorded_name(frame, "`PM2.5`", 0).parts == ("PM2.5",)
    assert recorded_name(frame, "s.c", 0).parts == ("s", "c")  # what FEATURES (s.c) has always recorded
    assert recorded_name(frame, "`s.c`", 0).parts == ("s.c",)


def test_columns_of_the_same_name_beside_a_type_that_is_cast(names: SparkSession) -> None:
    source = "(SELECT p.f0, p.y, q.y, p.f1 AS z, make_ym_interval(1) AS i FROM plain p JOIN plain q ON p.f0 = q.f0)"
    with pytest.raises(AnalysisException, match=r"\[AMBIGUOUS_COLUMN\] Column y is ambiguous: .* has y twice"):
        names.sql(f"TRAIN MODEL twice FROM {source} FEATURES (f0) LABEL y")
    assert one(names, f"TRAIN MODEL twice FROM {source} FEATURES (f0) TARGET z {LAST}").rows_trained > 0


@pytest.mark.parametrize("more", ["", pytest.param(", make_ym_interval(1) AS i", marks=pytest.mark.slow)])
def test_a_name_with_its_table_is_the_name_without_it(names: SparkSession, more: str) -> None:
    names.sql(f"CREATE OR REPLACE TEMPORARY VIEW tab AS SELECT f0, f1, n{more} FROM plain")
    wanted = one(names, f"TRAIN MODEL without_table FROM tab TARGET n {LAST}")
    trained = one(names, f"TRAIN MODEL with_table FROM tab TARGET tab.n {LAST}")
    assert "features: f0, f1" in trained.message
    assert figures(trained) == figures(wanted)
    assert one(names, "EVALUATE MODEL with_table FROM plain").rows_evaluated == 60
    for clauses, says in (
        ("FEATURES (n) TARGET tab.n", "Column n cannot be used as FEATURES: it is the column that"),
        ("FEATURES (f0, tab.F0) TARGET n", "Column F0 cannot be used as FEATURES: FEATURES names it twice"),
    ):
        with pytest.raises(AnalysisException, match=says):
            names.sql(f"TRAIN MODEL wrong FROM tab {clauses}")
    names.catalog.dropTempView("tab")


@pytest.mark.parametrize("word", ["true", "NULL", "case", "distinct", "all", "select", "interval", "date", "end"])
def test_words_that_spark_reads_as_a_column(names: SparkSession, word: str) -> None:
    written = quote_if_needed(word)
    row = names.sql(f"SELECT {written}, ({written} IS NULL), double({written}) FROM (SELECT 7 AS `{word}`)").first()
    assert row is not None
    assert tuple(row) == (7, False, 7.0)


@pytest.mark.parametrize(
    ("clauses", "says"),
    [
        ("FEATURES (PM2.5) LABEL y", "PM2.5 is not a name; a name with a dot is written in back-ticks: `PM2.5`."),
        ("FEATURES (f0) LABEL la.bel", "Column la.bel is not in odd. A name with a dot is written in back-ticks: `la.bel`."),
        ("FEATURES ('PM2.5') LABEL `la.bel`", "Column PM2.`5` is not in odd. A name with a dot is written in back-ticks: `PM2.5`."),
        ("FEATURES (`c  d`) LABEL `la.bel`", "Column `c  d` is not in odd. Did you mean `c d`?"),
        ("FEATURES (`la.bel`) LABEL `la.bel`", "Column `la.bel` cannot be used as FEATURES: it is the column that"),
        ("FEATURES (`c d`, `C D`) LABEL `la.bel`", "Column `C D` cannot be used as FEATURES: FEATURES names it twice"),
        ("FEATURES (`c d`) LABEL `la.bel` VALIDATE BY `c d`", "Column `c d` cannot be used in VALIDATE BY: it is double"),
        ("FEATURES (`c d`) TARGET `la.bel`", "Column `la.bel` cannot be used as TARGET: it is string, not a number; use LABEL `la.bel`"),
    ],
)  # fmt: skip
def test_errors_quote_names(names: SparkSession, clauses: str, says: str) -> None:
    with pytest.raises((AnalysisException, ParseException)) as caught:
        names.sql(f"TRAIN MODEL wrong FROM odd {clauses}")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "parts", [("a",), ("s", "a"), ("PM2.5",), ("s", "a.b"), ("a`b", "c d"), ("größe",), ("not",), (" ",)]
)
def test_a_recorded_name_is_read_back(parts: tuple[str, ...]) -> None:
    assert Name.recorded(str(Name(parts, 0)), 0).parts == parts


def test_names_that_were_recorded_without_quotes() -> None:
    assert Name.recorded("c d", 0).parts == ("c d",)
    assert Name.recorded("a`b", 0).parts == ("a`b",)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("PM2.5", "`PM2.5`"),
        ("s.PM2.5", "s.`PM2.5`"),
        ("x1.5e3", "`x1.5e3`"),
        ("v1.0.2", "`v1.0.2`"),
        ("x.1.mean", "`x.1.mean`"),
        ("PM2.5.avg", "`PM2.5.avg`"),
    ],
)
def test_digits_after_a_dot(name: str, written: str) -> None:
    for sql in (f"TRAIN MODEL m FROM t FEATURES (a, {name}) LABEL y", f"EVALUATE MODEL m FROM t LABEL {name}"):
        with pytest.raises(SqlExtError) as caught:
            parse_statement(sql)
        problem = f"{name} is not a name; a name with a dot is written in back-ticks: {written}."
        assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("literal", "parts"),
    [("'`PM2.5`'", ("PM2.5",)), ("'s.`a b`'", ("s", "a b")), ("'c d'", ("c d",)), ("'a`b'", ("a`b",))],
)
def test_a_name_in_a_string(literal: str, parts: tuple[str, ...]) -> None:
    assert [part.value.parts for _, _, part in columns_of(f"EVALUATE MODEL m FROM t LABEL {literal}")] == [parts]


def columns_of(sql: str) -> list[tuple[str, str, Part]]:
    """(statement, word before it, part) of each column or list of columns that a statement names."""
    routed = route(sql)
    if routed is None or routed.is_bare:  # a statement of Spark's
        return []
    reader, found = TokenReader(routed.sql), []
    name = read_statement(reader).NAME
    for group in reader.parts():
        word = ""
        for part in group:
            word = part.value if part.kind == "word" else word
            if part.kind == "columns" or part.what == "a column":
                found.append((name, word, part))
    return found


def test_every_clause_that_names_columns_is_driven_here() -> None:
    """A clause or statement that is added to the grammar, and to accepted.sql, needs a training or a query above."""
    driven = [EVALUATION, *(statement(name, "odd") for name in TRAININGS)]
    used, known = ([c for sql in texts for c in columns_of(sql)] for texts in (driven, [sql for sql, _ in accepted()]))
    assert {word for _, word, _ in known} == {word for _, word, _ in used}
    assert {name for name, _, _ in known} == {name for name, _, _ in used}


@pytest.mark.parametrize("name", ["é", "größe", "naïveté"])
def test_accents_that_are_characters_of_their_own(name: str) -> None:
    apart = unicodedata.normalize("NFD", name)
    for given, known in ((name, apart), (apart, name)):
        hint = nearest(identifier(given), [identifier(known), "id"])
        assert hint.startswith(
            f"Did you mean {identifier(known)}? It looks the same, but its accents are encoded differently"
        )
    assert nearest("groesse", ["grosse"]) == "Did you mean grosse?"


def test_a_column_called_all_is_quoted() -> None:
    assert quote_if_needed("ALL") == "`ALL`"
