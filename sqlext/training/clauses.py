"""The clauses of a training, as TRAIN MODEL and CREATE MODEL .. AS read them.

Imported while the package is built: only the standard library and the token reader at module level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlext.errors import SqlExtError
from sqlext.grammar.options import MAX_INT
from sqlext.grammar.reader import ModelReference, Name, RawOption, Source, TokenReader

ARCHITECTURES = ("linear", "mlp")
_LATER_ARCHITECTURES = ("cnn", "finetune")

# Clauses of other systems -> what to write here.
FOREIGN_CLAUSES = {
    "FROM": "AS and a query at the end; FROM belongs to TRAIN MODEL",
    "FUNCTION": "classify('model', ..) in queries: a model needs no function of its own",
    "INPUT": "FEATURES (column, ..)",
    "OUTPUT": "LABEL column (classification) or TARGET column (regression)",
    "PREDICTING": "LABEL column (classification) or TARGET column (regression)",
    "REMOTE": "IMPORT MODEL name FROM 'path' for a network that is there already",
    "TRANSFORM": "the expressions into the query that FROM or AS names",
    "WITH": "OPTIONS (key = value, ..)",
}


@dataclass(frozen=True)
class Validation:
    """VALIDATE: ``kind`` is split, by, source or none.

    ``fraction`` and ``test_fraction`` are the shares of rows that validate and test; ``text`` is what the user wrote
    behind VALIDATE.
    """

    kind: str = "split"
    fraction: float = 0.2
    test_fraction: float = 0.0
    stratified: bool = False
    group: Name | None = None
    column: Name | None = None
    seed: int | None = None
    source: Source | None = None
    text: str = "SPLIT 0.2"
    offset: int | None = None


@dataclass(frozen=True)
class TuneItem:
    """One option that TUNE varies: over ``values`` (IN), or from ``low`` to ``high`` (BETWEEN), ``log``: in its logarithm."""

    option: str
    values: tuple[Any, ...] | None = None
    low: Any = None
    high: Any = None
    log: bool = False
    offset: int = 0
    value_offset: int = 0


@dataclass(frozen=True)
class Tune:
    """TUNE: ``method`` is grid, random or None (not said); ``direction`` is maximize, minimize or None."""

    items: tuple[TuneItem, ...]
    trials: int | None = None
    method: str | None = None
    direction: str | None = None
    metric: str | None = None
    offset: int = 0


@dataclass
class Clauses:
    """What was written behind the model's name; ``given`` are the words of the clauses, with their offsets, up to ``end``."""

    source: Source | None = None
    features: list[Name] = field(default_factory=list)
    label: Name | None = None
    target: Name | None = None
    architecture: str = "linear"
    backbone: ModelReference | None = None
    validation: Validation | None = None
    tune: Tune | None = None
    comment: str | None = None
    options: list[RawOption] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)
    end: int = 0


def read_clauses(reader: TokenReader, clauses: Clauses, *, ends: Callable[[TokenReader], bool] | None = None) -> None:
    """Reads clauses in any order, each at most once, up to the end of the statement or to where ``ends`` says so.

    FROM is not read where ``clauses.source`` is known or ``ends`` is given (CREATE MODEL .. AS).

    :raises SqlExtError: SYNTAX_ERROR and its kin, with the offset at fault.
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
    if name in _LATER_ARCHITECTURES:
        reader.later(f"USING {name}", offset)
    elif name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise SqlExtError("UNKNOWN_ARCHITECTURE", architecture=name, known=known, offset=offset)
    return name


def _backbone(reader: TokenReader) -> ModelReference:
    reference = reader.model()
    offset = reader.offset
    if reader.take("FREEZE"):
        what = reader.need_any("ALL, NONE or UNTIL 'layer'", "ALL", "NONE", "UNTIL")
        if what == "UNTIL":
            reader.string("the name of a layer in quotes")
        if what != "ALL":
            reader.later("FREEZE other than ALL", offset)
    return reference


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
    fraction = _fraction(reader, "SPLIT", "validates")
    found: dict[str, Any] = {}
    readers: dict[str, Callable[[], Any]] = {
        "TEST": lambda: _fraction(reader, "TEST", "tests"),
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


def _fraction(reader: TokenReader, word: str, does: str) -> float:
    offset = reader.offset
    fraction = float(reader.number("a fraction between 0 and 1"))
    if not 0 < fraction < 1:
        problem = f"{word} {fraction:g}: the share of rows that {does} lies between 0 and 1."
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
            reader.fail("a number of trials from 1 up", offset)
    if reader.take("BY"):
        method = reader.need_any("GRID or RANDOM", "GRID", "RANDOM").lower()
    if reader.at_any({"MAXIMIZE", "MINIMIZE"}):
        direction = reader.need_any("", "MAXIMIZE", "MINIMIZE").lower()
        metric = reader.identifier("a metric").lower()
    return Tune(tuple(items), trials, method, direction, metric, start)


def _tune_item(reader: TokenReader) -> TuneItem:
    offset = reader.offset
    option = str(reader.name("an option")).lower()  # a key may be in quotes, as in OPTIONS
    kind = reader.need_any("IN or BETWEEN", "IN", "BETWEEN")
    value_offset = reader.offset
    if kind == "BETWEEN":
        low = reader.literal("a number")
        reader.need("AND")
        high = reader.literal("a number")
        return TuneItem(option, None, low, high, reader.take("LOG"), offset, value_offset)
    reader.need("(")
    values = [reader.literal("a value")]
    while reader.take(","):
        values.append(reader.literal("a value"))
    reader.need(")")
    return TuneItem(option, tuple(values), offset=offset, value_offset=value_offset)
