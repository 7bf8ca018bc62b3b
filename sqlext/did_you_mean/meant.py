"""What a rejected statement was probably meant to be: the text to write instead, and the error that shows it."""

from __future__ import annotations

from sqlext.errors import SqlExtError
from sqlext.grammar.reader import TokenReader
from sqlext.routing import route
from sqlext.statements import parse_statement

# Words that other systems allow between the verb and MODEL, or that users write in the wrong order.
_BETWEEN = {
    *("OR", "REPLACE", "TEMPORARY", "TEMP", "GLOBAL", "IF", "NOT", "EXISTS", "ALL", "EXTENDED", "FORMATTED"),
    *("REGISTERED", "REMOTE", "EXTERNAL"),
}


def error(offset: int, problem: str, write: str) -> SqlExtError:
    return SqlExtError("SYNTAX_ERROR", problem=f"{problem} Write: {write}", offset=offset)


def write_instead(start: str, reader: TokenReader, generic: str) -> str:
    """``start`` with the rest of the text if that is one of our statements, otherwise ``generic`` with the next name."""
    return meant_text(start, reader) or generic.format(name=model_name(reader))


def meant_text(start: str, reader: TokenReader) -> str:
    """``start`` with the rest of the text, or '' if that is not one of our statements."""
    text = one_line(start, reader.sql[reader.offset :])
    return text if is_ours(text) else ""


def one_line(*parts: str) -> str:
    return " ".join(" ".join(parts).split()).rstrip("; ")


def is_ours(sql: str) -> bool:
    routed = route(sql)
    try:
        return routed is not None and len(sql) <= 160 and parse_statement(routed.sql) is not None
    except SqlExtError:
        return False


def between_words(reader: TokenReader, *verbs: str) -> tuple[int, str]:
    """Takes the verb and the words that may follow it; returns the offset of these words and the words."""
    reader.take_any(*verbs)
    offset, words = reader.offset, list[str]()
    while reader.at_any(_BETWEEN):
        words.append(reader.skip().upper())
    return offset, " ".join(words)


def model_name(reader: TokenReader) -> str:
    """The name that comes next as the user wrote it, or the placeholder ``name``."""
    try:
        return str(reader.name("a model name"))
    except SqlExtError:
        return "name"
