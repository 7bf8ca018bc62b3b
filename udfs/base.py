"""The base classes of the SQL functions: names and usage texts, argument checks, and the expression that a call becomes.

Tools without Spark import this module for the signatures, so whatever needs Spark is imported only when a call is bound.
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
from sqlext.errors import SqlExtError, error_in_argument
from sqlext.text import identifier

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlext.catalog.facade import ModelCatalog
    from sqlext.scoring.inputs import Argument
    from sqlext.scoring.steps import Step

logger = logging.getLogger("sqlext")


# Descriptions that the usage texts of several functions share.
MODEL = "model - a constant string: 'db.model', 'db.model@3' or 'db.model@alias'"
FEATURES = """features - an image (BINARY or image struct), an array or ML vector as long as the features in training, a STRUCT
        with the names of the feature columns of the training, or these columns themselves, in the order of the training"""
IMAGE = "image - BINARY (an encoded picture) or an image struct"


def argument_list(*described: str) -> str:
    """The text of ``arguments``, in the form that Spark requires; each of ``described`` is ``name - what it is``."""
    return "\n    Arguments:\n" + "".join(f"      * {text}\n" for text in described) + "    "


@dataclass(frozen=True)
class Call:
    """A call as the analyser sees it; unqualified names refer to the database ``namespace``."""

    spark: SparkSession
    function: str
    namespace: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Binding:
    """What a call becomes: scoring steps, and a SQL expression over them and the arguments."""

    steps: tuple[Step, ...]
    result: str


class Function(ABC):
    """What scalar and table functions share. ``signature`` is shown in errors and in DESCRIBE FUNCTION."""

    name: ClassVar[str]
    signature: ClassVar[str]
    usage: ClassVar[str]
    arguments: ClassVar[str] = ""
    examples: ClassVar[str] = ""

    def expect(self, call: Call, count: int) -> None:
        if len(call.arguments) != count:
            raise self.invalid(call, f"takes {count} argument{'s' if count != 1 else ''}, got {len(call.arguments)}")

    def invalid(self, call: Call, problem: str) -> SqlExtError:
        return SqlExtError("INVALID_ARGUMENTS", problem=problem, signature=self.signature)

    def constant_string(self, call: Call, index: int, what: str) -> str:
        from pyspark.sql.types import StringType

        argument = call.arguments[index]
        if not argument.constant or not isinstance(argument.type, StringType) or argument.value is None:
            with error_in_argument(index):
                raise self.invalid(call, f"needs {what} as a constant string")
        return str(argument.value)

    def version(self, call: Call) -> tuple[ModelCatalog, ModelVersion]:
        """Returns the catalog, and the version that the first argument, a constant, refers to now.

        A running query does not change to another version. The caller needs SELECT on the model's table.

        :raises SqlExtError: INVALID_ARGUMENTS and those of :meth:`ModelCatalog.resolve`.
        """
        from sqlext.catalog.facade import ModelCatalog

        text = self.constant_string(call, 0, "a model name")
        catalog = ModelCatalog(call.spark)
        # The plan of a query that scores contains no relation for the model, so an
        # authorization extension sees only this check.
        with error_in_argument(0):
            version = catalog.resolve(ModelRef.parse(text, call.namespace))
            catalog.check(version.name, "SELECT")
        return catalog, version


class SqlFunction(Function):
    """One SQL function that returns a value."""

    native: ClassVar[str | None] = None  # a Scala expression class, which needs no Python worker

    @abstractmethod
    def bind(self, call: Call) -> Binding:
        """Checks the number and types of the arguments at analysis, and returns what the call becomes.

        :raises SqlExtError: INVALID_ARGUMENTS, and the errors about models and features.
        """

    def expect_at_least(self, call: Call, count: int) -> None:
        """For functions whose features may be several columns."""
        if len(call.arguments) < count:
            raise self.invalid(call, f"takes at least {count} arguments, got {len(call.arguments)}")

    def expect_image(self, call: Call, image: Argument) -> None:
        """Accepts an image or an untyped NULL."""
        from pyspark.sql.types import NullType

        from sqlext.spark.types import is_image, shown_type

        if not is_image(image.type) and not isinstance(image.type, NullType):
            raise self.invalid(call, f"needs an image (BINARY or an image struct), got {shown_type(image.type)}")


class NativeFunction(SqlFunction):
    """A function that the JVM evaluates; Python only declares it."""

    def bind(self, call: Call) -> Binding:
        raise AssertionError(f"{self.name} is bound in the JVM")


class PictureFunction(SqlFunction):
    """A function whose only argument is a picture; ``result`` is SQL over the step `inspected`."""

    arguments = argument_list(IMAGE)
    result: ClassVar[str]

    def bind(self, call: Call) -> Binding:
        from sqlext.scoring.steps import inspection_steps

        self.expect(call, 1)
        image = call.arguments[0]
        self.expect_image(call, image)
        return Binding(inspection_steps(call.spark, image), self.result)


class ModelFunction(SqlFunction):
    """A function of a model and features; ``result`` is SQL over the step `scored`.

    ``wanted`` is CLASSIFIER or REGRESSOR if the function accepts only one of them.
    """

    wanted: ClassVar[str | None] = None
    result: ClassVar[str]
    arguments = argument_list(MODEL, FEATURES)

    def bind(self, call: Call) -> Binding:
        self.expect_at_least(call, 2)
        version, _ = self.resolve(call)
        return self.scored(call, version, call.arguments[1:], self.result)

    def scored(self, call: Call, model: ModelVersion, features: tuple[Argument, ...], result: str) -> Binding:
        """Returns ``result`` over the step `scored` of ``model`` and ``features``."""
        from sqlext.scoring.steps import prediction_steps

        return Binding(prediction_steps(call.spark, model, features, self.signature), result)

    def resolve(self, call: Call) -> tuple[ModelVersion, dict[str, Any]]:
        """Returns the :meth:`version`, with its manifest.

        :raises SqlExtError: WRONG_KIND_OF_MODEL and those of :meth:`version`.
        """
        catalog, version = self.version(call)
        manifest = catalog.read_manifest(version)
        is_regressor = predicts_a_value(manifest)
        if self.wanted is not None and is_regressor != (self.wanted == REGRESSOR):
            instead = f"Write {'predict_value' if is_regressor else 'classify'}('{call.arguments[0].value}', ..)."
            kind = (
                REGRESSOR
                if is_regressor
                else manifest["kind"]
                if manifest["kind"] != BACKBONE
                else "network that predicts classes"
            )
            with error_in_argument(0):
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


class TableFunction(Function):
    """One table function. ``OUTPUT`` maps result columns to Spark types, in order; new columns go at its end.

    ``comments`` describe the columns in the view that `sqlext serve` creates of the function, if it does.
    """

    OUTPUT: ClassVar[Mapping[str, str]]
    comments: ClassVar[Mapping[str, str]] = {}

    def bind(self, call: Call) -> dict[str, Any]:
        """Checks the arguments at analysis, and returns plain JSON that :meth:`rows` gets when the query runs.

        If it returns the result of :func:`scan` instead, Spark reads the rows itself.

        :raises SqlExtError: INVALID_ARGUMENTS, and the errors about models.
        """
        if call.arguments:
            raise self.invalid(call, f"takes no argument, got {len(call.arguments)}")
        return {}

    @abstractmethod
    def rows(self, spark: SparkSession, bound: dict[str, Any]) -> Iterable[TableRow]:
        """Returns the current rows, when a query runs."""


def scan(path: str, schema: Mapping[str, str], columns: list[str]) -> dict[str, Any]:
    """Describes the scan of a Parquet file for :meth:`TableFunction.bind`.

    :param path: a Hadoop path.
    :param schema: columns of the file and their types; columns that the file lacks are NULL.
    :param columns: SQL over these columns, in the order and with the names of OUTPUT.
    """
    ddl = ", ".join(f"{identifier(name)} {kind}" for name, kind in schema.items())
    return {"scan": {"path": path, "schema": ddl, "columns": columns}}


def every_database(spark: SparkSession, rows_of: Callable[[Context, str], Iterable[TableRow]]) -> Iterator[TableRow]:
    """Yields the rows of each database that the caller can see; skips one that was dropped or cannot be read."""
    context = Context(spark, "")
    for database in context.catalog.metastore.databases():
        try:
            yield from rows_of(context, database)
        except SqlExtError as error:
            logger.info("database %s is skipped: %s", database, error)
