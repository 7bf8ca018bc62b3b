"""Hypothesis strategies for statements of our language and of Spark's."""

from __future__ import annotations

from hypothesis import strategies as st

WORDS = ("m", "model", "label", "from", "options", "Version", "train", "by", "`a b`", "`c``d`", "_x1")
name = st.sampled_from(WORDS)
qualified = st.lists(name, min_size=1, max_size=2).map(".".join)
text = st.text("ab'\\\n\";-/*ü ", max_size=6).map(lambda s: "'" + s.replace("\\", "\\\\").replace("'", "\\'") + "'")
source = qualified | st.sampled_from(
    ("(SELECT a, label FROM t WHERE b = ')')", "(WITH q AS (SELECT 1 AS a) SELECT a FROM q)")
)
reference = st.builds("{}{}".format, qualified, st.sampled_from(("", " VERSION 2", " ALIAS prod")))
option = (
    st.sampled_from(("epochs = 3", "epochs 3", "'epochs' '3'", "EPOCHS = 3")),
    st.sampled_from(("seed = 1", "seed 1")),
)
options = st.tuples(*option).flatmap(st.permutations).map(lambda o: f"OPTIONS ({', '.join(o)})")
split = st.lists(st.sampled_from(("STRATIFIED", "SEED 7", "TEST 0.1", "GROUP by")), unique=True).map(" ".join)
validation = (
    split.map(lambda s: f"SPLIT 0.2 {s}") | st.just("NONE") | source.map("FROM {}".format) | name.map("BY {}".format)
)
optional = (
    st.lists(name, min_size=1, max_size=3, unique=True).map(lambda c: f"FEATURES ({', '.join(c)})"),
    reference.map("BACKBONE {}".format),
    validation.map("VALIDATE {}".format),
    text.map("COMMENT {}".format),
    options,
    st.just("USING mlp"),
)


@st.composite
def trainings(draw: st.DrawFn) -> tuple[str, str]:
    """The same TRAIN MODEL twice; the second has another order of clauses, other white space, lower case and comments."""
    clauses = [f"FROM {draw(source)}", f"LABEL {draw(name)}"]
    clauses += [draw(clause) for clause in optional if draw(st.booleans())]
    verb = draw(st.sampled_from(("TRAIN MODEL", "TRAIN OR REPLACE MODEL", "TRAIN MODEL IF NOT EXISTS")))
    model = draw(qualified)
    other = draw(st.permutations(clauses))
    return f"{verb} {model} {' '.join(clauses)}", f"-- c\n{verb.lower()}\n{model} /* /* */ */ {'  '.join(other)} ;"


others = st.one_of(
    st.builds("EVALUATE MODEL {} FROM {} LABEL {}".format, reference, source, name),
    st.builds("SHOW MODELS IN {} LIKE {}".format, name, text),
    st.builds("DESCRIBE MODEL EXTENDED {}".format, reference),
    st.builds("DROP MODEL IF EXISTS {} VERSION 3".format, qualified),
    st.builds("COMMENT ON MODEL {} IS {}".format, qualified, text),
    st.builds("ALTER MODEL {} SET ALIAS {} = 2".format, qualified, name),
    st.builds("PURGE MODELS IN {} KEEP 3 VERSIONS DRY RUN".format, name),
)

NATIVE = (
    "SELECT {0}, {1} FROM {2}",
    "(SELECT {0} FROM {1})",
    "WITH {0} AS (SELECT 1) SELECT * FROM {0}",
    "SHOW TABLES IN {0}",
    "SHOW CREATE TABLE {0}",
    "DESCRIBE TABLE {0}",
    "DESC EXTENDED {0}",
    "DROP TABLE IF EXISTS {0}",
    "ALTER TABLE {0} RENAME TO {1}",
    "CREATE TABLE {0} ({1} INT)",
    "COMMENT ON TABLE {0} IS 'SHOW MODELS'",
    "INSERT INTO {0} SELECT 'TRAIN MODEL m'",
    "EXPLAIN SELECT {0} FROM {1}",
    "USE {0}",
    "SET {0} = {1}",
    "VALUES ({0})",
)
