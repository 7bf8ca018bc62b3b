"""What every statement is: leading words, result columns, a parse and a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from sqlext.context import Context, ResultRow
from sqlext.grammar.reader import TokenReader

if TYPE_CHECKING:
    from sqlext.catalog.drop import Dropped

CHANGED: Mapping[str, str] = {
    "model": "STRING",
    "version": "INT",
    "status": "STRING",
    "message": "STRING",
    "size_bytes": "BIGINT",
}
"""Result columns of the statements that change or remove models."""


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
    """A row of :data:`CHANGED`."""
    return dict(zip(CHANGED, (str(model), version, status, message, size_bytes), strict=True))


def dropped_row(model: object, dropped: Dropped, version: int | None) -> ResultRow:
    """What DROP MODEL and ALTER MODEL .. DROP VERSION answer."""
    kept = f"kept, as it is not this model's: {', '.join(dropped.kept)}" if dropped.kept else None
    return changed(model, "DROPPED", kept, version=version, size_bytes=dropped.size_bytes)


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
