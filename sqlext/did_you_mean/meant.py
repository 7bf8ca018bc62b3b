"""What a rejected statement was probably meant to be: the text to write instead, and the error that shows it."""

from __future__ import annotations

import difflib

from sqlext.did_you_mean.rules import RULES, Rule
from sqlext.errors import SqlExtError
from sqlext.grammar.reader import TokenReader
from sqlext.routing import route
from sqlext.statements import parse_statement

# Words that other systems allow between the verb and MODEL, or that users write in the wrong order.
_BETWEEN = {
    *("OR", "REPLACE", "TEMPORARY", "TEMP", "GLOBAL", "IF", "NOT", "EXISTS", "ALL", "EXTENDED", "FORMATTED"),
    *("REGISTERED", "REMOTE", "EXTERNAL"),
}
_MOVED = ("OR REPLACE", "IF EXISTS", "IF NOT EXISTS", "EXTENDED")  # our statements have them in another place


def error(offset: int, problem: str, advice: str) -> SqlExtError:
    return SqlExtError("SYNTAX_ERROR", problem=f"{problem} {advice}".rstrip(), offset=offset)


def by_rule(reader: TokenReader, verb: str) -> SqlExtError | None:
    """The error of the first rule of ``verb`` that applies to the text."""
    for rule in RULES.get(verb, ()):
        reader.restart()
        begin = reader.offset
        reader.skip()
        offset = begin if rule.of_verb else reader.offset
        between = between_words(reader)
        if _take_written(rule, reader):
            problem = rule.problem.format(found=one_line(reader.sql[begin : reader.last_end]).upper())
            if advice := _advice(rule, reader, between):
                return error(offset, problem, advice)
    return None


def between_words(reader: TokenReader) -> str:
    """Takes the words that may follow a verb; FORMATTED means the same as EXTENDED."""
    words = list[str]()
    while reader.at_any(_BETWEEN):
        words.append(reader.skip().upper())
    return " ".join(words).replace("FORMATTED", "EXTENDED")


def _take_written(rule: Rule, reader: TokenReader) -> bool:
    if any(reader.take(*words.split()) for words in rule.written):
        return True
    return rule.misspelt and _take_misspelt(rule.written[0], reader)


def _take_misspelt(words: str, reader: TokenReader) -> bool:
    """Takes a word like MODEL VERSONS in MODEL VERSONS m; without a name after it, it is the model's name."""
    *before, last = words.split()
    word, following = reader.peek(len(before)), reader.peek(len(before) + 1)
    if word is None or following is None or following.text in (".", ";"):
        return False
    return similar(word.text, last, 0.8) and reader.take(*before, word.text.upper())


def similar(word: str, to: str, ratio: float) -> bool:
    return difflib.SequenceMatcher(None, word.upper(), to).ratio() >= ratio


def _advice(rule: Rule, reader: TokenReader, between: str) -> str:
    """The end of the error, which says what to write; '' if the rule does not apply."""
    moved = {words.lower().replace(" ", "_"): words if words in between else "" for words in _MOVED}
    start = one_line(rule.start.format(**moved))
    write = _ours(start, reader)
    number = _number(reader)
    if not write and reader.take_any("IN", "FROM", "OF", "FOR", "USING"):
        write = _ours(start, reader)
        reader.take("MODEL")
    if write:
        return f"Write: {write}"
    if reader.take("IF", "EXISTS"):
        moved["if_exists"] = "IF EXISTS"
    reader.take("IF", "NOT", "EXISTS")
    values = moved | {"start": rule.start.format(**moved), "name": model_name(reader), "number": number}
    return one_line(rule.otherwise.format(**values))


def _ours(start: str, reader: TokenReader) -> str:
    """``start`` with the rest of the text, or '' if that is not one of our statements."""
    text = one_line(start, reader.sql[reader.offset :])
    return text if start and is_ours(text) else ""


def _number(reader: TokenReader) -> str:
    """The first number of the comma-separated list that comes next, which is taken, or the placeholder ``n``."""
    numbers = []
    while (token := reader.peek()) is not None and (token.text.isdecimal() or token.text == ","):
        numbers.append(reader.skip())
    return numbers[0] if numbers else "n"


def one_line(*parts: str) -> str:
    return " ".join(" ".join(parts).split()).rstrip("; ")


def is_ours(sql: str) -> bool:
    routed = route(sql)
    try:
        return routed is not None and len(sql) <= 160 and parse_statement(routed.sql) is not None
    except SqlExtError:
        return False


def model_name(reader: TokenReader) -> str:
    """The name that comes next as the user wrote it, or the placeholder ``name``."""
    try:
        return str(reader.name("a model name"))
    except SqlExtError:
        return "name"
