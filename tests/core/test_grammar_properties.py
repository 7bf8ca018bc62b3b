"""Properties of the grammar: generated statements make the round trip, Spark's own are never taken from it."""

from __future__ import annotations

import sqlglot
import sqlglot.parser
from hypothesis import given, settings
from hypothesis import strategies as st

from sqlext.routing import route
from tests.support.generated import NATIVE, name, others, trainings

COMPILED = not str(sqlglot.parser.__file__).endswith(".py")
DETERMINISTIC = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@DETERMINISTIC
@given(trainings())
def test_trainings_make_the_round_trip_in_any_order(pair: tuple[str, str]) -> None:
    if COMPILED:
        return
    import sqlext.dialect  # noqa: F401  # sqlglot before 28.10 does not find it by itself

    one, other = (sqlglot.parse_one(sql, dialect="bigdl") for sql in pair)
    other.pop_comments()
    assert one == other == sqlglot.parse_one(one.sql(dialect="bigdl"), dialect="bigdl")


@DETERMINISTIC
@given(others)
def test_other_statements_make_the_round_trip(sql: str) -> None:
    if COMPILED:
        return
    import sqlext.dialect  # noqa: F401

    tree = sqlglot.parse_one(sql, dialect="bigdl")
    assert sqlglot.parse_one(tree.sql(dialect="bigdl"), dialect="bigdl") == tree


SPACE = (" ", "\n", " /* SHOW MODELS */ ", " -- TRAIN MODEL m\n", "\t/* a /* nested */ ; */ ")


@DETERMINISTIC
@given(st.sampled_from(NATIVE), st.tuples(name, name, name), st.sampled_from(SPACE), st.booleans())
def test_sparks_statements_stay_sparks(template: str, names: tuple[str, str, str], space: str, lower: bool) -> None:
    sql = template.format(*names).replace(" ", space) if "'" not in template else template.format(*names)
    assert route(space + (sql.lower() if lower else sql) + ";") is None
