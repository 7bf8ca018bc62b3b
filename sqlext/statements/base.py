"""What every statement is: leading words, result columns, a parse and a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sqlext.errors import SqlExtError
from sqlext.grammar.reader import ModelReference, Name, TokenReader

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlext.catalog import Dropped, ModelCatalog, ModelName, ModelRef

ResultRow = dict[str, Any]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Context:
    """What a running statement has at hand: the caller's session and the text it sent."""

    spark: SparkSession
    sql: str

    @cached_property
    def catalog(self) -> ModelCatalog:
        from sqlext.catalog import ModelCatalog

        return ModelCatalog(self.spark)

    def setting(self, name: str) -> str | None:
        """The session's value of ``spark.sqlext.<name>``."""
        from sqlext.settings import setting

        return setting(self.spark, name)

    def model_name(self, name: Name) -> ModelName:
        """``model`` or ``db.model``, resolved against the current database."""
        from sqlext.catalog import ModelName

        return located(name.offset, lambda: ModelName.of(name.parts, self.catalog.current_namespace()))

    def namespace(self, name: Name | None) -> str:
        """The database that FROM or IN names, or the current one.

        :raises SqlExtError: DATABASE_NOT_FOUND.
        """
        if name is None:
            return self.catalog.current_namespace()
        database = str(name).lower()
        located(name.offset, lambda: self.catalog.metastore.database_location(database))
        return database

    def model_ref(self, reference: ModelReference) -> ModelRef:
        from sqlext.catalog import ModelRef

        alias = reference.alias.lower() if reference.alias else None
        return ModelRef(self.model_name(reference.name), reference.version, alias)


CHANGED: Mapping[str, str] = {
    "model": "STRING",
    "version": "INT",
    "status": "STRING",
    "message": "STRING",
    "size_bytes": "BIGINT",
}
"""Result columns of the statements that change or remove models."""


def changed(
    model: object, status: str, message: str | None = None, *, version: int | None = None, size_bytes: int | None = None
) -> ResultRow:
    """A row of :data:`CHANGED`."""
    return dict(zip(CHANGED, (str(model), version, status, message, size_bytes), strict=True))


def dropped_row(model: object, dropped: Dropped, version: int | None) -> ResultRow:
    """What DROP MODEL and ALTER MODEL .. DROP VERSION answer."""
    kept = f"kept, as it is not this model's: {', '.join(dropped.kept)}" if dropped.kept else None
    return changed(model, "DROPPED", kept, version=version, size_bytes=dropped.size_bytes)


def located(offset: int | None, call: Callable[[], _T]) -> _T:
    """Runs ``call``; an error without a position of its own gets this one."""
    try:
        return call()
    except SqlExtError as error:
        if error.offset is None:
            error.offset = offset
        raise


class Statement(ABC):
    """One statement of the language. Its docstring is its manual page in short.

    ``HEADS`` are the leading words by which Spark's parser hands the text over; ``OUTPUT`` maps result columns to Spark
    types, in order (an API: append only).
    """

    NAME: ClassVar[str]
    HEADS: ClassVar[tuple[tuple[str, ...], ...]]
    OUTPUT: ClassVar[Mapping[str, str]]

    @classmethod
    @abstractmethod
    def parse(cls, reader: TokenReader) -> Statement:
        """Reads the statement behind (and including) its head.

        :raises SqlExtError: SYNTAX_ERROR with the offset at fault.
        """

    @abstractmethod
    def run(self, context: Context) -> list[ResultRow]:
        """Carries it out; rows have the columns of :meth:`output`.

        :raises SqlExtError: whatever the user can mend.
        """

    def output(self) -> Mapping[str, str]:
        """Result columns of this very statement (most have one fixed set)."""
        return self.OUTPUT


class Explained(ABC):
    """What a statement adds that has an EXPLAIN of its own."""

    @abstractmethod
    def explain(self, context: Context, mode: str) -> str:
        """The text of EXPLAIN's column `plan`; ``mode`` is SIMPLE, EXTENDED or FORMATTED. Carries nothing out.

        :raises SqlExtError: what :meth:`Statement.run` would raise before its first job.
        """
