"""The base classes of statements, and the result columns that several statements share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from sqlext.context import Context, ResultRow
from sqlext.grammar.reader import TokenReader

if TYPE_CHECKING:
    from sqlext.catalog.drop import Dropped
    from sqlext.catalog.runs import Run

CHANGED: Mapping[str, str] = {
    "model": "STRING",
    "version": "INT",
    "status": "STRING",
    "message": "STRING",
    "size_bytes": "BIGINT",
}
"""Result columns of the statements that change or drop models."""


MOVED: Mapping[str, str] = {
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
"""Result columns of IMPORT and EXPORT MODEL."""


def changed(
    model: object, status: str, message: str | None = None, *, version: int | None = None, size_bytes: int | None = None
) -> ResultRow:
    """Returns a row with the columns of :data:`CHANGED`."""
    return dict(zip(CHANGED, (str(model), version, status, message, size_bytes), strict=True))


def dropped_row(model: object, dropped: Dropped, version: int | None) -> ResultRow:
    """Returns the result row of DROP MODEL and ALTER MODEL .. DROP VERSION."""
    parts = []
    if dropped.cancelled:
        runs = "run " if len(dropped.cancelled) == 1 else "runs "
        parts.append(f"cancelled {runs}{', '.join(dropped.cancelled)}, which trained a further version")
    if dropped.kept:
        parts.append(f"not deleted, because the model did not create it: {', '.join(dropped.kept)}")
    return changed(model, "DROPPED", "; ".join(parts) or None, version=version, size_bytes=dropped.size_bytes)


def find_run(context: Context, run_id: str, right: str) -> Run:
    """Finds a training run; the caller needs ``right`` on the table of its model, if the table exists.

    :raises SqlExtError: those of :meth:`RunStore.find`, PERMISSION_DENIED.
    """
    from sqlext.catalog.runs import RunStore

    run = RunStore(context.spark).find(run_id)
    # A model whose first training runs has no table yet, and so nothing on which a right could be checked.
    if context.catalog.metastore.table(run.name) is not None:
        context.catalog.check(run.name, right)
    return run


class Statement(ABC):
    """A statement of the language. The docstring of a subclass is its syntax and a short description.

    ``HEADS`` are the leading words by which Spark's parser recognizes the statement. ``OUTPUT`` maps the result columns to
    Spark types, in order; clients rely on it, so columns are only ever appended. ``COMMENTS`` describe them for BI tools, in
    the views of the statements that list something in all databases.
    """

    NAME: ClassVar[str]
    HEADS: ClassVar[tuple[tuple[str, ...], ...]]
    OUTPUT: ClassVar[Mapping[str, str]]
    COMMENTS: ClassVar[Mapping[str, str]] = {}

    @classmethod
    @abstractmethod
    def parse(cls, reader: TokenReader) -> Statement:
        """Reads the whole statement, including its head.

        :raises SqlExtError: SYNTAX_ERROR with the offset of the fault, and other errors of the text.
        """

    @abstractmethod
    def run(self, context: Context) -> list[ResultRow]:
        """Runs the statement and returns rows with the columns of :meth:`output`.

        :raises SqlExtError: any error that the user can fix.
        """

    def output(self) -> Mapping[str, str]:
        """Returns the result columns of this statement. They are :attr:`OUTPUT`, unless a clause changes them."""
        return self.OUTPUT


class Explained(ABC):
    """A mixin for statements that have their own EXPLAIN."""

    @abstractmethod
    def explain(self, context: Context, mode: str) -> str:
        """Returns the text of EXPLAIN's column `plan` without running the statement.

        :param mode: SIMPLE, EXTENDED or FORMATTED.
        :raises SqlExtError: the errors that :meth:`Statement.run` would raise before its first Spark job.
        """
