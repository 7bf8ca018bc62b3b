"""The parts of a statement as its parser understood them, from which the sqlglot dialect builds its tree.

Parsers need no extra code for this: :class:`~sqlext.grammar.reader.TokenReader` notes what it reads each token as. Tokens
that a statement's parser takes in any other way stay as they were written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from sqlext.text import identifier, quote_if_needed

_PARTS = re.compile(r"`(?:[^`]|``)+`|[^`.]+")
STRINGS = {TokenType.STRING, TokenType.RAW_STRING}
QUERY = "a query in parentheses"  # Part.what of a query whose parentheses belong to the grammar


@dataclass(frozen=True)
class Name:
    """A possibly qualified identifier, which starts at ``offset``; ``parts`` are without back-ticks."""

    parts: tuple[str, ...]
    offset: int

    @classmethod
    def recorded(cls, text: str, offset: int) -> Name:
        """The reverse of ``str(name)``; text that cannot come from it is a single part."""
        parts = _PARTS.findall(text)
        if not parts or ".".join(parts) != text:
            return cls((text,), offset)
        return cls(tuple(p[1:-1].replace("``", "`") if p.startswith("`") else p for p in parts), offset)

    def __str__(self) -> str:
        """The name as it must be written in SQL."""
        return ".".join(map(quote_if_needed, self.parts))

    @property
    def plain(self) -> str:
        """The parts without back-ticks, with dots between them."""
        return ".".join(self.parts)

    @property
    def sql(self) -> str:
        """The name with every part in back-ticks."""
        return ".".join(map(identifier, self.parts))


@dataclass(frozen=True)
class RawOption:
    """One entry of a property list; ``value`` is a str, int, float or bool."""

    key: str
    value: Any
    offset: int
    value_offset: int


@dataclass(frozen=True)
class Part:
    """The tokens from ``first`` up to, but not including, ``end``, read as one thing; ``what`` is the parser's name for it.

    ``kind`` says what ``value`` is: word (a keyword in upper case, or punctuation), name (a Name), string, number (as text),
    query (as text), columns (a list of Names), options (a list of RawOptions, sorted by key), or text (verbatim).
    """

    kind: str
    value: Any
    first: int
    end: int
    what: str = ""


@dataclass
class Parts:
    """The notes that a reader takes of one statement."""

    tokens: list[Token]
    sql: str
    _noted: dict[int, Part] = field(
        default_factory=dict
    )  # by first token; reading the same tokens again replaces a part
    _clauses: list[tuple[int, int, int]] = field(default_factory=list)  # (first token, end, place in the grammar)

    def note(self, part: Part) -> None:
        self._noted[part.first] = part

    def clause(self, first: int, end: int, place: int) -> None:
        """Notes that the tokens ``first`` to ``end`` are the ``place``-th clause of the grammar."""
        self._clauses.append((first, end, place))

    def groups(self, end: int) -> list[list[Part]]:
        """The statement up to its clauses, then each clause in the order of the grammar, then the rest.

        Statements that differ only in the order of their clauses, in white space or in comments have the same groups.
        """
        begin = self._clauses[0][0] if self._clauses else end
        rest = self._clauses[-1][1] if self._clauses else end
        clauses = sorted(self._clauses, key=lambda clause: clause[2])
        ranges = [(0, begin), *((first, last) for first, last, _ in clauses), (rest, end)]
        return [self._group(first, last) for first, last in ranges if first < last]

    def _group(self, first: int, end: int) -> list[Part]:
        found: list[Part] = []
        while first < end:
            found.append(self._noted.get(first) or self._verbatim(first))
            first = found[-1].end
        return found

    def _verbatim(self, index: int) -> Part:
        """The part for a token that was read without a note."""
        token = self.tokens[index]
        if token.token_type in STRINGS:
            return Part("string", token.text, index, index + 1)
        if token.token_type == TokenType.IDENTIFIER:
            return Part("name", Name((token.text,), token.start), index, index + 1)
        return Part("text", self.sql[token.start : token.end + 1], index, index + 1)
