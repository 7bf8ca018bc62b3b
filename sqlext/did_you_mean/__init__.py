"""For a text that Spark rejected and that was probably meant for us: an error with the statement to write instead.

The shim asks only about texts that Spark's parser refused and that begin with one of :data:`FIRST_WORDS` or contain one of
:data:`INSIDE`. If :func:`near_miss` does not recognise a text, Spark's error is raised.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from sqlext.did_you_mean import spark_verbs as verbs
from sqlext.did_you_mean.meant import between_words, error, is_ours, model_name, one_line, write_instead
from sqlext.errors import SqlExtError, error_in
from sqlext.grammar.reader import TokenReader

_TRAIN = "TRAIN MODEL {name} FROM table LABEL column"
_CLAUSES = ("FEATURES", "LABEL", "TARGET", "USING", "BACKBONE", "VALIDATE", "TUNE", "COMMENT", "OPTIONS", "PROPERTIES")

# BigQuery ML's functions of a model -> the statement to write instead.
_ML = {
    "PREDICT": "SELECT predict('{name}', column) FROM table",
    "TRANSFORM": "SELECT predict('{name}', column) FROM table",
    "GENERATE_EMBEDDING": "SELECT embed('{name}', image) FROM table",
    "GENERATE_TEXT_EMBEDDING": "SELECT embed('{name}', image) FROM table",
    "EVALUATE": "EVALUATE MODEL {name} FROM table",
    "CONFUSION_MATRIX": "EVALUATE MODEL {name} FROM table CONFUSION MATRIX",
    "ROC_CURVE": "EVALUATE MODEL {name} FROM table",
    "TRAINING_INFO": "SHOW TRAINING HISTORY MODEL {name}",
    "TRIAL_INFO": "SHOW TRAINING RUNS FOR MODEL {name}",
    "FEATURE_INFO": "DESCRIBE MODEL EXTENDED {name}",
    "WEIGHTS": "DESCRIBE MODEL EXTENDED {name}",
}


def near_miss(sql: str) -> SqlExtError | None:
    """The error to raise for ``sql`` in place of Spark's, with its offset, or None."""
    try:
        reader = TokenReader(sql)
    except SqlExtError:
        return None
    first = reader.peek()
    rule = _RULES.get(first.text.upper()) if first is not None and reader.at(first.text.upper()) else None
    return (rule(reader) if rule else None) or _ml_function(reader)


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


# --- our verbs ------------------------------------------------------------------------------------------------------


def _train(reader: TokenReader) -> SqlExtError | None:
    reader.take("TRAIN")
    reader.take("OR", "REPLACE")
    return _without_model(reader, "TRAIN", _TRAIN)


def _evaluate(reader: TokenReader) -> SqlExtError | None:
    reader.take("EVALUATE")
    return _without_model(reader, "EVALUATE", "EVALUATE MODEL {name}")


def _without_model(reader: TokenReader, verb: str, generic: str) -> SqlExtError:
    """MODEL is missing (TRAIN m FROM t), or another word is in its place (TRAIN MODLE m, TRAIN TABLE m)."""
    offset, before = reader.offset, reader.sql[: reader.offset]
    word = reader.word() or ""
    added = one_line(before, "MODEL", reader.sql[offset:])
    if not _is_misspelt(word) and (is_ours(added) or not _is_followed_by_a_name(reader)):
        problem = f"{verb} needs the word MODEL."
    else:
        problem = f"There is no {verb} {word}: did you mean {verb} MODEL?"
        reader.skip()
        added = one_line(before, "MODEL", reader.sql[reader.offset :])
    with_label = one_line(added, "LABEL column")
    meant = next((text for text in (added, with_label) if is_ours(text)), None)
    return error(offset, problem, meant or generic.format(name=model_name(reader)))


def _is_misspelt(word: str) -> bool:
    return difflib.SequenceMatcher(None, word.upper(), "MODEL").ratio() >= 0.7


def _is_followed_by_a_name(reader: TokenReader) -> bool:
    """Whether the next word is in the place of MODEL: a name follows it."""
    following = reader.peek(1)
    return following is not None and following.text.upper() not in {".", ",", ";", "FROM", *_CLAUSES}


def _predict(reader: TokenReader) -> SqlExtError:
    offset = reader.offset
    reader.take("PREDICT")
    reader.take_any("USING", "FROM")
    reader.take("MODEL")
    problem = "PREDICT is not a statement; to predict, call a function in a query."
    return error(offset, problem, f"SELECT predict('{model_name(reader)}', column) FROM table")


def _retrain(reader: TokenReader) -> SqlExtError:
    offset = reader.offset
    reader.take("RETRAIN")
    reader.take_any("MODEL", "MODELS")
    problem = "There is no RETRAIN; TRAIN MODEL without FROM repeats the training of a model."
    return error(offset, problem, write_instead("TRAIN MODEL", reader, "TRAIN MODEL {name}"))


def _cancel(reader: TokenReader) -> SqlExtError:
    reader.take("CANCEL")
    offset = reader.offset
    reader.take_any("TRAINING", "RUN", "MODEL")
    problem = "CANCEL ends a training by its run_id; SHOW TRAINING RUNS lists them."
    return error(offset, problem, write_instead("CANCEL TRAINING", reader, "CANCEL TRAINING 'run_id'"))


def _explain(reader: TokenReader) -> SqlExtError | None:
    offset, between = between_words(reader, "EXPLAIN")
    if reader.take("VERSIONS"):
        return error(offset, "EXPLAIN shows what a statement would do; SHOW lists versions.", verbs.versions(reader))
    if reader.take_any("MODEL", "MODELS"):
        problem = "EXPLAIN shows what a statement would do; DESCRIBE MODEL EXTENDED shows what a model is."
        start = "DESCRIBE MODEL EXTENDED"
        return error(offset, problem, write_instead(start, reader, start + " {name}"))
    if not between.startswith("NOT") and reader.word() and (reader.at("TRAIN") or reader.at("EVALUATE")):
        return _train(reader) if reader.at("TRAIN") else _evaluate(reader)
    return None


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
    write = _ML.get(function, _ML["PREDICT"]).format(name=model_name(reader))
    return error(offset, f"There is no ML.{function}.", write)


def _is_call_with_model(reader: TokenReader) -> bool:
    texts = [token.text.upper() if token else "" for token in map(reader.peek, range(3, 6))]
    return texts[:2] == ["(", "MODEL"] and texts[2] not in ("", ",", ")", ".")


_RULES: dict[str, Callable[[TokenReader], SqlExtError | None]] = {
    "TRAIN": _train,
    "EVALUATE": _evaluate,
    "PREDICT": _predict,
    "RETRAIN": _retrain,
    "CANCEL": _cancel,
    "SHOW": verbs.show,
    "CREATE": verbs.create,
    "ALTER": verbs.alter,
    "DROP": verbs.drop,
    "DESCRIBE": verbs.describe,
    "DESC": verbs.describe,
    "EXPLAIN": _explain,
    "GRANT": verbs.grant,
    "REVOKE": verbs.grant,
}
FIRST_WORDS = tuple(_RULES)
INSIDE = ("ML",)
