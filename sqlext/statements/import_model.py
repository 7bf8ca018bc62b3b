"""IMPORT MODEL: creates a model from a network file: a backbone for TRAIN and embed(), or with labels a classifier, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError
from sqlext.grammar.notes import Name, RawOption
from sqlext.grammar.options import Option, as_written, choice, resolve, text
from sqlext.grammar.reader import Creation, TokenReader
from sqlext.statements.base import MOVED, Statement
from sqlext.transfer.formats import FORMATS, read_format
from sqlext.transfer.request import ImportRequest

OPTIONS = (
    # sqlext.images.preprocessing parses the values of the options that are read as_written.
    Option(
        "image_size",
        as_written,
        None,
        "side of the square input in pixels; default: the size of the network's input, or 224 if it is not fixed",
    ),
    Option("resize", as_written, None, "short_side:256, squash:256 or none"),
    Option("crop", as_written, None, "position of the square that is cut out: center"),
    Option("color", as_written, None, "channel order: rgb or bgr"),
    Option("scale", as_written, None, "factor for the values 0 to 255; default: 1/255, or what the network takes"),
    Option("mean", as_written, None, "subtracted after scaling, per channel"),
    Option("std", as_written, None, "divisor after the mean is subtracted, per channel"),
    Option("input", text, None, "name of the graph's input; default: the only one that can be a picture"),
    Option("output", text, None, "name of the graph's output; default: the only one that can hold scores"),
    Option(
        "embedding",
        text,
        None,
        "name of the tensor that embed() returns; default: the input of the classifier",
    ),
    Option(
        "scores",
        choice("logits", "probabilities", "value"),
        None,
        "what the output contains; default: decided by the last operators and by the values for a few pictures",
    ),
    Option("promote", choice("never", "always"), "never", "whether an additional version becomes the default"),
)


@dataclass
class _Clauses:
    path: str = ""
    path_offset: int = 0
    format: str | None = None
    own: dict[str, int] = field(
        default_factory=dict
    )  # clause -> offset, for the clauses that are only for network files
    labels: tuple[str, ...] | None = None
    labels_from: Name | None = None
    comment: str | None = None
    options: list[RawOption] = field(default_factory=list)


@dataclass(frozen=True)
class ImportModel(Statement):
    """``IMPORT [OR REPLACE] MODEL [IF NOT EXISTS] name FROM 'path' [FORMAT ONNX] [LABELS ('a', ..) | LABELS FROM table]
    [COMMENT s] [OPTIONS (..)]``

    Runs fixed pictures through every engine that can run the network, and fails if two engines disagree. Without FORMAT,
    reads a folder that EXPORT MODEL wrote.
    """

    request: ImportRequest

    NAME = "IMPORT MODEL"
    HEADS = (("IMPORT", "MODEL"), ("IMPORT", "OR", "REPLACE", "MODEL"))
    OUTPUT: ClassVar[Mapping[str, str]] = MOVED

    @classmethod
    def parse(cls, reader: TokenReader) -> ImportModel:
        creation, clauses = reader.creation("IMPORT"), _Clauses()
        reader.clauses(
            {
                "FROM": lambda r: _path(r, clauses),
                "FORMAT": lambda r: setattr(clauses, "format", read_format(r, "IMPORT")),
                "LABELS": lambda r: _labels(r, clauses),
                "COMMENT": lambda r: setattr(clauses, "comment", r.string("a comment in quotes")),
                "OPTIONS": lambda r: _options(r, clauses),
            }
        )
        if not clauses.path:
            reader.fail("FROM and a path in quotes")
        return cls(_request(creation, clauses))

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.transfer.importing import import_model

        return [import_model(context, self.request)]


def _request(creation: Creation, clauses: _Clauses) -> ImportRequest:
    request = ImportRequest(
        name=creation.name,
        replace=creation.replace,
        if_not_exists=creation.if_not_exists,
        path=clauses.path,
        path_offset=clauses.path_offset,
        options=resolve(clauses.options, OPTIONS),
        format=clauses.format or _format_of(clauses),
        labels=clauses.labels,
        labels_from=clauses.labels_from,
        labels_offset=clauses.own.get("LABELS", clauses.path_offset),
        comment=clauses.comment,
        given={option.key: option.value_offset for option in clauses.options},
    )
    _check(request)
    return request


def _path(reader: TokenReader, clauses: _Clauses) -> None:
    clauses.path_offset = reader.offset
    clauses.path = reader.string("a path in quotes")


def _format_of(clauses: _Clauses) -> str | None:
    path = clauses.path.lower()
    if path.endswith(".onnx") or path.startswith("sqlext:"):
        return "ONNX"
    # A folder of an EXPORT contains its labels and options.
    for clause, offset in clauses.own.items():
        formats = " or ".join(FORMATS)
        raise SqlExtError("EXPORT_HAS_ITS_OWN", clause=clause, path=clauses.path, formats=formats, offset=offset)
    return None


def _check(request: ImportRequest) -> None:
    """Rejects clauses that contradict each other."""
    if request.path.startswith("sqlext:") and request.format != "ONNX":
        reason = f"'{request.path}' is an ONNX network: write FORMAT ONNX."
        raise SqlExtError("INVALID_NETWORK", reason=reason, offset=request.path_offset)
    if request.replace and request.options["promote"] == "never" and "promote" in request.given:
        accepted = "'always' with OR REPLACE, which removes the older versions"
        values = {"option": "promote", "value": "never", "accepted": accepted}
        raise SqlExtError("INVALID_OPTION_VALUE", offset=request.given["promote"], **values)


def _options(reader: TokenReader, clauses: _Clauses) -> None:
    clauses.own["OPTIONS"] = reader.offset
    clauses.options = reader.options()


def _labels(reader: TokenReader, clauses: _Clauses) -> None:
    clauses.own["LABELS"] = reader.offset
    if reader.take("FROM"):
        clauses.labels_from = reader.name("a table name")
        return
    clauses.labels = tuple(reader.parenthesised_list(reader.string, "a label in quotes"))
