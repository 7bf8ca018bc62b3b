"""What every table function is: a name, its result columns, a bind at analysis and rows for each query that reads it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sqlext.errors import SqlExtError
from sqlext.text import identifier
from sqlext.udfs.base import Call

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlext.statements.base import Context

logger = logging.getLogger("sqlext")

TableRow = dict[str, Any]


class TableFunction(ABC):
    """One table function. ``OUTPUT`` maps result columns to Spark types, in order (an API: append only)."""

    name: ClassVar[str]
    signature: ClassVar[str]
    usage: ClassVar[str]
    arguments: ClassVar[str] = ""
    examples: ClassVar[str] = ""
    OUTPUT: ClassVar[Mapping[str, str]]

    def bind(self, call: Call) -> dict[str, Any]:
        """Checks the arguments when a query is analysed; the answer, plain JSON, comes back to :meth:`rows`.

        Or Spark reads the rows by itself: the answer of :func:`scan`.

        :raises SqlExtError: INVALID_ARGUMENTS and its kin.
        """
        if call.arguments:
            raise self.invalid(call, f"takes no argument, got {len(call.arguments)}")
        return {}

    @abstractmethod
    def rows(self, spark: SparkSession, bound: dict[str, Any]) -> Iterable[TableRow]:
        """The rows now, asked for when a query runs."""

    def invalid(self, call: Call, problem: str) -> SqlExtError:
        return SqlExtError("INVALID_ARGUMENTS", function=call.function, problem=problem, signature=self.signature)


def scan(path: str, schema: Mapping[str, str], columns: list[str]) -> dict[str, Any]:
    """The Parquet file at ``path``, a Hadoop path, with ``schema`` (columns that it lacks are NULL); ``columns`` is SQL
    over it, in the order and with the names of OUTPUT."""
    told = {
        "path": path,
        "schema": ", ".join(f"{identifier(name)} {kind}" for name, kind in schema.items()),
        "columns": columns,
    }
    return {"scan": told}


def every_database(spark: SparkSession, rows_of: Callable[[Context, str], Iterable[TableRow]]) -> Iterator[TableRow]:
    """The rows of each database that the caller can see; one that goes or may not be read meanwhile has none."""
    from sqlext.statements.base import Context

    context = Context(spark, "")
    for database in context.catalog.metastore.databases():
        try:
            yield from rows_of(context, database)
        except SqlExtError as error:
            logger.info("%s is left out: %s", database, error)
