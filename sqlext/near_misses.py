"""What Spark has rejected and was probably meant for us: an error with the statement to write instead.

The shim asks only for texts that Spark's parser refused and that begin with one of :data:`FIRST_WORDS` or hold one of
:data:`INSIDE`; whatever :func:`near_miss` does not know stays Spark's error.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from sqlext.errors import SqlExtError
from sqlext.tokens import TokenReader

# May stand between the verb and MODEL in other systems, or in the wrong order.
_BETWEEN = {
    *("OR", "REPLACE", "TEMPORARY", "TEMP", "GLOBAL", "IF", "NOT", "EXISTS", "ALL", "EXTENDED", "FORMATTED"),
    *("REGISTERED", "REMOTE", "EXTERNAL"),
}
_TRAIN = "TRAIN MODEL {name} FROM table LABEL column"

# BigQuery ML's functions over a model -> what to write here.
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
    """The error to show instead of Spark's for ``sql``, with its offset, or None."""
    try:
        reader = TokenReader(sql)
    except SqlExtError:
        return None
    first = reader.peek()
    rule = _RULES.get(first.text.upper()) if first is not None and reader.at(first.text.upper()) else None
    return (rule(reader) if rule else None) or _ml_function(reader)


def _error(offset: int, problem: str, write: str) -> SqlExtError:
    return SqlExtError("SYNTAX_ERROR", problem=f"{problem} Write: {write}", offset=offset)


# --- verbs of ours --------------------------------------------------------------------------------------------------


def _train(reader: TokenReader) -> SqlExtError | None:
    reader.take("TRAIN")
    reader.take("OR", "REPLACE")
    return _without_model(reader, "TRAIN", _TRAIN)


def _evaluate(reader: TokenReader) -> SqlExtError | None:
    reader.take("EVALUATE")
    return _without_model(reader, "EVALUATE", "EVALUATE MODEL {name}")


def _without_model(reader: TokenReader, verb: str, write: str) -> SqlExtError:
    offset, word = reader.offset, reader.word()
    misspelt = word if word and difflib.SequenceMatcher(None, word.upper(), "MODEL").ratio() >= 0.7 else ""
    if misspelt:
        reader.skip()
    meant = f"{reader.sql[:offset].rstrip()} MODEL {reader.sql[offset + len(misspelt) :].lstrip()}".strip()
    generic = write.format(name=_name(reader))
    problem = f"There is no {verb} {word}: did you mean {verb} MODEL?" if misspelt else f"{verb} needs the word MODEL."
    return _error(offset, problem, " ".join(meant.split()) if _is_ours(meant) else generic)


def _is_ours(sql: str) -> bool:
    from sqlext.routing import route
    from sqlext.statements import parse_statement

    routed = route(sql)
    try:
        return routed is not None and len(sql) <= 160 and parse_statement(routed.sql) is not None
    except SqlExtError:
        return False


def _predict(reader: TokenReader) -> SqlExtError:
    offset = reader.offset
    reader.take("PREDICT")
    reader.take_any("USING", "FROM")
    reader.take("MODEL")
    problem = "PREDICT is no statement: predictions are made by functions in a query."
    return _error(offset, problem, f"SELECT predict('{_name(reader)}', column) FROM table")


def _retrain(reader: TokenReader) -> SqlExtError:
    offset = reader.offset
    reader.take("RETRAIN")
    reader.take("MODEL")
    problem = "There is no RETRAIN: TRAIN MODEL without FROM trains a model again, as it was trained before."
    return _error(offset, problem, f"TRAIN MODEL {_name(reader)}")


def _cancel(reader: TokenReader) -> SqlExtError:
    reader.take("CANCEL")
    problem = "CANCEL ends a training by its run_id, which SHOW TRAINING RUNS lists."
    return _error(reader.offset, problem, "CANCEL TRAINING 'run_id'")


# --- verbs that Spark has, too --------------------------------------------------------------------------------------


def _show(reader: TokenReader) -> SqlExtError | None:
    offset, between = _between(reader, "SHOW")
    if reader.take("MODELS"):
        return _error(offset, f"There is no SHOW {between} MODELS.", "SHOW MODELS")
    if reader.take("VERSIONS"):
        reader.take_any("IN", "FROM", "OF", "FOR")
        reader.take("MODEL")
        return _error(offset, "Versions are those of a model.", f"SHOW MODEL VERSIONS {_name(reader)}")
    if not reader.take("MODEL"):
        return None
    wanted = reader.word()
    for word, write in _SHOWN.items():
        if wanted and wanted.upper() in (word, word + "S"):
            reader.skip()
            reader.take_any("IN", "FROM", "OF", "FOR")
            return _error(offset, f"There is no SHOW MODEL {wanted}.", write.format(name=_name(reader)))
    if wanted is None or wanted.upper() in ("IN", "FROM", "LIKE", "ALL"):
        return _error(offset, "SHOW MODELS lists models.", "SHOW MODELS")
    return _error(offset, "SHOW MODELS lists models; one is described.", f"DESCRIBE MODEL {_name(reader)}")


_SHOWN = {
    "VERSION": "SHOW MODEL VERSIONS {name}",
    "HISTORY": "SHOW TRAINING HISTORY MODEL {name}",
    "TRAINING": "SHOW TRAINING HISTORY MODEL {name}",
    "RUN": "SHOW TRAINING RUNS FOR MODEL {name}",
}


def _create(reader: TokenReader) -> SqlExtError | None:
    offset, between = _between(reader, "CREATE")
    if reader.take_any("MODEL", "MODELS"):
        problem = f"There is no CREATE {between + ' ' if between else ''}{reader.last_word}."
        reader.take("IF", "NOT", "EXISTS")
        return _error(offset, problem, f"CREATE MODEL {_name(reader)} LABEL column AS SELECT ..")
    return None


def _alter(reader: TokenReader) -> SqlExtError | None:
    offset, between = _between(reader, "ALTER")
    if reader.take_any("MODEL", "MODELS"):
        problem = f"There is no ALTER {between + ' ' if between else ''}{reader.last_word}."
        exists = "IF EXISTS " * (reader.take("IF", "EXISTS") or "EXISTS" in between)
        return _error(offset, problem, f"ALTER MODEL {exists}{_name(reader)} SET DEFAULT VERSION 1")
    return None


def _drop(reader: TokenReader) -> SqlExtError | None:
    offset, between = _between(reader, "DROP")
    if reader.take("VERSIONS"):
        return _error(offset, "Versions are dropped one by one, or purged.", "PURGE MODELS KEEP 3 VERSIONS")
    if reader.take_any("MODEL", "MODELS"):
        problem = f"There is no DROP {between + ' ' if between else ''}{reader.last_word}."
        exists = "IF EXISTS " * (reader.take("IF", "EXISTS") or "EXISTS" in between)
        return _error(offset, problem, f"DROP MODEL {exists}{_name(reader)}")
    return None


def _describe(reader: TokenReader) -> SqlExtError | None:
    offset, between = _between(reader, "DESCRIBE", "DESC")
    extended = "EXTENDED " * bool({"EXTENDED", "FORMATTED"} & set(between.split()))
    if reader.take("VERSIONS"):
        reader.take_any("IN", "FROM", "OF", "FOR")
        reader.take("MODEL")
        return _error(offset, "Versions are shown.", f"SHOW MODEL VERSIONS {_name(reader)}")
    if reader.take_any("MODEL", "MODELS"):
        return _error(offset, "DESCRIBE MODEL describes one model.", f"DESCRIBE MODEL {extended}{_name(reader)}")
    return None


def _explain(reader: TokenReader) -> SqlExtError | None:
    offset, between = _between(reader, "EXPLAIN")
    if reader.take_any("MODEL", "MODELS"):
        problem = "EXPLAIN shows what a statement would do; DESCRIBE MODEL EXTENDED shows what a model is."
        return _error(offset, problem, f"DESCRIBE MODEL EXTENDED {_name(reader)}")
    if not between.startswith("NOT") and reader.word() and (reader.at("TRAIN") or reader.at("EVALUATE")):
        return _train(reader) if reader.at("TRAIN") else _evaluate(reader)
    return None


def _between(reader: TokenReader, *verbs: str) -> tuple[int, str]:
    """Takes the verb and what may stand behind it; where that begins, and its words."""
    reader.take_any(*verbs)
    offset, words = reader.offset, list[str]()
    while reader.at_any(_BETWEEN):
        words.append(reader.skip().upper())
    return offset, " ".join(words)


def _grant(reader: TokenReader) -> SqlExtError | None:
    verb = reader.skip().lower()
    while not reader.done and not reader.at("ON", "MODEL"):
        reader.skip()
    if not reader.take("ON"):
        return None
    offset = reader.offset
    reader.take("MODEL")
    problem = (
        f"Rights on a model are those on the table of its name: {verb} on table {_name(reader)}, where tables are "
        "granted here (Spark itself knows no GRANT)."
    )
    return SqlExtError("SYNTAX_ERROR", problem=problem, offset=offset)


def _ml_function(reader: TokenReader) -> SqlExtError | None:
    """``ML.name(MODEL m, ..)`` of BigQuery ML, anywhere."""
    reader.restart()
    while not reader.done and not (reader.at("ML", ".") and _is_call_with_model(reader)):
        reader.skip()
    if reader.done:
        return None
    offset = reader.offset
    reader.take("ML", ".")
    function = reader.skip().upper()
    reader.take("(", "MODEL")
    write = _ML.get(function, _ML["PREDICT"]).format(name=_name(reader))
    return _error(offset, f"There is no ML.{function}.", write)


def _is_call_with_model(reader: TokenReader) -> bool:
    texts = [token.text.upper() if token else "" for token in map(reader.peek, range(3, 6))]
    return texts[:2] == ["(", "MODEL"] and texts[2] not in ("", ",", ")", ".")


def _name(reader: TokenReader) -> str:
    """The name that comes next, as the user wrote it, or one to put it into."""
    try:
        return str(reader.name("a model name"))
    except SqlExtError:
        return "name"


_RULES: dict[str, Callable[[TokenReader], SqlExtError | None]] = {
    "TRAIN": _train,
    "EVALUATE": _evaluate,
    "PREDICT": _predict,
    "RETRAIN": _retrain,
    "CANCEL": _cancel,
    "SHOW": _show,
    "CREATE": _create,
    "ALTER": _alter,
    "DROP": _drop,
    "DESCRIBE": _describe,
    "DESC": _describe,
    "EXPLAIN": _explain,
    "GRANT": _grant,
    "REVOKE": _grant,
}
FIRST_WORDS = tuple(_RULES)
INSIDE = ("ML",)
