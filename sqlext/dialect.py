"""The sqlglot dialect ``bigdl``, Spark's dialect with our statements: ``sqlglot.parse_one(sql, dialect="bigdl")``.

There is only one grammar, that of :mod:`sqlext.statements`. It parses each of our statements, and the result becomes one
:class:`SqlExtStatement`. Tables and models in it are ``exp.Table``, columns ``exp.Column``, and queries are parsed as Spark
SQL, so that tools can find, rename and print them. This module names no statement.

sqlglot 28.10 or later finds the dialect through its entry point; with an older one, ``import sqlext.dialect`` first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import sqlglot.parser
from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.errors import ParseError
from sqlglot.generator import Generator
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from sqlext.did_you_mean import INSIDE, call_of_another_system, near_miss
from sqlext.errors import SqlExtError, position
from sqlext.grammar.notes import QUERY, Name, Part
from sqlext.grammar.reader import TokenReader
from sqlext.routing import Routed, route
from sqlext.statements import STATEMENTS, read_statement
from sqlext.udfs import FUNCTIONS

# Classes of the compiled extra cannot be subclassed. Without this check, Python would say so only when a parser is created.
if not str(sqlglot.parser.__file__).endswith(".py"):
    raise SqlExtError("COMPILED_SQLGLOT")

# Spark statements that sqlglot refuses or would print as different statements; matched on the words of their tokens.
_NAME = r"\S+(?:\ \.\ \S+)*"
_VERBATIM = re.compile(
    rf"""CLEAR\ CACHE$ | LIST\ (?:FILES?|JARS?|ARCHIVES?)\b | RESET\ {_NAME}$ | REPAIR\ TABLE\b | REPLACE\ TABLE\b
    | TABLE\ {_NAME}(?:$|\ (?:ORDER|SORT|CLUSTER|DISTRIBUTE|LIMIT|OFFSET|UNION|EXCEPT|MINUS|INTERSECT)\b)
    | DESC(?:RIBE)?\ QUERY\ (?:SELECT|WITH|VALUES|FROM|TABLE|\()
    | COMMENT\ ON\ .*\ IS\ NULL$
    | INSERT\ OVERWRITE\ (?:(?:LOCAL\ )?DIRECTORY\ |.*?\ PARTITION\ \(.*?\)\ IF\ NOT\ EXISTS\ )
    | ALTER\ TABLE\ {_NAME}\ (?:CHANGE\ |PARTITION\ \(.*\)\ RENAME\ TO\ )""",
    re.VERBOSE,
)
_VERBATIM_FIRST = {
    *("CLEAR", "LIST", "RESET", "REPAIR", "REPLACE", "TABLE", "DESC", "DESCRIBE", "COMMENT", "INSERT", "ALTER")
}
# The oldest sqlglot that the dialect supports lacks the newer ones of these nodes.
_OPAQUE = tuple(getattr(exp, name) for name in ("Alias", "Command", "Grant", "Revoke") if hasattr(exp, name))

_FUNCTIONS = {function.name.upper() for function in FUNCTIONS}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class SqlExtStatement(exp.Expression):  # type: ignore[misc]
    """One of our statements.

    ``this``: its name, such as TRAIN MODEL. ``expressions``: its head and its clauses, in the order of the grammar.
    ``explain``: the mode of the EXPLAIN before it.
    """

    arg_types = {"this": True, "expressions": True, "explain": False}  # noqa: RUF012


class SqlExtClause(exp.Expression):  # type: ignore[misc]
    """The words, names, literals and queries of one clause."""

    arg_types = {"expressions": True}  # noqa: RUF012


class BigDL(Spark):
    """Spark SQL with the statements of bigdl-sqlext."""

    class Parser(Spark.Parser):  # type: ignore[misc, name-defined, valid-type]
        # sqlglot reads predict as BigQuery's function, and would print PREDICT(MODEL 'm', image).
        FUNCTIONS = {k: v for k, v in Spark.Parser.FUNCTIONS.items() if k not in _FUNCTIONS}  # noqa: RUF012
        FUNCTION_PARSERS = {k: v for k, v in Spark.Parser.FUNCTION_PARSERS.items() if k not in _FUNCTIONS}  # noqa: RUF012

        def _parse_statement(self) -> Any:
            # sqlglot also calls this method for a statement inside another one. Only a whole statement can be ours.
            if self._index or not self.sql:
                return super()._parse_statement()
            statement = _ours(self) or _verbatim(self)
            if statement is None:
                return self._parse_sparks()
            self._advance(len(self._tokens))
            return statement

        def _parse_sparks(self) -> Any:
            """Parses Spark's statement; one that sqlglot refuses or reads as opaque may have been meant for us."""
            try:
                parsed = super()._parse_statement()
            except ParseError:
                _check_near_miss(self)
                raise
            if self._curr or isinstance(parsed, _OPAQUE):
                _check_near_miss(self)
            elif any(token.text.upper() in INSIDE for token in self._tokens):
                _check_near_miss(self, call_of_another_system)
            return parsed

        def _parse_describe(self) -> Any:
            """Also parses Spark's column after the table, which sqlglot does not support, into ``expressions``."""
            described = super()._parse_describe()
            column = self._parse_column() if self._curr and isinstance(described.this, exp.Table) else None
            if column:
                described.set("expressions", [column])
            return described

    class Generator(Spark.Generator):  # type: ignore[misc, name-defined, valid-type]
        TRANSFORMS = {  # noqa: RUF012
            **Spark.Generator.TRANSFORMS,
            exp.Describe: lambda self, described: _describe_sql(self, described),
            SqlExtStatement: lambda self, statement: _statement_sql(self, statement),
            SqlExtClause: lambda self, clause: _joined([self.sql(part) for part in clause.expressions]),
        }


# --- text to tree -------------------------------------------------------------------------------------------------

_FIRST = {"EXPLAIN", "(", *(head[0] for statement in STATEMENTS for head in statement.HEADS)}


def _ours(parser: Any) -> SqlExtStatement | None:
    """The statement that the parser is about to read, if it is one of ours."""
    first = parser._tokens[0]
    if first.text.upper() not in _FIRST:
        return None
    routed = route(_statement_text(parser))
    if routed is None:
        return None
    try:
        return _statement(parser.dialect, routed, first.comments)
    except SqlExtError as error:
        if routed.is_bare and routed.sql.split()[0].upper() in ("DESC", "DESCRIBE"):  # a table named model
            return None
        _fail(parser, error)
        return None


def _verbatim(parser: Any) -> exp.Command | None:
    """The statement as a command with its text unchanged, if it is one of those in ``_VERBATIM``."""
    first, last = parser._tokens[0], parser._tokens[-1]
    if first.text.upper() not in _VERBATIM_FIRST:
        return None
    words = " ".join(token.text.upper() for token in parser._tokens[:100])  # enough to recognise these statements
    if not _VERBATIM.match(words):
        return None
    command = exp.Command(this=first.text.upper(), expression=parser.sql[first.end + 1 : last.end + 1].strip())
    command.add_comments(first.comments)
    return command


def _check_near_miss(parser: Any, find: Callable[[str], SqlExtError | None] = near_miss) -> None:
    """Raises the error that the shim would raise in place of Spark's."""
    tokens = parser._tokens
    if len(tokens) > 1 and tokens[1].text.upper() == "AS":  # an expression with a column named train
        return
    error = find(_statement_text(parser))
    if error is not None:
        _fail(parser, error)


def _statement_text(parser: Any) -> str:
    """The text of this statement, with the script before it blanked so that positions stay the same."""
    first, last = parser._tokens[0], parser._tokens[-1]
    return re.sub(r"[^\n]", " ", parser.sql[: first.start]) + str(parser.sql[first.start : last.end + 1])


def _statement(dialect: Any, routed: Routed, comments: list[str]) -> SqlExtStatement:
    reader = TokenReader(routed.sql)
    name = read_statement(reader).NAME
    clauses = [SqlExtClause(expressions=[_tree(dialect, reader, part) for part in group]) for group in reader.parts()]
    statement = SqlExtStatement(this=name, expressions=clauses, explain=routed.explain)
    statement.add_comments(comments)
    return statement


def _tree(dialect: Any, reader: TokenReader, part: Part) -> exp.Expression:
    value = part.value
    if part.kind == "name":
        return _named(value, part.what)
    if part.kind == "string":
        return exp.Literal.string(value)
    if part.kind == "number":
        return exp.Literal(this=value, is_string=False)
    if part.kind == "columns":
        return exp.Tuple(expressions=[_column(name) for name in value])
    if part.kind == "options":
        return exp.Tuple(expressions=[exp.EQ(this=_key(o.key), expression=exp.convert(o.value)) for o in value])
    if part.kind == "query":
        return _query(dialect, reader, part)
    return exp.Var(this=value)


def _named(name: Name, what: str) -> exp.Expression:
    """A table for a table or model name, a column for a column name, otherwise a plain identifier."""
    identifiers = [_identifier(part) for part in name.parts]
    if re.search(r"\b(model|table)\b", what) and len(identifiers) <= 3:
        return exp.Table(**dict(zip(("this", "db", "catalog"), reversed(identifiers), strict=False)))
    if "column" in what:
        return _column(name)
    if "database" in what and len(identifiers) <= 2:
        return exp.Table(**dict(zip(("db", "catalog"), reversed(identifiers), strict=False)))
    return exp.Dot.build(identifiers) if len(identifiers) > 1 else identifiers[0]


def _column(name: Name) -> exp.Expression:
    return exp.column(*reversed([_identifier(part) for part in name.parts[-4:]]))


def _identifier(text: str) -> exp.Identifier:
    return exp.Identifier(this=text, quoted=not _PLAIN.match(text))


def _key(key: str) -> exp.Expression:
    plain = all(_PLAIN.match(part) for part in key.split("."))
    return exp.Var(this=key) if plain else exp.Literal.string(key)


def _query(dialect: Any, reader: TokenReader, part: Part) -> exp.Expression:
    """The query as sqlglot's Spark parser reads it; the text before it is blanked so that its errors have positions."""
    start, end = reader.span(part)
    query = dialect.parse(re.sub(r"[^\n]", " ", reader.sql[:start]) + reader.sql[start:end])
    is_only_wrapped = part.what != QUERY and isinstance(query[0], exp.Subquery) and query[0].is_wrapper
    tree: exp.Expression = query[0].unnest() if is_only_wrapped else query[0]
    return tree


def _fail(parser: Any, error: SqlExtError) -> None:
    line, pos = position(parser.sql, error.offset or 0)
    parser.raise_error(str(error).rstrip("."), _at(parser.sql, error.offset or 0, line, pos))


def _at(sql: str, offset: int, line: int, pos: int) -> Token:
    """The token that sqlglot underlines: the word at ``offset``. sqlglot counts columns from 1."""
    word = re.match(r"\w+|.|", sql[offset:])
    end = offset + max(len(word[0]) if word else 0, 1) - 1
    return Token(TokenType.VAR, sql[offset : end + 1], line=line, col=pos + 1, start=offset, end=end)


# --- tree to text -------------------------------------------------------------------------------------------------


def _statement_sql(generator: Generator, statement: SqlExtStatement) -> str:
    explain = statement.args.get("explain")
    head = ["EXPLAIN"] if explain == "SIMPLE" else [f"EXPLAIN {explain}"] if explain else []
    return " ".join(head) + " " * bool(head) + generator.sep().join(generator.sql(c) for c in statement.expressions)


def _describe_sql(generator: Generator, described: exp.Describe) -> str:
    """Prints TABLE, DATABASE or FUNCTION, which sqlglot leaves out: DESCRIBE model c would describe a model named c."""
    words = ["DESCRIBE", str(described.args.get("kind") or "").upper(), str(described.args.get("style") or "")]
    words += [generator.sql(described, part) for part in ("format", "this", "partition")]
    words += [generator.sql(column) for column in described.expressions]
    return " ".join([*filter(None, words), *(["AS JSON"] if described.args.get("as_json") else [])])


def _joined(words: list[str]) -> str:
    """Joins words by spaces, but without spaces just inside parentheses and before commas."""
    text = ""
    for word in words:
        text += word if not text or word in (")", ",") or text.endswith("(") else f" {word}"
    return text
