"""What every SQL function is: its names and texts, its argument rules, and the expression that a call becomes.

A tool without Spark imports this file for the signatures, so what binds a call is imported when a call is bound.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sqlext.catalog.entry import BACKBONE, REGRESSOR, ModelVersion, predicts_a_value
from sqlext.catalog.names import ModelRef
from sqlext.context import Context
from sqlext.errors import SqlExtError
from sqlext.text import identifier

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlext.scoring.inputs import Argument
    from sqlext.scoring.steps import Step

logger = logging.getLogger("sqlext")


@dataclass(frozen=True)
class Call:
    """A call as the analyser sees it; ``namespace`` is the database that unqualified names mean here."""

    spark: SparkSession
    function: str
    namespace: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Binding:
    """What a call becomes: steps, then a SQL expression over them and the arguments."""

    steps: tuple[Step, ...]
    result: str


class SqlFunction(ABC):
    """One SQL function. ``signature`` is shown in errors and in DESCRIBE FUNCTION."""

    name: ClassVar[str]
    signature: ClassVar[str]
    usage: ClassVar[str]
    arguments: ClassVar[str] = ""
    examples: ClassVar[str] = ""
    native: ClassVar[str | None] = None  # a Scala expression class; no Python worker then

    @abstractmethod
    def bind(self, call: Call) -> Binding:
        """Checks count and types of the arguments and says what the call becomes.

        :raises SqlExtError: INVALID_ARGUMENTS and its kin, at analysis, before anything runs.
        """

    def expect(self, call: Call, count: int) -> None:
        if len(call.arguments) != count:
            raise self.invalid(call, f"takes {count} argument{'s' if count != 1 else ''}, got {len(call.arguments)}")

    def expect_at_least(self, call: Call, count: int) -> None:
        """For functions whose features may be several columns."""
        if len(call.arguments) < count:
            raise self.invalid(call, f"takes {count} arguments or more, got {len(call.arguments)}")

    def invalid(self, call: Call, problem: str) -> SqlExtError:
        return SqlExtError("INVALID_ARGUMENTS", function=call.function, problem=problem, signature=self.signature)

    def expect_image(self, call: Call, image: Argument) -> None:
        """An image, or NULL in its place."""
        from pyspark.sql.types import NullType

        from sqlext.spark.types import is_image, shown_type

        if not is_image(image.type) and not isinstance(image.type, NullType):
            given = shown_type(image.type)
            raise self.invalid(call, f"needs an image (BINARY or an image struct), got {given}")

    def constant_string(self, call: Call, index: int, what: str) -> str:
        from pyspark.sql.types import StringType

        argument = call.arguments[index]
        if not argument.constant or not isinstance(argument.type, StringType) or argument.value is None:
            raise self.invalid(call, f"needs {what} as a constant string")
        return str(argument.value)


class NativeFunction(SqlFunction):
    """A function that the JVM evaluates; Python only names it."""

    def bind(self, call: Call) -> Binding:
        raise AssertionError(f"{self.name} is bound in the JVM")


class PictureFunction(SqlFunction):
    """A function of a picture alone; ``result`` is SQL over the step `inspected`."""

    result: ClassVar[str]

    def bind(self, call: Call) -> Binding:
        from sqlext.scoring.steps import inspection_steps

        self.expect(call, 1)
        image = call.arguments[0]
        self.expect_image(call, image)
        return Binding(inspection_steps(call.spark, image), self.result)


class ModelFunction(SqlFunction):
    """A function of a model and features; ``result`` is SQL over the step `scored`.

    ``wanted`` is CLASSIFIER or REGRESSOR when the function is for one of them.
    """

    wanted: ClassVar[str | None] = None
    result: ClassVar[str]
    arguments = """
    Arguments:
      * model - a constant string: 'db.model', 'db.model@3' or 'db.model@alias'
      * features - an image (BINARY or image struct), an array or ML vector of the trained length, a STRUCT with the trained
        column names, or the columns themselves in trained order
    """

    def bind(self, call: Call) -> Binding:
        self.expect_at_least(call, 2)
        version, _ = self.resolve(call)
        return self.scored(call, version, call.arguments[1:], self.result)

    def scored(self, call: Call, model: ModelVersion, features: tuple[Argument, ...], result: str) -> Binding:
        """``result`` over the step `scored` of ``model`` and ``features``."""
        from sqlext.scoring.steps import prediction_steps

        return Binding(prediction_steps(call.spark, model, features, self.signature), result)

    def resolve(self, call: Call) -> tuple[ModelVersion, dict[str, Any]]:
        """The version that the constant first argument names now, with its manifest; the query keeps it.

        Needs SELECT on the model's table.

        :raises SqlExtError: WRONG_KIND_OF_MODEL and those of :meth:`ModelCatalog.resolve`.
        """
        from sqlext.catalog.facade import ModelCatalog

        text = self.constant_string(call, 0, "a model name")
        catalog = ModelCatalog(call.spark)
        version = catalog.resolve(ModelRef.parse(text, call.namespace))
        catalog.check(version.name, "SELECT")
        manifest = catalog.read_manifest(version)
        is_regressor = predicts_a_value(manifest)
        if self.wanted is not None and is_regressor != (self.wanted == REGRESSOR):
            instead = f"Write {'predict_value' if is_regressor else 'classify'}('{text}', ..)."
            kind = (
                REGRESSOR
                if is_regressor
                else manifest["kind"]
                if manifest["kind"] != BACKBONE
                else "network of classes"
            )
            raise SqlExtError(
                "WRONG_KIND_OF_MODEL",
                function=call.function,
                wanted=self.wanted,
                model=version.name,
                kind=kind,
                instead=instead,
            )
        return version, manifest


# --- table functions ----------------------------------------------------------------------------------------------------

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
    context = Context(spark, "")
    for database in context.catalog.metastore.databases():
        try:
            yield from rows_of(context, database)
        except SqlExtError as error:
            logger.info("%s is left out: %s", database, error)
