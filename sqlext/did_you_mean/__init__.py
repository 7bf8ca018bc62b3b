"""For a text that Spark rejected and that was probably meant for us: an error with the statement to write instead.

The shim asks only about texts that Spark's parser refused and that begin with one of :data:`FIRST_WORDS`, or contain one of
:data:`INSIDE` or a character that Spark's lexer does not know. If :func:`near_miss` does not recognise a text, Spark's error is raised.
"""

from __future__ import annotations

from sqlext.did_you_mean.meant import between_words, by_rule, error, is_ours, model_name, one_line, similar
from sqlext.did_you_mean.rules import FUNCTIONS, RULES
from sqlext.errors import SqlExtError, error_in
from sqlext.grammar.pasted import misprint
from sqlext.grammar.reader import TokenReader

_OURS = {"TRAIN": "TRAIN MODEL {name} FROM table LABEL column", "EVALUATE": "EVALUATE MODEL {name}"}
FIRST_WORDS = (*_OURS, *RULES, "GRANT", "REVOKE")
INSIDE = ("ML",)
_CLAUSES = ("FEATURES", "LABEL", "TARGET", "USING", "BACKBONE", "VALIDATE", "TUNE", "COMMENT", "OPTIONS", "PROPERTIES")


def near_miss(sql: str) -> SqlExtError | None:
    """The error to raise for ``sql`` in place of Spark's, with its offset, or None."""
    if (found := misprint(sql)) is not None:
        return found
    try:
        reader = TokenReader(sql)
    except SqlExtError:
        return None
    verb = (reader.word() or "").upper()
    return by_rule(reader, verb) or _without_model(reader) or _right(reader) or _ml_function(reader)


def refuse(sql: str) -> None:
    """Called by the shim for what Spark's parser has rejected.

    :raises SqlExtError: SYNTAX_ERROR with the statement to write instead, where there is one.
    """
    missed = near_miss(sql)
    if missed is not None:
        with error_in(sql):
            raise missed


def call_of_another_system(sql: str) -> SqlExtError | None:
    """The part of :func:`near_miss` that looks only for :data:`INSIDE`."""
    return _ml_function(TokenReader(sql))


# --- TRAIN and EVALUATE without MODEL -------------------------------------------------------------------------------


def _without_model(reader: TokenReader) -> SqlExtError | None:
    """MODEL is missing (TRAIN m FROM t), or another word is in its place (TRAIN MODLE m, TRAIN TABLE m).

    The text may begin with EXPLAIN.
    """
    reader.restart()
    if reader.take("EXPLAIN"):
        between_words(reader)
    verb = next((verb for verb in _OURS if reader.take(verb)), None)
    if verb is None:
        return None
    reader.take("OR", "REPLACE")
    offset, before, word = reader.offset, reader.sql[: reader.offset], reader.word() or ""
    added = one_line(before, "MODEL", reader.sql[offset:])
    if not similar(word, "MODEL", 0.7) and (is_ours(added) or not _is_followed_by_a_name(reader)):
        problem = f"{verb} needs the word MODEL."
    else:
        problem = f"There is no {verb} {word}: did you mean {verb} MODEL?"
        reader.skip()
        added = one_line(before, "MODEL", reader.sql[reader.offset :])
    meant = next((text for text in (added, one_line(added, "LABEL column")) if is_ours(text)), None)
    return error(offset, problem, f"Write: {meant or _OURS[verb].format(name=model_name(reader))}")


def _is_followed_by_a_name(reader: TokenReader) -> bool:
    """Whether the next word is in the place of MODEL: a name follows it."""
    following = reader.peek(1)
    return following is not None and following.text.upper() not in {".", ",", ";", "FROM", *_CLAUSES}


# --- GRANT and REVOKE -----------------------------------------------------------------------------------------------


def _right(reader: TokenReader) -> SqlExtError | None:
    """GRANT or REVOKE .. ON MODEL."""
    reader.restart()
    if not reader.at_any({"GRANT", "REVOKE"}):
        return None
    verb = reader.skip().lower()
    while not reader.done and not reader.at("ON", "MODEL"):
        reader.skip()
    if not reader.take("ON"):
        return None
    offset = reader.offset
    reader.take("MODEL")
    problem = "Rights on a model are rights on the table with its name:"
    tool = "with the tool that manages rights on tables (Spark itself has no GRANT)."
    return error(offset, problem, f"{verb} on table {model_name(reader)} {tool}")


# --- anywhere ------------------------------------------------------------------------------------------------------


def _ml_function(reader: TokenReader) -> SqlExtError | None:
    """Finds BigQuery ML's ``ML.name(MODEL m, ..)`` anywhere in the text."""
    reader.restart()
    while not reader.done and not (reader.at("ML", ".") and _is_call_with_model(reader)):
        reader.skip()
    if reader.done:
        return None
    offset = reader.offset
    reader.take("ML", ".")
    function = reader.skip().upper()
    reader.take("(", "MODEL")
    write = FUNCTIONS.get(function, FUNCTIONS["PREDICT"]).format(name=model_name(reader))
    return error(offset, f"There is no ML.{function}.", f"Write: {write}")


def _is_call_with_model(reader: TokenReader) -> bool:
    texts = [token.text.upper() if token else "" for token in map(reader.peek, range(3, 6))]
    return texts[:2] == ["(", "MODEL"] and texts[2] not in ("", ",", ")", ".")
