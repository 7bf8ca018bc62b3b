"""Characters that come with text from web pages, documents and chats: other spaces, and typographic quotes and dashes."""
# ruff: noqa: RUF001 - these characters are the subject of this file

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from sqlext.errors import SqlExtError
from sqlext.grammar.pieces import Piece, pieces

# Invisible characters that Unicode does not count as white space: soft hyphen, zero-width spaces and joiners, marks of
# direction, byte-order mark. Those that change the order of the text are not among them: they can hide what it says.
ZERO_WIDTH = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
# All that can need a closer look: almost no text has any of these, so that it costs one search.
_ODD = re.compile(r"[^\x20-\x7e\t\r\n]")
# What people mean by a character that Unicode does not regard as a form of the ASCII one.
_MEANT = {
    **dict.fromkeys("‘’‚‛′´ʼ‹›", "'"),
    **dict.fromkeys("“”„‟″«»", "'"),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("、，", ","),
    **dict.fromkeys("×∗", "*"),
    **dict.fromkeys("≤⩽", "<="),
    **dict.fromkeys("≥⩾", ">="),
    "≠": "<>",
    "。": ".",
}


def is_space(character: str) -> bool:
    """Whether a character separates words where people see only white space."""
    return character.isspace() or character in ZERO_WIDTH


def plain_spaces(sql: str) -> str:
    """``sql`` with a blank for each space that Spark's lexer does not know, outside strings, names and comments.

    Spark refuses a text with such a space (Scala: PastedText).
    """
    characters = list(sql)
    for at in _odd(sql, pieces(sql)) if _ODD.search(sql) else ():
        if is_space(sql[at]):
            characters[at] = " "
    return "".join(characters)


def misprint(sql: str) -> SqlExtError | None:
    """The error of the first typographic quote, dash or other sign outside strings, names and comments, or None.

    Also one in a string that is not closed, which may have been meant to close it.
    """
    if sql.isascii():
        return None
    found = list(pieces(sql))
    for at in (*_odd(sql, found), *_in_open_string(sql, found)):
        if meant := _MEANT.get(sql[at]) or _ascii_form(sql[at]):
            sign = f"'{sql[at]}' (U+{ord(sql[at]):04X}, {unicodedata.name(sql[at], 'unnamed')})"
            return SqlExtError(
                "SYNTAX_ERROR", problem=f"{sign} has no meaning in SQL; write {meant} instead.", offset=at
            )
    return None


def _ascii_form(character: str) -> str:
    """The ASCII sign of which Unicode regards a character as another form, such as a full-width parenthesis, or ''."""
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 and plain.isascii() and plain.isprintable() and not plain.isalnum() else ""


def _odd(sql: str, found: Iterable[Piece]) -> list[int]:
    """The places of characters other than ASCII text, outside strings, names and comments."""
    return [at for at in _outside(sql, found) if _ODD.match(sql[at])]


def _in_open_string(sql: str, found: list[Piece]) -> list[int]:
    """The places of typographic quotes in a string that is not closed."""
    if not found or not found[-1].open or found[-1].kind == "comment":
        return []
    return [at for at in range(found[-1].start, len(sql)) if _MEANT.get(sql[at]) == "'"]


def _outside(sql: str, found: Iterable[Piece]) -> Iterator[int]:
    """The places in ``sql`` that are outside strings, names and comments."""
    position = 0
    for piece in found:
        yield from range(position, piece.start)
        if piece.kind in ("other", "end"):
            yield from range(piece.start, piece.end)
        position = piece.end
    yield from range(position, len(sql))
