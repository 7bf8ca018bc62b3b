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
_CLAUSES = ("FEATURES", "LABEL", "TARGET", "USING", "BACKBONE", "VALIDATE", "TUNE", "COMMENT", "OPTIONS", "PROPERTIES")

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


def call_of_another_system(sql: str) -> SqlExtError | None:
    """The part of :func:`near_miss` that looks for :data:`INSIDE` alone."""
    return _ml_function(TokenReader(sql))


def _error(offset: int, problem: str, write: str) -> SqlExtError:
    return SqlExtError("SYNTAX_ERROR", problem=f"{problem} Write: {write}", offset=offset)


def _write(start: str, reader: TokenReader, generic: str) -> str:
    """``start`` with the rest of the text, where that is a statement of ours; else ``generic`` with the name that comes next."""
    return _meant(start, reader) or generic.format(name=_name(reader))


def _meant(start: str, reader: TokenReader) -> str:
    """``start`` with the rest of the text, '' where that is no statement of ours."""
    text = _text(start, reader.sql[reader.offset :])
    return text if _is_ours(text) else ""


def _text(*parts: str) -> str:
    return " ".join(" ".join(parts).split()).rstrip("; ")


def _is_ours(sql: str) -> bool:
    from sqlext.routing import route
    from sqlext.statements import parse_statement

    routed = route(sql)
    try:
        return routed is not None and len(sql) <= 160 and parse_statement(routed.sql) is not None
    except SqlExtError:
        return False


# --- verbs of ours --------------------------------------------------------------------------------------------------


def _train(reader: TokenReader) -> SqlExtError | None:
    reader.take("TRAIN")
    reader.take("OR", "REPLACE")
    return _without_model(reader, "TRAIN", _TRAIN)


def _evaluate(reader: TokenReader) -> SqlExtError | None:
    reader.take("EVALUATE")
    return _without_model(reader, "EVALUATE", "EVALUATE MODEL {name}")


def _without_model(reader: TokenReader, verb: str, generic: str) -> SqlExtError:
    """MODEL is missing (TRAIN m FROM t), or another word stands in its place (TRAIN MODLE m, TRAIN TABLE m)."""
    offset, before = reader.offset, reader.sql[: reader.offset]
    word = reader.word() or ""
    added = _text(before, "MODEL", reader.sql[offset:])
    if not _is_misspelt(word) and (_is_ours(added) or not _is_followed_by_a_name(reader)):
        problem = f"{verb} needs the word MODEL."
    else:
        problem = f"There is no {verb} {word}: did you mean {verb} MODEL?"
        reader.skip()
        added = _text(before, "MODEL", reader.sql[reader.offset :])
    with_label = _text(added, "LABEL column")
    meant = next((text for text in (added, with_label) if _is_ours(text)), None)
    return _error(offset, problem, meant or generic.format(name=_name(reader)))


def _is_misspelt(word: str) -> bool:
    return difflib.SequenceMatcher(None, word.upper(), "MODEL").ratio() >= 0.7


def _is_followed_by_a_name(reader: TokenReader) -> bool:
    """Whether the word that comes next is one for MODEL: the name stands behind it."""
    following = reader.peek(1)
    return following is not None and following.text.upper() not in {".", ",", ";", "FROM", *_CLAUSES}


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
    reader.take_any("MODEL", "MODELS")
    problem = "There is no RETRAIN: TRAIN MODEL without FROM trains a model again, as it was trained before."
    return _error(offset, problem, _write("TRAIN MODEL", reader, "TRAIN MODEL {name}"))


def _cancel(reader: TokenReader) -> SqlExtError:
    reader.take("CANCEL")
    offset = reader.offset
    reader.take_any("TRAINING", "RUN", "MODEL")
    problem = "CANCEL ends a training by its run_id, which SHOW TRAINING RUNS lists."
    return _error(offset, problem, _write("CANCEL TRAINING", reader, "CANCEL TRAINING 'run_id'"))


# --- verbs that Spark has, too --------------------------------------------------------------------------------------


def _show(reader: TokenReader) -> SqlExtError | None:
    offset, between = _between(reader, "SHOW")
    if reader.take("MODELS"):
        return _error(offset, f"There is no SHOW {between} MODELS.", _write("SHOW MODELS", reader, "SHOW MODELS"))
    if reader.take("VERSIONS"):
        return _error(offset, "Versions are those of a model.", _versions(reader))
    if not reader.take("MODEL"):
        return None
    wanted = (reader.word() or "").upper()
    for word, write in _SHOWN.items():
        if wanted in (word, word + "S"):
            problem = f"There is no SHOW MODEL {reader.skip()}."
            reader.take_any("IN", "FROM", "OF", "FOR")
            return _error(offset, problem, _write(write, reader, write + " {name}"))
    if wanted in ("", "IN", "FROM", "LIKE", "ALL"):
        reader.take("ALL")
        return _error(offset, "SHOW MODELS lists models.", _write("SHOW MODELS", reader, "SHOW MODELS"))
    write = _write("DESCRIBE MODEL", reader, "DESCRIBE MODEL {name}")
    return _error(offset, "SHOW MODELS lists models; one is described.", write)


_SHOWN = {
    "VERSION": "SHOW MODEL VERSIONS",
    "HISTORY": "SHOW TRAINING HISTORY MODEL",
    "TRAINING": "SHOW TRAINING HISTORY MODEL",
    "RUN": "SHOW TRAINING RUNS FOR MODEL",
}


def _create(reader: TokenReader) -> SqlExtError | None:
    offset, between = _between(reader, "CREATE")
    if reader.take("VERSIONS"):
        problem = "A training makes a version: TRAIN MODEL of a model that is there, as it was trained before."
        return _error(offset, problem, f"TRAIN MODEL {_of_model(reader)}")
    if reader.take_any("MODEL", "MODELS"):
        problem = f"There is no CREATE {_text(between, reader.last_word)}."
        start = _text("CREATE", "OR REPLACE" * ("OR REPLACE" in between), "MODEL", _kept("IF NOT EXISTS", between))
        write = _meant(start, reader)
        reader.take("IF", "NOT", "EXISTS")
        return _error(offset, problem, write or f"CREATE MODEL {_name(reader)} LABEL column AS SELECT ..")
    return None


def _alter(reader: TokenReader) -> SqlExtError | None:
    from sqlext.statements.alter_model import FORMS

    offset, between = _between(reader, "ALTER")
    if reader.take("VERSIONS"):
        problem = f"Versions are changed through their model: ALTER MODEL name and one of {FORMS}."
        return SqlExtError("SYNTAX_ERROR", problem=problem, offset=offset)
    if reader.take_any("MODEL", "MODELS"):
        problem = f"There is no ALTER {_text(between, reader.last_word)}."
        write = _meant(_text("ALTER MODEL", _kept("IF EXISTS", between)), reader)
        if write:
            return _error(offset, problem, write)
        exists = _text(_kept("IF EXISTS", between), "IF EXISTS" * reader.take("IF", "EXISTS"))
        proposal = f"Write ALTER MODEL {_text(exists, _name(reader))} and one of {FORMS}."
        return SqlExtError("SYNTAX_ERROR", problem=f"{problem} {proposal}", offset=offset)
    return None


def _drop(reader: TokenReader) -> SqlExtError | None:
    offset, between = _between(reader, "DROP")
    if reader.take("VERSIONS"):
        numbers = _numbers(reader)
        problem = "Versions are dropped one by one, or purged (ALTER MODEL name PURGE KEEP n VERSIONS)."
        return _error(offset, problem, f"ALTER MODEL {_of_model(reader)} DROP VERSION {numbers[0] if numbers else 'n'}")
    if reader.take_any("MODEL", "MODELS"):
        problem = f"There is no DROP {_text(between, reader.last_word)}."
        start = _text("DROP MODEL", _kept("IF EXISTS", between))
        write = _meant(start, reader)
        start += " IF EXISTS" * reader.take("IF", "EXISTS")
        return _error(offset, problem, write or f"{start} {_name(reader)}")
    return None


def _numbers(reader: TokenReader) -> list[str]:
    """Those of a list that comes next."""
    numbers = []
    while (token := reader.peek()) is not None and (token.text.isdigit() or token.text == ","):
        numbers += [token.text] * (reader.skip() != ",")
    return numbers


def _describe(reader: TokenReader) -> SqlExtError | None:
    offset, between = _between(reader, "DESCRIBE", "DESC")
    if reader.take("VERSIONS"):
        return _error(offset, "Versions are shown.", _versions(reader))
    if reader.take_any("MODEL", "MODELS"):
        start = "DESCRIBE MODEL" + " EXTENDED" * bool({"EXTENDED", "FORMATTED"} & set(between.split()))
        return _error(offset, "DESCRIBE MODEL describes one model.", _write(start, reader, start + " {name}"))
    return None


def _explain(reader: TokenReader) -> SqlExtError | None:
    offset, between = _between(reader, "EXPLAIN")
    if reader.take("VERSIONS"):
        return _error(offset, "EXPLAIN shows what a statement would do; versions are shown.", _versions(reader))
    if reader.take_any("MODEL", "MODELS"):
        problem = "EXPLAIN shows what a statement would do; DESCRIBE MODEL EXTENDED shows what a model is."
        start = "DESCRIBE MODEL EXTENDED"
        return _error(offset, problem, _write(start, reader, start + " {name}"))
    if not between.startswith("NOT") and reader.word() and (reader.at("TRAIN") or reader.at("EVALUATE")):
        return _train(reader) if reader.at("TRAIN") else _evaluate(reader)
    return None


def _kept(words: str, between: str) -> str:
    """Words that stand elsewhere in the statement that was meant."""
    return words if words in between else ""


def _versions(reader: TokenReader) -> str:
    return f"SHOW MODEL VERSIONS {_of_model(reader)}"


def _of_model(reader: TokenReader) -> str:
    """The name in `IN MODEL m`, `OF m` or `m`."""
    reader.take_any("IN", "FROM", "OF", "FOR")
    reader.take("MODEL")
    return _name(reader)


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
