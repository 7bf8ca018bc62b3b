"""The sqlglot dialect: every accepted statement makes the round trip, tools find names in the tree, errors have positions."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import sqlglot
import sqlglot.parser
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from sqlext.errors import SqlExtError
from sqlext.routing import route
from tests.support.fixtures import accepted, errors

ACCEPTED = accepted()

if not str(sqlglot.parser.__file__).endswith(".py"):  # the compiled extra: `make test-sqlglot`
    with pytest.raises(SqlExtError, match="pip uninstall sqlglotc"):
        importlib.import_module("sqlext.dialect")
    pytest.skip("sqlglot is compiled", allow_module_level=True)

from sqlext.dialect import SqlExtStatement  # noqa: E402


def parse(sql: str) -> exp.Expression:
    return sqlglot.parse_one(sql, dialect="bigdl")


@pytest.mark.parametrize(("sql", "same"), ACCEPTED, ids=[sql[:60] for sql, _ in ACCEPTED])
def test_accepted_statements_make_the_round_trip(sql: str, same: str) -> None:
    tree = parse(sql)
    printed = tree.sql(dialect="bigdl")
    assert parse(printed) == tree == parse(same), printed
    assert parse(tree.sql(dialect="bigdl", pretty=True)) == tree
    assert isinstance(tree, SqlExtStatement) == (route(sql) is not None and sql != "DESCRIBE MODEL")


def test_there_are_enough_statements() -> None:
    assert len({sql for sql, _ in ACCEPTED}) == len(ACCEPTED) >= 200


def test_canonical_text() -> None:
    tree = parse(
        "train model `shop`.flowers options (seed 1, 'EPOCHS' 25) -- c\n label `the label` from 'shop.t' features x"
    )
    assert tree.sql(dialect="bigdl") == (
        "TRAIN MODEL shop.flowers FROM shop.t FEATURES (x) LABEL `the label` OPTIONS (epochs = 25, seed = 1)"
    )


def test_tables_models_and_columns_are_found() -> None:
    sql = (
        "TRAIN MODEL shop.flowers FROM (SELECT i.image, s.name AS species FROM shop.images i JOIN shop.species s ON i.k = s.k) "
        "FEATURES (image) LABEL species BACKBONE models.resnet50 VERSION 2 VALIDATE FROM shop.holdout"
    )
    tree = parse(sql)
    assert tree.this == "TRAIN MODEL"
    tables = {table.sql("bigdl").partition(" AS ")[0] for table in tree.find_all(exp.Table)}
    assert tables == {"shop.flowers", "shop.images", "shop.species", "models.resnet50", "shop.holdout"}
    assert {"image", "species"} <= {column.name for column in tree.find_all(exp.Column)}
    renamed = tree.transform(lambda node: exp.to_table("lake.images") if node == exp.to_table("shop.holdout") else node)
    assert renamed.sql(dialect="bigdl").endswith("VALIDATE FROM lake.images")


def test_the_example_in_the_docs_runs() -> None:
    page = Path(__file__).parents[2] / "docs" / "sql_tools.md"
    example = re.search(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert example is not None
    assert "assert" in example[1]
    exec(compile(example[1], page, "exec"), {})


def test_lineage_of_a_source_query() -> None:
    from sqlglot.lineage import lineage

    query = parse("TRAIN MODEL m FROM (SELECT a + b AS x, y FROM t) TARGET y").find(exp.Subquery)
    assert query is not None
    node = lineage("x", query.this, schema={"t": {"a": "int", "b": "int", "y": "int"}}, dialect="bigdl")
    assert {leaf.name for leaf in node.walk()} == {"x", "t.a", "t.b"}


def test_scripts() -> None:
    script = "-- nightly\nTRAIN MODEL m OPTIONS (promote = 'if_better');\nSELECT ';' FROM t; SHOW MODELS LIKE ';' ; "
    trees = sqlglot.parse(script, dialect="bigdl")
    assert [isinstance(tree, SqlExtStatement) for tree in trees if tree] == [True, False, True]
    assert sqlglot.transpile(script, read="bigdl", write="bigdl")[2] == "SHOW MODELS LIKE ';'"


@pytest.mark.parametrize(
    "sql",
    [
        "DESCRIBE TABLE model",
        "DESCRIBE TABLE model c",
        "DESCRIBE TABLE EXTENDED model c",
        "DESCRIBE TABLE FORMATTED shop.model PARTITION(version = 1)",
        "DESCRIBE EXTENDED model `a b`",
        "DESCRIBE `model` c",
        "DESCRIBE t a.b",
        "DESCRIBE DATABASE model",
        "DESCRIBE FUNCTION model",
        "DESCRIBE SELECT 1 AS a",
        "DESCRIBE EXTENDED models.ml",
    ],
)
def test_describe_of_spark_is_not_ours(sql: str) -> None:
    tree = parse(sql)
    assert tree.sql(dialect="bigdl") == sql
    assert route(sql) is None
    assert parse(sql.replace("DESCRIBE", "desc")) == tree


@pytest.mark.parametrize(
    ("sql", "line", "col", "says"),
    [
        ("SELECT 1;\nTRAIN MODEL m FROM t\n LABEL x OPTIONS (epoch = 3)", 3, 19, "Did you mean epochs?"),
        ("SHOW MODELS IN", 1, 15, "Expected a database"),
        ("EXPLAIN TRAIN MODEL m FROM t", 1, 29, "LABEL"),
    ],
)
def test_errors_are_parse_errors_with_our_message(sql: str, line: int, col: int, says: str) -> None:
    with pytest.raises(ParseError, match=says) as caught:
        parse(sql) if ";" not in sql else sqlglot.parse(sql, dialect="bigdl")
    error = caught.value.errors[0]
    assert (error["line"], error["col"]) == (line, col)


def test_statements_that_the_shim_refuses_are_not_opaque_commands() -> None:
    refused = [bad for bad in errors() if not bad.needs_session and " " in bad.sql]  # a single word can be a column
    accepted_ones = [bad for bad in refused if _parses(bad.sql)]
    # These belong to the grammar although no release supports them yet, so the dialect reads and prints them.
    assert {bad.error_class for bad in accepted_ones} == {"FEATURE_NOT_AVAILABLE"}
    assert all(parse(bad.sql).sql("bigdl").startswith(bad.sql[:12]) for bad in accepted_ones)
    assert not _parses("SELECT 1; DROP MODELS m")
    tree = parse("TRAIN MODEL m FROM t LABEL y USING cnn BACKBONE b FREEZE UNTIL 'layer4' OPTIONS (precision = 'int8')")
    assert parse(tree.sql("bigdl")) == tree
    assert "FREEZE UNTIL 'layer4'" in tree.sql("bigdl")


def _parses(sql: str) -> bool:
    try:
        return bool(sqlglot.parse(sql, dialect="bigdl"))
    except SqlglotError:
        return False


@pytest.mark.parametrize(
    "sql", ["train AS x", "list AS x", "reset = 3", "train.model", "table.x > 1", "predict('m', x)", "reset"]
)
def test_words_of_statements_are_columns_in_expressions(sql: str) -> None:
    assert parse(sql).sql("bigdl").lower() == sql.lower()
    assert not isinstance(parse(sql), exp.Command)


def test_spark_statements_that_sqlglot_would_change_stay_as_written() -> None:
    for sql in ("RESET x", "TABLE t", "CLEAR CACHE", "LIST JAR", "ALTER TABLE t CHANGE COLUMN a a BIGINT COMMENT 'x'"):
        assert parse(sql).sql("bigdl") == sql
        assert parse(f"-- why\n{sql}").sql("bigdl") == f"/* why */ {sql}"


def test_a_query_inside_that_does_not_parse_points_into_the_statement() -> None:
    with pytest.raises(ParseError) as caught:
        parse("TRAIN MODEL m\nFROM (SELECT FROM WHERE) LABEL x")
    assert caught.value.errors[0]["line"] == 2
