"""What every SQL function is: a name, its argument rules, and the expression that a call becomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    NullType,
    NumericType,
    StringType,
    StructType,
    UserDefinedType,
)

from sqlext.errors import SqlExtError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Fields of Spark's image struct (`ImageSchema`), which BigDL's shares.
IMAGE_FIELDS = ("origin", "height", "width", "nChannels", "mode", "data")


@dataclass(frozen=True)
class Argument:
    """One argument of a call; ``sql`` is how the reply refers to it, ``value`` its value when it is a constant, ``text`` what
    CAST(.. AS STRING) makes of that."""

    type: DataType
    sql: str
    constant: bool = False
    value: Any = None
    text: str | None = None


@dataclass(frozen=True)
class Call:
    """A call as the analyser sees it; ``namespace`` is the database that unqualified names mean here."""

    spark: SparkSession
    function: str
    namespace: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Step:
    """A scoring step: the registered UDF ``udf`` over SQL ``arguments``; later texts call its result ``name``."""

    name: str
    udf: str
    arguments: tuple[str, ...]


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
        if not is_image(image.type) and not isinstance(image.type, NullType):
            given = given_type(image.type)
            raise self.invalid(call, f"needs an image (BINARY or an image struct), got {given}")

    def constant_string(self, call: Call, index: int, what: str) -> str:
        argument = call.arguments[index]
        if not argument.constant or not isinstance(argument.type, StringType) or argument.value is None:
            raise self.invalid(call, f"needs {what} as a constant string")
        return str(argument.value)


class NativeFunction(SqlFunction):
    """A function that the JVM evaluates; Python only names it."""

    def bind(self, call: Call) -> Binding:
        raise AssertionError(f"{self.name} is bound in the JVM")


def given_type(kind: DataType) -> str:
    """A type for an error; behind STRING what makes images of paths."""
    return "string (read_image(path) reads the files of paths)" if isinstance(kind, StringType) else kind.simpleString()


def is_image_struct(kind: DataType) -> bool:
    """Whether a type is Spark's (or BigDL's) image struct."""
    return isinstance(kind, StructType) and {n.lower() for n in kind.fieldNames()} >= {f.lower() for f in IMAGE_FIELDS}


def is_image(kind: DataType) -> bool:
    """BINARY or an image struct."""
    return isinstance(kind, BinaryType) or is_image_struct(kind)


def is_array(kind: DataType) -> bool:
    """An array of numbers."""
    return isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType)


def is_vector(kind: DataType) -> bool:
    """An ML vector, of `spark.ml` or the older `spark.mllib`."""
    return isinstance(kind, UserDefinedType) and type(kind).__name__ == "VectorUDT"


def image_sql(argument: Argument) -> str:
    """The argument as a scoring step takes it: BINARY, or the image struct's six fields in order; NULL is no image."""
    if isinstance(argument.type, NullType):
        return f"CAST({argument.sql} AS BINARY)"
    if isinstance(argument.type, BinaryType):
        return argument.sql
    fields = ", ".join(f"'{f}', {argument.sql}.{f}" for f in IMAGE_FIELDS)
    return f"CASE WHEN {argument.sql} IS NULL THEN NULL ELSE named_struct({fields}) END"
