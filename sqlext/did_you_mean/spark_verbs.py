"""Near misses of verbs that Spark also has: SHOW, CREATE, ALTER, DROP, DESCRIBE, GRANT and REVOKE before our words."""

from __future__ import annotations

import difflib

from sqlext.did_you_mean.meant import between_words, error, meant_text, model_name, one_line, write_instead
from sqlext.errors import SqlExtError
from sqlext.grammar.reader import TokenReader
from sqlext.statements.alter_model import ALTERATION_FORMS


def show(reader: TokenReader) -> SqlExtError | None:
    offset, between = between_words(reader, "SHOW")
    if reader.take("MODELS"):
        return error(offset, f"There is no SHOW {between} MODELS.", write_instead("SHOW MODELS", reader, "SHOW MODELS"))
    if reader.take("VERSIONS"):
        return error(offset, "Versions belong to a model.", versions(reader))
    if not reader.take("MODEL"):
        return None
    wanted = (reader.word() or "").upper()
    for word, write in _SHOWN.items():
        if wanted in (word, word + "S") or _is_misspelt(reader, word):
            problem = f"There is no SHOW MODEL {reader.skip()}."
            reader.take_any("IN", "FROM", "OF", "FOR")
            return error(offset, problem, write_instead(write, reader, write + " {name}"))
    if wanted in ("", "IN", "FROM", "LIKE", "ALL"):
        reader.take("ALL")
        return error(offset, "SHOW MODELS lists models.", write_instead("SHOW MODELS", reader, "SHOW MODELS"))
    write = write_instead("DESCRIBE MODEL", reader, "DESCRIBE MODEL {name}")
    return error(offset, "SHOW MODELS lists models; DESCRIBE MODEL shows one.", write)


def _is_misspelt(reader: TokenReader, word: str) -> bool:
    """Whether the next word is a misspelt ``word``, as in VERSONS m; without a name after it, it is the model's name."""
    following = reader.peek(1)
    if following is None or following.text in (".", ";"):
        return False
    return difflib.SequenceMatcher(None, (reader.word() or "").upper(), word + "S").ratio() >= 0.8


_SHOWN = {
    "VERSION": "SHOW MODEL VERSIONS",
    "HISTORY": "SHOW TRAINING HISTORY MODEL",
    "TRAINING": "SHOW TRAINING HISTORY MODEL",
    "RUN": "SHOW TRAINING RUNS FOR MODEL",
}


def create(reader: TokenReader) -> SqlExtError | None:
    offset, between = between_words(reader, "CREATE")
    if reader.take("VERSIONS"):
        problem = "Training creates versions; TRAIN MODEL without FROM repeats the training of a model."
        return error(offset, problem, f"TRAIN MODEL {_of_model(reader)}")
    if reader.take_any("MODEL", "MODELS"):
        problem = f"There is no CREATE {one_line(between, reader.last_word)}."
        start = one_line("CREATE", _if_in("OR REPLACE", between), "MODEL", _if_in("IF NOT EXISTS", between))
        write = meant_text(start, reader)
        reader.take("IF", "NOT", "EXISTS")
        return error(offset, problem, write or f"CREATE MODEL {model_name(reader)} LABEL column AS SELECT ..")
    return None


def alter(reader: TokenReader) -> SqlExtError | None:
    offset, between = between_words(reader, "ALTER")
    if reader.take("VERSIONS"):
        problem = f"Versions are changed through their model: ALTER MODEL name and one of {ALTERATION_FORMS}."
        return SqlExtError("SYNTAX_ERROR", problem=problem, offset=offset)
    if reader.take_any("MODEL", "MODELS"):
        problem = f"There is no ALTER {one_line(between, reader.last_word)}."
        write = meant_text(one_line("ALTER MODEL", _if_in("IF EXISTS", between)), reader)
        if write:
            return error(offset, problem, write)
        exists = one_line(_if_in("IF EXISTS", between), "IF EXISTS" * reader.take("IF", "EXISTS"))
        proposal = f"Write ALTER MODEL {one_line(exists, model_name(reader))} and one of {ALTERATION_FORMS}."
        return SqlExtError("SYNTAX_ERROR", problem=f"{problem} {proposal}", offset=offset)
    return None


def drop(reader: TokenReader) -> SqlExtError | None:
    offset, between = between_words(reader, "DROP")
    if reader.take("VERSIONS"):
        numbers = _numbers(reader)
        problem = "Versions are dropped one by one, or purged (ALTER MODEL name PURGE KEEP n VERSIONS)."
        return error(offset, problem, f"ALTER MODEL {_of_model(reader)} DROP VERSION {numbers[0] if numbers else 'n'}")
    if reader.take_any("MODEL", "MODELS"):
        problem = f"There is no DROP {one_line(between, reader.last_word)}."
        start = one_line("DROP MODEL", _if_in("IF EXISTS", between))
        write = meant_text(start, reader)
        start += " IF EXISTS" * reader.take("IF", "EXISTS")
        return error(offset, problem, write or f"{start} {model_name(reader)}")
    return None


def _numbers(reader: TokenReader) -> list[str]:
    """The numbers of the comma-separated list that comes next."""
    numbers = []
    while (token := reader.peek()) is not None and (token.text.isdigit() or token.text == ","):
        numbers += [token.text] * (reader.skip() != ",")
    return numbers


def describe(reader: TokenReader) -> SqlExtError | None:
    offset, between = between_words(reader, "DESCRIBE", "DESC")
    if reader.take("VERSIONS"):
        return error(offset, "SHOW lists versions.", versions(reader))
    if reader.take_any("MODEL", "MODELS"):
        start = "DESCRIBE MODEL" + " EXTENDED" * bool({"EXTENDED", "FORMATTED"} & set(between.split()))
        return error(offset, "DESCRIBE MODEL describes one model.", write_instead(start, reader, start + " {name}"))
    return None


def _if_in(words: str, between: str) -> str:
    """``words`` if the user wrote them before MODEL; the statement that was meant may have them in another place."""
    return words if words in between else ""


def versions(reader: TokenReader) -> str:
    return f"SHOW MODEL VERSIONS {_of_model(reader)}"


def _of_model(reader: TokenReader) -> str:
    """The name in `IN MODEL m`, `OF m` or `m`."""
    reader.take_any("IN", "FROM", "OF", "FOR")
    reader.take("MODEL")
    return model_name(reader)


def grant(reader: TokenReader) -> SqlExtError | None:
    verb = reader.skip().lower()
    while not reader.done and not reader.at("ON", "MODEL"):
        reader.skip()
    if not reader.take("ON"):
        return None
    offset = reader.offset
    reader.take("MODEL")
    problem = (
        f"Rights on a model are rights on the table with its name: {verb} on table {model_name(reader)} with the tool "
        "that manages rights on tables (Spark itself has no GRANT)."
    )
    return SqlExtError("SYNTAX_ERROR", problem=problem, offset=offset)
