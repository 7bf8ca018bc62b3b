"""Divides text into strings, names in backticks, comments, semicolons and the rest, by the rules of Spark's lexer.

It recognises only the tokens in which any character may stand (SqlBaseLexer.g4: STRING, DOUBLEQUOTED_STRING,
BACKQUOTED_IDENTIFIER, SIMPLE_COMMENT, BRACKETED_COMMENT). So it also divides text that no parser accepts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# One that is not closed extends to the end of the text. A backslash before the line's end continues a comment.
_PIECES = re.compile(
    r"""
      (?P<raw>      \b[rR](?: '[^']*('|\Z) | "[^"]*("|\Z) ) )
    | (?P<string>   '(?:[^'\\]|\\.)*('|\Z) | "(?:[^"\\]|\\.)*("|\Z) )
    | (?P<name>     `(?:[^`]|``)*(`|\Z) )
    | (?P<comment>  --(?:\\\n|[^\r\n])* )
    | (?P<bracket>  /\* )
    | (?P<end>      ; )
    | (?P<other>    \w+ | [^\s;] )
    """,
    re.VERBOSE | re.DOTALL,
)
_BRACKETS = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Piece:
    """``kind`` is raw or string (a string), name (in backticks), comment, end (a semicolon) or other (a word, or one character).

    ``open``: a string, a name or a bracketed comment that is not closed.
    """

    kind: str
    start: int
    end: int
    open: bool = False


def pieces(text: str) -> Iterator[Piece]:
    """The pieces of ``text`` in order; white space between them is not a piece."""
    position = 0
    while match := _PIECES.search(text, position):
        # Only the end of the text matches as an empty end of a string or name.
        kind, position, is_open = str(match.lastgroup), match.end(), "" in match.groups()
        if kind == "bracket":
            kind, (position, is_open) = "comment", _comment_end(text, match.end())
        yield Piece(kind, match.start(), position, is_open)


def _comment_end(text: str, position: int) -> tuple[int, bool]:
    """The end of a bracketed comment, which can contain nested ones, and whether it is still open."""
    depth = 1
    for match in _BRACKETS.finditer(text, position):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end(), False
    return len(text), True
