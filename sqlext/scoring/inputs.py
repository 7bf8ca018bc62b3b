"""What a prediction is made from: an image, an array, an ML vector, a struct or the columns themselves, as one argument.

A scoring step takes an image or an ARRAY<FLOAT>; everything else becomes one of these in SQL, inside the step's argument.
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
    StructType,
)

from sqlext.catalog.entry import ModelVersion
from sqlext.errors import SqlExtError
from sqlext.spark.types import IMAGE_FIELDS, is_array, is_image, is_vector, shown_type
from sqlext.text import identifier


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
class TrainedInput:
    """What a version takes: ``kind`` is image, array or columns; ``columns`` are (name, type) in trained order."""

    kind: str
    columns: tuple[tuple[str, str], ...]
    width: int
    imported: bool
    has_backbone: bool

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> TrainedInput:
        told = manifest.get("input") or {}
        imported = manifest["kind"] == "backbone"
        columns = told.get("columns") or ([{"name": told["column"]}] if told.get("column") else [])
        return cls(
            "image" if imported else told.get("kind") or "array",
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
        """In words, for an error."""
        if self.imported:
            return "an image"
        if self.kind == "columns":
            named = ", ".join(f"{name} {kind.upper()}".strip() for name, kind in self.columns)
            return f"its columns ({named}) in that order, a STRUCT with those names or an array of {self.width} numbers"
        if self.kind == "image" or self.has_backbone:
            return f"an image or an array of {self.width} numbers"
        return f"an array of {self.width} numbers (train it with BACKBONE to score images)"


def as_one(
    model: ModelVersion, manifest: dict[str, Any], given: Sequence[Argument], signature: str | None = None
) -> Argument:
    """The features as one argument: an image (BINARY, an image struct, NULL) or an array of numbers.

    :param signature: of the function that was called, for the error.
    :raises SqlExtError: FEATURES_MISMATCH naming what the model takes.
    """
    trained = TrainedInput.of(manifest)
    fields = _fields(trained, given)
    found = _one(trained, tuple(given)) or _many(trained, fields, given[0].sql if len(fields) > len(given) else None)
    if found is not None and (trained.takes_arrays if is_array(found.type) else trained.takes_images):
        return found
    call = f"The call is {signature}." if signature else ""
    raise SqlExtError(
        "FEATURES_MISMATCH", model=model.name, expected=trained.expected, given=_given(trained, given), call=call
    )


def _one(trained: TrainedInput, given: tuple[Argument, ...]) -> Argument | None:
    """A single image, array, vector or NULL."""
    if len(given) != 1:
        return None
    only = given[0]
    if is_vector(only.type):
        return Argument(ArrayType(DoubleType()), f"sqlext_vector_to_array({only.sql})")
    if isinstance(only.type, NullType):
        return (
            only if trained.kind == "image" else Argument(ArrayType(FloatType()), f"CAST({only.sql} AS ARRAY<FLOAT>)")
        )
    return only if is_image(only.type) or is_array(only.type) else None


def _fields(trained: TrainedInput, given: Sequence[Argument]) -> tuple[Argument, ...]:
    """The arguments; of a struct the trained columns by their names, in trained order."""
    if len(given) != 1 or not isinstance(given[0].type, StructType):
        return tuple(given)
    types = {f.name.lower(): f.dataType for f in given[0].type.fields}
    if not all(name.lower() in types for name, _ in trained.columns):
        return ()
    return tuple(Argument(types[n.lower()], f"{given[0].sql}.{identifier(n)}") for n, _ in trained.columns)


def _many(trained: TrainedInput, given: tuple[Argument, ...], struct: str | None) -> Argument | None:
    """Columns, or the fields of ``struct``, as an array: as many as were trained, each a number.

    The only field of a struct is what it is.
    """
    if trained.kind != "columns":
        return _one(trained, given)
    if len(given) != len(trained.columns) or not all(_is_number(a.type) for a in given):
        return None
    values = ", ".join(f"CAST({a.sql} AS FLOAT)" for a in given)
    array = f"array({values})"
    return Argument(ArrayType(FloatType()), f"CASE WHEN {struct} IS NOT NULL THEN {array} END" if struct else array)


def _is_number(kind: DataType) -> bool:
    return isinstance(kind, NumericType | BooleanType | NullType)


def _given(trained: TrainedInput, given: Sequence[Argument]) -> str:
    if len(given) == 1 and isinstance(given[0].type, StringType):
        return shown_type(given[0].type)
    if len(given) == 1 and isinstance(given[0].type, StructType) and not is_image(given[0].type):
        there = {f.name.lower() for f in given[0].type.fields}
        missing = [name for name, _ in trained.columns if name.lower() not in there]
        if missing and trained.kind == "columns":
            return f"a STRUCT without {', '.join(missing)}"
    return ", ".join(a.type.simpleString() for a in given) or "nothing"


def image_sql(argument: Argument) -> str:
    """The argument as a scoring step takes it: BINARY, or the image struct's six fields in order; NULL is no image."""
    if isinstance(argument.type, NullType):
        return f"CAST({argument.sql} AS BINARY)"
    if isinstance(argument.type, BinaryType):
        return argument.sql
    fields = ", ".join(f"'{f}', {argument.sql}.{f}" for f in IMAGE_FIELDS)
    return f"CASE WHEN {argument.sql} IS NULL THEN NULL ELSE named_struct({fields}) END"
