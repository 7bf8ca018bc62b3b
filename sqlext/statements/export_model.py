"""EXPORT MODEL: writes a version as a folder for another warehouse, or as a network file for other tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sqlext.context import Context, ResultRow
from sqlext.grammar.notes import RawOption
from sqlext.grammar.options import Option, boolean, resolve
from sqlext.grammar.reader import TokenReader
from sqlext.statements.base import MOVED, Statement
from sqlext.transfer.formats import read_format
from sqlext.transfer.request import ExportRequest

OPTIONS = (Option("overwrite", boolean, False, "whether an existing export is replaced"),)


@dataclass
class _Clauses:
    path: str = ""
    path_offset: int = 0
    format: str | None = None
    options: list[RawOption] = field(default_factory=list)


@dataclass(frozen=True)
class ExportModel(Statement):
    """``EXPORT MODEL name [VERSION n | ALIAS a] TO 'path' [FORMAT ONNX] [OPTIONS (overwrite = true)]``

    Without FORMAT, writes a folder with everything that belongs to the version, including its backbone. IMPORT MODEL without
    FORMAT reads this folder.
    """

    request: ExportRequest

    NAME = "EXPORT MODEL"
    HEADS = (("EXPORT", "MODEL"),)
    OUTPUT: ClassVar[Mapping[str, str]] = MOVED

    @classmethod
    def parse(cls, reader: TokenReader) -> ExportModel:
        reader.need("EXPORT")
        reader.need("MODEL")
        model, clauses = reader.model(), _Clauses()
        reader.clauses(
            {
                "TO": lambda r: _path(r, clauses),
                "FORMAT": lambda r: setattr(clauses, "format", read_format(r, "EXPORT")),
                "OPTIONS": lambda r: setattr(clauses, "options", r.options()),
            }
        )
        if not clauses.path:
            reader.fail("TO and a path in quotes")
        options = resolve(clauses.options, OPTIONS)
        return cls(
            ExportRequest(
                model, clauses.path, clauses.path_offset, clauses.format, overwrite=bool(options["overwrite"])
            )
        )

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.transfer.exporting import export

        return [export(context, self.request)]


def _path(reader: TokenReader, clauses: _Clauses) -> None:
    clauses.path_offset = reader.offset
    clauses.path = reader.string("a path in quotes")
    if not clauses.path:
        reader.fail("a path in quotes", clauses.path_offset)
