"""Reads TRAIN MODEL and CREATE MODEL .. AS, which have the same clauses and two ways to name the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlext.errors import SqlExtError
from sqlext.grammar import planned
from sqlext.grammar.notes import Name, RawOption
from sqlext.grammar.options import MAX_INT, resolve
from sqlext.grammar.reader import Creation, Source, TokenReader, WrittenModel
from sqlext.training.options import FOREIGN_OPTIONS, OPTIONS, check_together
from sqlext.training.request import TrainRequest, Tune, TuneItem, Validation

ARCHITECTURES = ("linear", "mlp")

# Clauses of other systems -> what to write instead.
FOREIGN_CLAUSES = {
    "FROM": "AS and a query at the end; FROM belongs to TRAIN MODEL",
    "FUNCTION": "classify('model', ..) in queries; models have no separate functions",
    "INPUT": "FEATURES (column, ..)",
    "OUTPUT": "LABEL column (classification) or TARGET column (regression)",
    "PREDICTING": "LABEL column (classification) or TARGET column (regression)",
    "REMOTE": "IMPORT MODEL name FROM 'path' for an existing network",
    "TRANSFORM": "the expressions in the query of FROM or AS",
    "WITH": "OPTIONS (key = value, ..)",
}


@dataclass
class Clauses:
    """The clauses after the model's name. ``given`` maps their words to offsets; ``end`` is where the last clause ends."""

    source: Source | None = None
    features: list[Name] = field(default_factory=list)
    label: Name | None = None
    target: Name | None = None
    architecture: str = "linear"
    backbone: WrittenModel | None = None
    validation: Validation | None = None
    tune: Tune | None = None
    comment: str | None = None
    options: list[RawOption] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)
    end: int = 0


def read_train(reader: TokenReader) -> TrainRequest:
    """``TRAIN [OR REPLACE] MODEL [IF NOT EXISTS] name (clause) ..``

    :raises SqlExtError: SYNTAX_ERROR and other errors of the text, with their offset.
    """
    creation, clauses = reader.creation("TRAIN"), Clauses()
    read_clauses(reader, clauses)
    return _request("TRAIN MODEL", creation, clauses, reader)


def read_create(reader: TokenReader) -> TrainRequest:
    """``CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name (clause) .. AS query``

    :raises SqlExtError: as :func:`read_train`.
    """
    creation, clauses = reader.creation("CREATE"), Clauses()
    read_clauses(reader, clauses, ends=lambda r: r.at("AS"))
    if not reader.take("AS"):
        reader.fail(f"AS and the query that gives the rows of CREATE MODEL {creation.name}")
    clauses.source = _query(reader)
    return _request("CREATE MODEL", creation, clauses, reader)


def read_training(sql: str) -> TrainRequest:
    """Reads a recorded TRAIN MODEL or CREATE MODEL.

    :raises SqlExtError: as :func:`read_train`; FEATURE_NOT_AVAILABLE.
    """
    reader = TokenReader(sql)
    request = read_create(reader) if reader.at("CREATE") else read_train(reader)
    if reader.not_available is not None:
        raise reader.not_available
    return request


def _request(statement: str, creation: Creation, clauses: Clauses, reader: TokenReader) -> TrainRequest:
    """Builds and checks the request; ``reader`` is at the end of the statement."""
    request = TrainRequest(
        statement=statement,
        name=creation.name,
        replace=creation.replace,
        if_not_exists=creation.if_not_exists,
        source=clauses.source,
        features=tuple(clauses.features),
        label=clauses.label,
        target=clauses.target,
        architecture=clauses.architecture,
        backbone=clauses.backbone,
        validation=clauses.validation or Validation(),
        tune=clauses.tune,
        comment=clauses.comment,
        properties=clauses.properties,
        raw_options=tuple(clauses.options),
        options=resolve(clauses.options, OPTIONS, foreign=FOREIGN_OPTIONS),
        given=clauses.given,
        clauses_end=clauses.end,
    )
    if request.source is not None:
        _check(request)
        # After the options, because an option of another system gets the better hint: input_label_cols -> LABEL.
        if request.label is None and request.target is None:
            reader.fail(f"LABEL (classification) or TARGET (regression) for {statement} {request.name}")
    for option in request.raw_options:
        value = request.options[option.key]
        if value in planned.OPTION_VALUES.get(option.key, ()):
            reader.later(f"{option.key} = '{value}'", option.value_offset)
    return request


def _check(request: TrainRequest) -> None:
    """Rejects clauses and options that contradict each other."""
    if request.label is not None and request.target is not None:
        problem = "LABEL (classification) and TARGET (regression) exclude each other."
        offset = max(request.given["LABEL"], request.given["TARGET"])
        raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=offset)
    if request.validation.stratified and request.regression:
        problem = "STRATIFIED needs the classes of LABEL; TARGET has none."
        raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=request.validation.offset)
    check_together(request, tuned={item.option for item in request.tune.items} if request.tune else ())


def read_clauses(reader: TokenReader, clauses: Clauses, *, ends: Callable[[TokenReader], bool] | None = None) -> None:
    """Reads clauses in any order, each at most once, up to the end of the statement or to where ``ends`` returns true.

    With ``ends`` (CREATE MODEL .. AS), FROM is not a clause.

    :raises SqlExtError: SYNTAX_ERROR and other errors of the text, with their offset.
    """
    readers: dict[str, Callable[[TokenReader], object]] = {
        "FROM": lambda r: setattr(clauses, "source", r.source()),
        "FEATURES": lambda r: setattr(clauses, "features", r.columns()),
        "LABEL": lambda r: setattr(clauses, "label", r.name("a column")),
        "TARGET": lambda r: setattr(clauses, "target", r.name("a column")),
        "USING": lambda r: setattr(clauses, "architecture", _architecture(r)),
        "BACKBONE": lambda r: setattr(clauses, "backbone", _backbone(r)),
        "VALIDATE": lambda r: setattr(clauses, "validation", _validation(r)),
        "TUNE": lambda r: setattr(clauses, "tune", _tune(r)),
        "COMMENT": lambda r: setattr(clauses, "comment", r.string("a comment in quotes")),
        "OPTIONS": lambda r: setattr(clauses, "options", r.options()),
        "PROPERTIES": lambda r: setattr(clauses, "properties", r.properties()),
    }
    if ends is not None:
        del readers["FROM"]

    def unknown(r: TokenReader) -> None:
        for word, write in FOREIGN_CLAUSES.items():
            if r.at(word) and word not in readers:
                problem = f"There is no clause {word} here. Write {write}."
                raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=r.offset)

    clauses.given = reader.clauses(readers, ends=ends, unknown=unknown)
    clauses.end = reader.last_end


def _architecture(reader: TokenReader) -> str:
    offset = reader.offset
    name = reader.identifier("an architecture: " + " or ".join(ARCHITECTURES)).lower()
    if name in planned.ARCHITECTURES:
        reader.later(f"USING {name}", offset)
    elif name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise SqlExtError("UNKNOWN_ARCHITECTURE", architecture=name, known=known, offset=offset)
    return name


def _backbone(reader: TokenReader) -> WrittenModel:
    reference = reader.model()
    offset = reader.offset
    if reader.take("FREEZE"):
        word = reader.need_any("ALL", "ALL", *planned.FREEZE)
        if follows := planned.FREEZE.get(word):
            reader.string(follows)
        if word in planned.FREEZE:
            reader.later("FREEZE other than ALL", offset)
    return reference


# --- AS -----------------------------------------------------------------------------------------------------------------


def _query(reader: TokenReader) -> Source:
    """The rest of the statement as a source, in the form that FROM takes."""
    offset = reader.offset
    text = reader.rest("a query")
    if _is_parenthesised(text):
        return Source(text, text, offset, is_query=True)
    # FROM needs parentheses. The opening one replaces the blank before the query, so that positions of errors stay right.
    return Source(f"({text})", f"({text})", offset - 1, is_query=True)


def _is_parenthesised(text: str) -> bool:
    """Whether one pair of parentheses encloses the whole text; in (SELECT 1) UNION (SELECT 2), two pairs do."""
    inner = TokenReader(text)
    if not inner.at("("):
        return False
    inner.parenthesised()
    return inner.done


# --- VALIDATE -----------------------------------------------------------------------------------------------------


def _validation(reader: TokenReader) -> Validation:
    start = reader.offset
    kind = reader.need_any("SPLIT, BY, FROM or NONE", "SPLIT", "BY", "FROM", "NONE")
    if kind == "NONE":
        return Validation("none", text="NONE", offset=start)
    if kind == "BY":
        column = reader.name("a column")
        return Validation("by", column=column, text=f"BY {column}", offset=start)
    if kind == "FROM":
        source = reader.source()
        return Validation("source", source=source, text=f"FROM {source.text}", offset=start)
    return _split(reader, start)


def _split(reader: TokenReader, start: int) -> Validation:
    fraction = _fraction(reader, "SPLIT", "validation")
    found: dict[str, Any] = {}
    readers: dict[str, Callable[[], Any]] = {
        "TEST": lambda: _fraction(reader, "TEST", "test"),
        "STRATIFIED": lambda: True,
        "GROUP": lambda: reader.name("a column"),
        "SEED": lambda: reader.integer("an integer", -MAX_INT - 1, MAX_INT),
    }
    while reader.at_any(set(readers)):
        offset = reader.offset
        word = reader.need_any("", *readers)
        if word in found:
            raise SqlExtError("SYNTAX_ERROR", problem=f"{word} is given twice.", offset=offset)
        found[word] = readers[word]()
        if word == "TEST" and fraction + found[word] >= 1:
            problem = f"SPLIT {fraction:g} TEST {found[word]:g} leaves no rows to train on."
            raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=offset)
    return Validation(
        "split",
        fraction,
        found.get("TEST", 0.0),
        "STRATIFIED" in found,
        found.get("GROUP"),
        seed=found.get("SEED"),
        text=reader.sql[start : reader.last_end].strip(),
        offset=start,
    )


def _fraction(reader: TokenReader, word: str, split: str) -> float:
    offset = reader.offset
    fraction = float(reader.number("a fraction between 0 and 1"))
    if not 0 < fraction < 1:
        problem = f"{word} {fraction:g}: the share of {split} rows must be above 0 and below 1."
        raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=offset)
    return fraction


# --- TUNE ---------------------------------------------------------------------------------------------------------


def _tune(reader: TokenReader) -> Tune:
    start = reader.offset
    reader.need("(")
    items = [_tune_item(reader)]
    while not reader.take(")"):
        if not reader.take(","):
            reader.fail("',' or ')'")
        items.append(_tune_item(reader))
        if any(item.option == items[-1].option for item in items[:-1]):
            problem = f"Option {items[-1].option} is given twice."
            raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=items[-1].offset)
    trials, method, direction, metric = None, None, None, None
    if reader.take("TRIALS"):
        offset = reader.offset
        trials = reader.integer("a number of trials")
        if trials < 1:
            reader.fail("a number of trials, at least 1", offset)
    if reader.take("BY"):
        method = reader.need_any("GRID or RANDOM", "GRID", "RANDOM").lower()
    if reader.at_any({"MAXIMIZE", "MINIMIZE"}):
        direction = reader.need_any("", "MAXIMIZE", "MINIMIZE").lower()
        metric = reader.identifier("a metric").lower()
    return Tune(tuple(items), trials, method, direction, metric, start)


def _tune_item(reader: TokenReader) -> TuneItem:
    offset = reader.offset
    option = reader.name("an option").plain.lower()  # a key may be in quotes, as in OPTIONS
    kind = reader.need_any("IN or BETWEEN", "IN", "BETWEEN")
    value_offset = reader.offset
    if kind == "BETWEEN":
        low = reader.literal("a number")
        reader.need("AND")
        high = reader.literal("a number")
        return TuneItem(option, None, low, high, reader.take("LOG"), offset, value_offset)
    values = reader.parenthesised_list(reader.literal, "a value")
    return TuneItem(option, tuple(values), offset=offset, value_offset=value_offset)
