"""EXPORT MODEL: a version as a folder to carry to another warehouse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sqlext.errors import SqlExtError
from sqlext.options import Option, boolean, resolve
from sqlext.statements.base import Context, ResultRow, Statement
from sqlext.tokens import ModelReference, RawOption, TokenReader

OPTIONS = (Option("overwrite", boolean, False, "whether an export that is there already is replaced"),)


@dataclass
class _Clauses:
    path: str = ""
    path_offset: int = 0
    options: list[RawOption] = field(default_factory=list)


class ExportModel(Statement):
    """``EXPORT MODEL name [VERSION n | ALIAS a] TO 'path' [OPTIONS (overwrite = true)]``

    Writes one folder with all that the version has, its backbone included; IMPORT MODEL without FORMAT reads it.
    """

    NAME = "EXPORT MODEL"
    HEADS = (("EXPORT", "MODEL"),)
    OUTPUT: ClassVar[dict[str, str]] = {
        "model": "STRING",
        "version": "INT",
        "format": "STRING",
        "location": "STRING",
        "size_bytes": "BIGINT",
        "sha256": "STRING",
        "status": "STRING",
        "message": "STRING",
        "is_default": "BOOLEAN",
    }

    def __init__(self, model: ModelReference, clauses: _Clauses) -> None:
        self.model = model
        self.path, self.path_offset = clauses.path, clauses.path_offset
        self.options = resolve(clauses.options, OPTIONS)

    @classmethod
    def parse(cls, reader: TokenReader) -> ExportModel:
        reader.need("EXPORT")
        reader.need("MODEL")
        model, clauses = reader.model(), _Clauses()
        reader.clauses(
            {
                "TO": lambda r: _path(r, clauses),
                "FORMAT": _no_format,
                "OPTIONS": lambda r: setattr(clauses, "options", r.options()),
            }
        )
        if not clauses.path:
            reader.fail("TO and a path in quotes")
        return cls(model, clauses)

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.transfer.export import export

        return [export(context, self)]


def _path(reader: TokenReader, clauses: _Clauses) -> None:
    clauses.path_offset = reader.offset
    clauses.path = reader.string("a path in quotes")
    if not clauses.path:
        reader.fail("a path in quotes", clauses.path_offset)


def _no_format(reader: TokenReader) -> None:
    offset = reader.offset
    name = reader.identifier("a format").upper()
    raise SqlExtError("FEATURE_NOT_AVAILABLE", feature=f"EXPORT .. FORMAT {name}", offset=offset)
