"""The features of a call as one argument: an image, an array, an ML vector, a struct or separate columns.

A scoring step takes an image, or an array of FLOAT or DOUBLE. The other forms are converted by SQL inside the step's argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DoubleType,
    FloatType,
    NullType,
    NumericType,
    StringType,
    StructField,
    StructType,
)

from sqlext.catalog.entry import ModelVersion
from sqlext.errors import SqlExtError
from sqlext.grammar.notes import Name
from sqlext.spark.types import IMAGE_FIELDS, is_array, is_image, is_vector, shown_type
from sqlext.text import identifier


@dataclass(frozen=True)
class Argument:
    """One argument of a call; ``sql`` refers to it. A constant has a ``value``, and ``text`` is that value CAST to STRING.

    A column of type CHAR(n) is ``padded`` with spaces.
    """

    type: DataType
    sql: str
    constant: bool = False
    value: Any = None
    text: str | None = None
    padded: bool = False


@dataclass(frozen=True)
class TrainedInput:
    """The input of a version: ``kind`` is image, array or columns; ``columns`` are (name, type) in the order of the training."""

    kind: str
    columns: tuple[tuple[str, str], ...]
    width: int
    imported: bool
    has_backbone: bool

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> TrainedInput:
        recorded = manifest.get("input") or {}
        imported = manifest["kind"] == "backbone"
        # An imported network records only `column`.
        columns = recorded.get("columns") or ([{"name": recorded["column"]}] if recorded.get("column") else [])
        return cls(
            "image" if imported else recorded.get("kind") or "array",
            tuple((c["name"], c.get("type") or "") for c in columns),
            int(manifest["width"]),
            imported,
            bool(manifest.get("backbone")),
        )

    @property
    def takes_images(self) -> bool:
        return self.imported or self.has_backbone

    @property
    def takes_arrays(self) -> bool:
        return not self.imported

    @property
    def expected(self) -> str:
        """The accepted input in words, for an error."""
        if self.imported:
            return "an image"
        if self.kind == "columns":
            named = ", ".join(f"{name} {kind.upper()}".strip() for name, kind in self.columns)
            return (
                f"its columns ({named}) in this order, a STRUCT with these names, or an array of {self.width} numbers"
            )
        if self.kind == "image" or self.has_backbone:
            return f"an image or an array of {self.width} numbers"
        return f"an array of {self.width} numbers (train it with BACKBONE to score images)"


def as_one(
    model: ModelVersion, manifest: dict[str, Any], arguments: Sequence[Argument], signature: str | None = None
) -> Argument:
    """Returns the features as one argument: an image (BINARY, an image struct or NULL) or an array of numbers.

    :param signature: that of the called function, for the error.
    :raises SqlExtError: FEATURES_MISMATCH, which says what the model takes.
    """
    trained = TrainedInput.of(manifest)
    fields = _fields(trained, arguments)
    struct = arguments[0].sql if len(fields) > len(arguments) else None
    found = _one(trained, tuple(arguments)) or _many(trained, fields, struct)
    if found is not None and (trained.takes_arrays if is_array(found.type) else trained.takes_images):
        return found
    call = f"The call is {signature}." if signature else ""
    types = _shown_types(trained, arguments)
    raise SqlExtError("FEATURES_MISMATCH", model=model.name, expected=trained.expected, given=types, call=call)


def _one(trained: TrainedInput, arguments: tuple[Argument, ...]) -> Argument | None:
    """Returns a single image, array, vector or NULL; None for other arguments."""
    if len(arguments) != 1:
        return None
    only = arguments[0]
    if is_vector(only.type):
        return Argument(ArrayType(DoubleType()), f"sqlext_vector_to_array({only.sql})")
    if isinstance(only.type, NullType):
        return (
            only if trained.kind == "image" else Argument(ArrayType(DoubleType()), f"CAST({only.sql} AS ARRAY<DOUBLE>)")
        )
    return only if is_image(only.type) or is_array(only.type) else None


def _fields(trained: TrainedInput, arguments: Sequence[Argument]) -> tuple[Argument, ...]:
    """Returns the arguments or, if the only one is a struct, its fields with the names of the feature columns, in their order.

    Columns without such a field are left out.
    """
    if len(arguments) != 1 or not isinstance(arguments[0].type, StructType):
        return tuple(arguments)
    fields = [_field(arguments[0].type, name) for name, _ in trained.columns]
    return tuple(Argument(f.dataType, f"{arguments[0].sql}.{identifier(f.name)}") for f in fields if f is not None)


def _field(struct: StructType, column: str) -> StructField | None:
    """The field with the name of a feature column: the same name or, if no other field has it, the name in another case."""
    name = Name.recorded(column, 0).plain
    same = [f for f in struct.fields if f.name == name] or [f for f in struct.fields if f.name.lower() == name.lower()]
    return same[0] if len(same) == 1 else None


def _many(trained: TrainedInput, arguments: tuple[Argument, ...], struct: str | None) -> Argument | None:
    """Returns columns, or the fields of ``struct``, as an array; None unless they are as many numbers as in the training.

    If the model was not trained on columns, the only field of a struct is an image or an array and is used unchanged.
    """
    if trained.kind != "columns":
        return _one(trained, arguments)
    if len(arguments) != len(trained.columns) or not all(_is_number(a.type) for a in arguments):
        return None
    # DOUBLE, because the head subtracts the mean first: large numbers that differ little would be equal as FLOAT.
    values = ", ".join(f"CAST({a.sql} AS DOUBLE)" for a in arguments)
    # Without the CASE, a NULL struct would become an array of NULLs, and predict_error would not say 'no features'.
    array = f"array({values})"
    return Argument(ArrayType(DoubleType()), f"CASE WHEN {struct} IS NOT NULL THEN {array} END" if struct else array)


def _is_number(kind: DataType) -> bool:
    return isinstance(kind, NumericType | BooleanType | NullType)


def _shown_types(trained: TrainedInput, arguments: Sequence[Argument]) -> str:
    first = arguments[0].type if len(arguments) == 1 else None
    if isinstance(first, StringType):
        return shown_type(first)
    if isinstance(first, StructType) and not is_image(first):
        missing = [name for name, _ in trained.columns if _field(first, name) is None]
        if missing and trained.kind == "columns":
            return f"a STRUCT without {', '.join(missing)}"
    return ", ".join(a.type.simpleString() for a in arguments) or "nothing"


def array_sql(argument: Argument) -> str:
    """Returns an array argument as a scoring step takes it: ARRAY<FLOAT> unchanged, otherwise ARRAY<DOUBLE>."""
    of_floats = isinstance(argument.type, ArrayType) and isinstance(argument.type.elementType, FloatType)
    return argument.sql if of_floats else f"CAST({argument.sql} AS ARRAY<DOUBLE>)"


def image_sql(argument: Argument) -> str:
    """Returns the argument as a scoring step takes it: BINARY (an untyped NULL too), or a struct of the six image fields."""
    if isinstance(argument.type, NullType):
        return f"CAST({argument.sql} AS BINARY)"
    if isinstance(argument.type, BinaryType):
        return argument.sql
    # The worker gets the same six fields whatever else the struct holds. A struct of NULLs would not be NULL, hence the CASE.
    fields = ", ".join(f"'{f}', {argument.sql}.{f}" for f in IMAGE_FIELDS)
    return f"CASE WHEN {argument.sql} IS NULL THEN NULL ELSE named_struct({fields}) END"
