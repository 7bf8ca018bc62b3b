"""Reads our statements from sqlglot's tokens: recursive descent with exact positions.

Only the tokenizer is subclassed. Therefore this works with the pure-Python sqlglot and with its compiled extra (sqlglotc),
whose parser cannot be subclassed. Queries inside a statement are taken verbatim and left to Spark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from sqlglot.dialects.spark import Spark
from sqlglot.errors import TokenError
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from sqlext.errors import SqlExtError
from sqlext.grammar.notes import QUERY, STRINGS, Name, Part, Parts, RawOption
from sqlext.grammar.pasted import misprint, plain_spaces
from sqlext.text import identifier, quote_if_needed, string_literal

__all__ = ["Creation", "Name", "RawOption", "Source", "TokenReader", "WrittenModel"]

T = TypeVar("T")
_QUOTED = {*STRINGS, TokenType.IDENTIFIER}


class _Tokenizer(Spark.Tokenizer):
    # sqlglot reads everything after a command word such as SHOW as one string.
    COMMANDS = set()  # type: ignore[var-annotated]  # noqa: RUF012
    # sqlglot reads GROUP BY as one token. Here every word is a token, since either may also be the name of a column.
    KEYWORDS = {word: kind for word, kind in Spark.Tokenizer.KEYWORDS.items() if " " not in word}  # noqa: RUF012


@dataclass(frozen=True)
class WrittenModel:
    """``name [VERSION n | ALIAS a]``; with neither, it means the default version."""

    name: Name
    version: int | None = None
    alias: str | None = None


@dataclass(frozen=True)
class Source:
    """A table or a query in parentheses: ``sql`` can follow FROM; ``text`` is what the user wrote."""

    sql: str
    text: str
    offset: int
    is_query: bool


@dataclass(frozen=True)
class Creation:
    """The beginning of a statement that creates a version."""

    name: Name
    replace: bool
    if_not_exists: bool


class TokenReader:
    """A cursor over the tokens of one statement. It notes what each token is read as (:meth:`parts`).

    :raises SqlExtError: SYNTAX_ERROR, with the offset of the token in question; also for typographic quotes and dashes.
    """

    def __init__(self, sql: str) -> None:
        self.sql = sql = plain_spaces(sql)
        self._index = 0
        self.not_available: SqlExtError | None = None
        if (error := misprint(sql)) is not None:
            raise error
        try:
            self._tokens: list[Token] = _Tokenizer(dialect="spark").tokenize(sql)
        except TokenError:
            offset = len(sql) - len(sql.lstrip())
            raise SqlExtError(
                "SYNTAX_ERROR", problem="A string, a comment or a back-ticked name is not closed.", offset=offset
            ) from None
        while self._tokens and self._tokens[-1].token_type == TokenType.SEMICOLON:
            self._tokens.pop()
        self._parts = Parts(self._tokens, sql)

    # --- looking ------------------------------------------------------------------------------------------------

    def peek(self, ahead: int = 0) -> Token | None:
        index = self._index + ahead
        return self._tokens[index] if index < len(self._tokens) else None

    @property
    def offset(self) -> int:
        """Where the next token starts, or the end of the text."""
        token = self.peek()
        return token.start if token else len(self.sql.rstrip("; \n\t"))

    @property
    def last_end(self) -> int:
        """Where the last token taken ends."""
        return self._tokens[self._index - 1].end + 1

    def at(self, *words: str) -> bool:
        """Whether the next tokens are ``words``: unquoted words, written here in upper case, or punctuation."""
        return all(self._is_word(self.peek(i), word) for i, word in enumerate(words))

    @staticmethod
    def _is_word(token: Token | None, word: str) -> bool:
        return token is not None and token.token_type not in _QUOTED and token.text.upper() == word

    def at_any(self, words: set[str]) -> bool:
        return any(self.at(word) for word in words)

    @property
    def done(self) -> bool:
        return self.peek() is None

    def closing(self, opened: int) -> tuple[list[int] | None, bool]:
        """The offsets of the last ``opened`` tokens if these close parentheses, else None; whether no other token is left."""
        rest = self._tokens[self._index :]
        last = rest[len(rest) - opened :] if opened <= len(rest) else []
        is_closed = len(last) == opened and all(token.token_type == TokenType.R_PAREN for token in last)
        return [token.start for token in last] if is_closed else None, len(rest) == opened

    # --- taking -------------------------------------------------------------------------------------------------

    def fail(self, expected: str, offset: int | None = None) -> NoReturn:
        token = self.peek() if offset is None else next((t for t in self._tokens if t.start == offset), None)
        found = f"'{self.sql[token.start : token.end + 1]}'" if token else "the end of the statement"
        raise SqlExtError(
            "SYNTAX_ERROR",
            problem=f"Expected {expected}, found {found}.",
            offset=self.offset if offset is None else offset,
        )

    def take(self, *words: str) -> bool:
        """Consumes these words if they come next."""
        if not self.at(*words):
            return False
        for word in words:
            self._index += 1
            self._note("word", word, self._index - 1)
        return True

    def _note(self, kind: str, value: Any, first: int, what: str = "") -> None:
        """Notes that the tokens taken from ``first`` up to here are one part."""
        self._parts.note(Part(kind, value, first, self._index, what))

    def take_any(self, *words: str) -> bool:
        """Consumes one of these words if it comes next."""
        return any(self.take(word) for word in words)

    def need(self, *words: str) -> None:
        if not self.take(*words):
            self.fail(" ".join(word if word.isalpha() else f"'{word}'" for word in words))

    def need_any(self, what: str, *words: str) -> str:
        """Takes and returns one of ``words``, each of which is a word or several words separated by blanks."""
        for word in words:
            if self.take(*word.split()):
                return word
        self.fail(what)

    def end(self, what: str) -> None:
        """Fails unless the statement ends here; ``what`` names what else may follow."""
        if not self.done:
            self.fail(what)

    def later(self, feature: str, offset: int) -> None:
        """Notes that the statement uses a word of ``planned.py``, and lets reading continue."""
        error = SqlExtError("FEATURE_NOT_AVAILABLE", feature=feature, offset=offset)
        # Raised after the statement is read to its end, because a syntax error is reported first.
        self.not_available = self.not_available or error

    def identifier(self, what: str) -> str:
        token = self.peek()
        if token is None or not _names(token):
            self.fail(what)
        self._index += 1
        self._note("name", Name((token.text,), token.start), self._index - 1, what)
        return token.text

    def name(self, what: str) -> Name:
        """A qualified name, or a string literal that contains one: JDBC replaces a `?` parameter by a literal."""
        offset, first, token = self.offset, self._index, self.peek()
        if token is not None and token.token_type in STRINGS:
            self._take_string(token)
            # Back-ticks are written as without the quotes: '`db`.`model`' names the same model as 'db.model'.
            name = Name.recorded(token.text, offset)
        else:
            parts = [self.identifier(what)]
            while not self._at_fraction() and self.take("."):
                parts.append(self.identifier(what))
            self._refuse_digits_after_a_dot(parts, first)
            name = Name(tuple(parts), offset)
        self._note("name", name, first, what)
        return name

    def _refuse_digits_after_a_dot(self, parts: list[str], first: int) -> None:
        """:raises SqlExtError: SYNTAX_ERROR for a name such as PM2.5, which Spark reads as PM2 and the number .5."""
        # sqlglot reads x.1.mean as x and the word 1.mean, between which there is a dot.
        words = self._tokens[first : self._index : 2]
        broken = [i for i, word in enumerate(words) if "." in word.text and word.token_type not in _QUOTED]
        point = self.peek()
        if self._at_fraction() and point is not None and point.start == self.last_end:
            self.skip()
            parts, broken = [*parts, self.skip()], [*broken, len(parts)]
        if broken:
            offset, start = words[0].start, max(broken[0] - 1, 0)
            written = ".".join([*map(quote_if_needed, parts[:start]), identifier(".".join(parts[start:]))])
            problem = f"{self.sql[offset : self.last_end]} is not a name; a name with a dot is written in back-ticks: {written}."
            raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=offset)

    def _at_fraction(self) -> bool:
        """Whether a number such as .5 comes next, which is two tokens for sqlglot but one for Spark."""
        point, digits = self.peek(), self.peek(1)
        if point is None or digits is None or digits.token_type != TokenType.NUMBER:
            return False
        return point.text == "." and digits.start == point.end + 1

    def model(self) -> WrittenModel:
        name = self.name("a model name")
        if self.take("VERSION"):
            return WrittenModel(name, version=self.integer("a version number"))
        if self.take("ALIAS"):
            return WrittenModel(name, alias=self.identifier("an alias"))
        return WrittenModel(name)

    def string(self, what: str) -> str:
        token = self.peek()
        if token is None or token.token_type not in STRINGS:
            self.fail(what)
        self._take_string(token)
        self._note("string", token.text, self._index - 1, what)
        return token.text

    def _take_string(self, token: Token) -> None:
        """Takes a string; refuses ``'it''s'``, where Spark reads two strings and drops the quote."""
        self._index += 1
        text, last = token.text, token
        while (following := self.peek()) is not None and self._continues(last, following):
            text, last = f"{text}{self.sql[following.start]}{following.text}", following
            self._index += 1
        if last is not token:
            written = self.sql[token.start : last.end + 1]
            problem = f"In Spark, {written} is two strings next to each other; write {string_literal(text)}."
            raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=token.start)

    def _continues(self, token: Token, following: Token) -> bool:
        """Whether a string begins with the quote at which another one ends."""
        if following.token_type not in STRINGS or following.start != token.end + 1:
            return False
        return self.sql[token.end] == self.sql[following.start]

    def integer(self, what: str, low: int | None = None, high: int | None = None) -> int:
        """A whole number within the bounds, if any are passed."""
        offset, number = self.offset, self.number(what)
        if not isinstance(number, int):
            self.fail(what, self._tokens[self._index - 1].start)
        if (low is not None and number < low) or (high is not None and number > high):
            self.fail(f"{what} from {low} to {high}", offset)
        return number

    def number(self, what: str) -> int | float:
        first, negative, point = self._index, self.take("-"), self._at_fraction() and self.take(".")
        token = self.peek()
        if token is None or token.token_type != TokenType.NUMBER:
            self.fail(what)
        self._index += 1
        text = "." * point + token.text
        self._note("number", "-" * negative + text, first, what)
        value = float(text) if any(c in text for c in ".eE") else int(text)
        return -value if negative else value

    def parenthesised(self) -> str:
        """The text between the next opening parenthesis and its closing one, verbatim."""
        first, opening, depth = self._index, self.peek(), 0
        while (token := self.peek()) is not None:
            self._index += 1
            depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
            if depth == 0 and opening is not None:
                text = self.sql[opening.start + 1 : token.start].strip()
                self._note("query", text, first, QUERY)
                return text
        self.fail("')'")

    def rest(self, what: str) -> str:
        """The text from here to the end of the statement, verbatim."""
        if self.done:
            self.fail(what)
        start, first, self._index = self.offset, self._index, len(self._tokens)
        text = self.sql[start : self._tokens[-1].end + 1]
        self._note("query", text, first, what)
        return text

    # --- reading other texts than statements -----------------------------------------------------------------------

    def word(self) -> str | None:
        """The next token if it is a word, as it was written."""
        token = self.peek()
        return token.text if token is not None and token.token_type not in _QUOTED and _names(token) else None

    @property
    def last_word(self) -> str:
        return self._tokens[self._index - 1].text

    def skip(self) -> str:
        """Takes the next token, whatever it is."""
        self._index += 1
        return self.last_word

    def restart(self) -> None:
        self._index = 0

    # --- looking back -------------------------------------------------------------------------------------------

    def clause(self, offset: int, place: int) -> None:
        """Notes that the text from ``offset`` up to here is the ``place``-th clause of the grammar."""
        first = next(i for i, token in enumerate(self._tokens) if token.start == offset)
        self._parts.clause(first, self._index, place)

    def span(self, part: Part) -> tuple[int, int]:
        """The offsets at which a part starts and ends in the text."""
        return self._tokens[part.first].start, self._tokens[part.end - 1].end + 1

    def parts(self) -> list[list[Part]]:
        """What was read so far, by clauses in the order of the grammar."""
        return self._parts.groups(self._index)

    # --- shared pieces of the grammar ----------------------------------------------------------------------------

    def creation(self, verb: str) -> Creation:
        """``verb [OR REPLACE] MODEL [IF NOT EXISTS] name``."""
        self.need(verb)
        replace = self.take("OR", "REPLACE")
        self.need("MODEL")
        offset = self.offset
        if_not_exists = self.take("IF", "NOT", "EXISTS")
        if replace and if_not_exists:
            raise SqlExtError("SYNTAX_ERROR", problem="OR REPLACE and IF NOT EXISTS exclude each other.", offset=offset)
        return Creation(self.name("a model name"), replace, if_not_exists)

    def clauses(
        self,
        readers: Mapping[str, Callable[[TokenReader], object]],
        *,
        ends: Callable[[TokenReader], bool] | None = None,
        unknown: Callable[[TokenReader], object] | None = None,
    ) -> dict[str, int]:
        """Reads clauses in any order, each at most once, up to the end of the statement or until ``ends`` returns True.

        :param readers: keyed by the word or words that begin a clause, in the order of the grammar.
        :param unknown: called before each clause; raises a better error for a word such as another system's clause.
        :returns: the clauses found, with the offset of each.
        """
        seen: dict[str, int] = {}
        while not self.done and not (ends is not None and ends(self)):
            if unknown is not None:
                unknown(self)
            offset = self.offset
            word = self.need_any("one of " + ", ".join(w for w in readers if w not in seen), *readers)
            if word in seen:
                raise SqlExtError("SYNTAX_ERROR", problem=f"{word} is given twice.", offset=offset)
            seen[word] = offset
            readers[word](self)
            self.clause(offset, list(readers).index(word))
        return seen

    def database(self) -> Name | None:
        """``[(FROM | IN) database]``."""
        return self.name("a database") if self.take_any("FROM", "IN") else None

    def source(self) -> Source:
        """``tableName [VERSION | TIMESTAMP AS OF literal]`` or ``( query )``."""
        offset = self.offset
        if self.at("("):
            if not self.parenthesised():
                self.fail("a query between the parentheses", offset)
            text = self.sql[offset : self._tokens[self._index - 1].end + 1]
            return Source(text, text, offset, is_query=True)
        name = self.name("a table name or a query in parentheses")
        sql = name.sql
        for kind in ("VERSION", "TIMESTAMP"):
            if self.take(kind, "AS", "OF"):
                start = self.offset
                _ = self.string("") if self._at_string() else self.number("a version or a timestamp")
                sql += f" {kind} AS OF {self.sql[start : self.last_end]}"
        end = self._tokens[self._index - 1].end + 1
        return Source(sql, self.sql[offset:end], offset, is_query=False)

    def columns(self) -> list[Name]:
        """``( column, .. )`` or one column."""
        first = self._index
        columns = self.parenthesised_list(self.name, "a column") if self.at("(") else [self.name("a column")]
        self._note("columns", columns, first)
        return columns

    def parenthesised_list(self, read: Callable[[str], T], what: str) -> list[T]:
        """``( item, .. )``; ``what`` is an item, for ``read``."""
        self.need("(")
        items = [read(what)]
        while self.take(","):
            items.append(read(what))
        self.need(")")
        return items

    def options(self) -> list[RawOption]:
        """Spark's property list ``( key [=] value, .. )``; keys may be quoted or dotted, and their case is ignored."""
        return self._properties(str.lower, "Option", self.literal)

    def properties(self) -> dict[str, str]:
        """A list of user-defined properties. As in Spark, numbers stay as written and booleans are in lower case."""
        return {p.key: p.value for p in self._properties(str, "Property", self._as_text)}

    def _as_text(self, what: str) -> str:
        start, value = self.offset, self.literal(what)
        if isinstance(value, bool):
            return str(value).lower()
        return value if isinstance(value, str) else self.sql[start : self.last_end]

    def _properties(self, read: Callable[[str], str], what: str, read_value: Callable[[str], Any]) -> list[RawOption]:
        first, found = self._index, list[RawOption]()
        self.need("(")
        while True:
            offset = self.offset
            key = read(self.name(f"{'an option' if what == 'Option' else 'a property'} name").plain)
            if any(option.key == key for option in found):
                raise SqlExtError("SYNTAX_ERROR", problem=f"{what} {key} is given twice.", offset=offset)
            self.take("=")
            value_offset = self.offset
            value = self._list() if self.at("[") else read_value(f"a value for {what.lower()} {key}")
            found.append(RawOption(key, value, offset, value_offset))
            if self.take(")"):
                self._note("options", sorted(found, key=lambda option: option.key), first)
                return found
            if not self.take(","):
                self.fail("',' or ')'")

    def _at_string(self) -> bool:
        token = self.peek()
        return token is not None and token.token_type in STRINGS

    def _list(self) -> str:
        """``[..]`` as text. None of our options takes a list, but those of other systems do, whose names lead to a hint."""
        start = self.offset
        while not self.done and not self.take("]"):
            self.skip()
        return self.sql[start : self.last_end]

    def literal(self, what: str) -> Any:
        """A string, a number, a boolean or an unquoted word."""
        token = self.peek()
        if token is None:
            self.fail(what)
        if token.token_type in STRINGS:
            return self.string("a value")
        if token.token_type == TokenType.NUMBER or self.at("-") or self.at("."):
            return self.number(what)
        for word, value in (("TRUE", True), ("FALSE", False)):
            if self.take(word):
                return value
        if _names(token):
            return self.identifier("a value")
        self.fail(f"{what}: a string, a number or a boolean")


def _names(token: Token) -> bool:
    """Whether a token can be an identifier: it has back-ticks or is any word, since keywords are not reserved here."""
    if token.token_type in STRINGS or token.token_type == TokenType.NUMBER:
        return False
    return token.token_type == TokenType.IDENTIFIER or token.text[:1].isalnum() or token.text[:1] == "_"
