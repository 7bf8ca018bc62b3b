"""Splits a script into statements at semicolons outside strings, names and comments, by the rules of Spark's lexer.

It recognises only the tokens that can contain a semicolon (SqlBaseLexer.g4: STRING, BACKQUOTED_IDENTIFIER, SIMPLE_COMMENT,
BRACKETED_COMMENT). So it also splits text that no parser accepts, and Spark reports the error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# The alternatives before `end` can contain a semicolon; one that is not closed extends to the end of the text.
# A backslash before the line's end continues a comment, as in Spark's lexer.
_PIECES = re.compile(
    r"""
      (?P<raw>      \b[rR](?: '[^']*('|\Z) | "[^"]*("|\Z) ) )
    | (?P<string>   '(?:[^'\\]|\\.)*('|\Z) | "(?:[^"\\]|\\.)*("|\Z) )
    | (?P<name>     `(?:[^`]|``)*(`|\Z) )
    | (?P<line>     --(?:\\\n|[^\r\n])* )
    | (?P<bracket>  /\* )
    | (?P<end>      ; )
    | (?P<word>     [^\s;] )
    """,
    re.VERBOSE | re.DOTALL,
)
_BRACKETS = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Statement:
    """One statement, without its semicolon; ``line`` (from 1) is where it starts in the script."""

    text: str
    line: int


def split(script: str) -> list[Statement]:
    """The statements of ``script`` in order. The last one needs no semicolon; text with only comments is not a statement."""
    return _scan(script)[0]


def complete(text: str) -> bool:
    """Whether the text can be run: it ends with a semicolon outside strings and comments, or contains no statement."""
    statements, rest = _scan(text)
    return rest is None or (rest == "" and not statements)


def _scan(script: str) -> tuple[list[Statement], str | None]:
    """The statements, and the unfinished text after the last semicolon: None if it is finished, '' if there is no text."""
    found: list[Statement] = []
    position, start, first = 0, 0, -1  # where to search, where the statement starts, its first word
    open_comment = False
    while match := _PIECES.search(script, position):
        position = match.end()
        if match["bracket"]:
            position, open_comment = _comment_end(script, match.end())
        elif match["end"]:
            if first >= 0:
                found.append(_statement(script, start, match.start()))
            start, first = match.end(), -1
        elif not match["line"]:
            first = match.start() if first < 0 else first
    if first >= 0 or open_comment:
        found += [_statement(script, start, len(script))] if first >= 0 else []
        return found, script[start:]
    return found, None if found else ""


def _comment_end(script: str, position: int) -> tuple[int, bool]:
    """The end of a bracketed comment, which can contain nested ones, and whether it is still open."""
    depth = 1
    for match in _BRACKETS.finditer(script, position):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end(), False
    return len(script), True


def _statement(script: str, start: int, end: int) -> Statement:
    text = script[start:end]
    skipped = len(text) - len(text.lstrip())
    return Statement(text.strip(), script.count("\n", 0, start + skipped) + 1)
