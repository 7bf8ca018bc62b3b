"""DROP MODEL: drops a whole model, or one version of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError, error_at
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import TokenReader
from sqlext.statements.base import CHANGED, Statement, changed, dropped_row

if TYPE_CHECKING:
    from sqlext.catalog.drop import Dropped

MISSING = ("MODEL_NOT_FOUND", "MODEL_VERSION_NOT_FOUND", "DATABASE_NOT_FOUND")


@dataclass(frozen=True)
class DropModel(Statement):
    """``DROP MODEL [IF EXISTS] name [VERSION n]``

    An error for the default version (unless it is the only one), for a version with an alias, and for a backbone version that
    models use. Cancels the trainings of a model that it drops.
    """

    name: Name
    version: int | None
    if_exists: bool
    version_offset: int = 0

    NAME = "DROP MODEL"
    HEADS = (("DROP", "MODEL"),)
    OUTPUT: ClassVar[Mapping[str, str]] = CHANGED

    @classmethod
    def parse(cls, reader: TokenReader) -> DropModel:
        reader.need("DROP", "MODEL")
        if_exists = reader.take("IF", "EXISTS")
        name = reader.name("a model name")
        has_version = reader.take("VERSION")
        offset = reader.offset
        version = reader.integer("a version number") if has_version else None
        reader.end("VERSION or the end of the statement")
        return cls(name, version, if_exists, offset)

    def run(self, context: Context) -> list[ResultRow]:
        name = context.model_name(self.name)
        try:
            with error_at(self.name.offset):
                context.catalog.get(name)
            offset = self.name.offset if self.version is None else self.version_offset
            with error_at(offset):
                dropped = self._drop(context)
        except SqlExtError as error:
            if not (self.if_exists and error.error_class in MISSING):
                raise
            return [changed(name, "NOT_FOUND", self._nothing(context), version=self.version, size_bytes=0)]
        return [dropped_row(name, dropped, self.version)]

    def _nothing(self, context: Context) -> str:
        """The message of NOT_FOUND; it names the runs that will create the model."""
        from sqlext.catalog.runs import RunStore

        runs: list[str] = []
        with suppress(SqlExtError):  # no such database, or its folder cannot be read
            runs = [run.run_id for run in RunStore(context.spark).live(context.model_name(self.name))]
        training = [f"run {run} trains it: CANCEL TRAINING '{run}' stops the run" for run in runs]
        return "; ".join(["nothing to drop", *training])

    def _drop(self, context: Context) -> Dropped:
        name, catalog = context.model_name(self.name), context.catalog
        return catalog.drop_model(name) if self.version is None else catalog.drop_version(name, self.version)
