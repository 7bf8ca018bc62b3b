"""DROP MODEL: a whole model, or one version of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sqlext.errors import SqlExtError
from sqlext.statements.base import Context, ResultRow, Statement, located
from sqlext.tokens import Name, TokenReader

if TYPE_CHECKING:
    from sqlext.catalog import Dropped


@dataclass(frozen=True)
class DropModel(Statement):
    """``DROP MODEL [IF EXISTS] name [VERSION n]``

    Refused for the default version (unless it is the last), an aliased version and a backbone version that models use.
    """

    name: Name
    version: int | None
    if_exists: bool

    NAME = "DROP MODEL"
    HEADS = (("DROP", "MODEL"),)
    OUTPUT: ClassVar[dict[str, str]] = {
        "model": "STRING",
        "version": "INT",
        "status": "STRING",
        "message": "STRING",
        "size_bytes": "BIGINT",
    }

    @classmethod
    def parse(cls, reader: TokenReader) -> DropModel:
        reader.need("DROP", "MODEL")
        if_exists = reader.take("IF", "EXISTS")
        name = reader.name("a model name")
        version = reader.integer("a version number") if reader.take("VERSION") else None
        reader.end("VERSION or the end of the statement")
        return cls(name, version, if_exists)

    def run(self, context: Context) -> list[ResultRow]:
        name = context.model_name(self.name)
        try:
            dropped = located(self.name.offset, lambda: self._drop(context))
        except SqlExtError as error:
            if not (self.if_exists and error.error_class in ("MODEL_NOT_FOUND", "MODEL_VERSION_NOT_FOUND")):
                raise
            row = {"model": str(name), "version": self.version, "status": "NOT_FOUND", "message": "nothing to drop"}
            return [row | {"size_bytes": 0}]
        kept = f"kept, as it is not this model's: {', '.join(dropped.kept)}" if dropped.kept else None
        row = {"model": str(name), "version": self.version, "status": "DROPPED", "message": kept}
        return [row | {"size_bytes": dropped.size_bytes}]

    def _drop(self, context: Context) -> Dropped:
        name, catalog = context.model_name(self.name), context.catalog
        return catalog.drop_model(name) if self.version is None else catalog.drop_version(name, self.version)
