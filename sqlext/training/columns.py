"""Resolves FEATURES to one image, one array or vector, or several numeric columns, and checks them before any job runs."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    ByteType,
    DataType,
    DecimalType,
    FloatType,
    FractionalType,
    NumericType,
    ShortType,
    StringType,
    StructField,
)

from sqlext.errors import SqlExtError
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import Source
from sqlext.sources import ColumnOf, find_column, folded, folded_parts, refuse_ambiguous
from sqlext.spark.types import is_array, is_image, is_vector
from sqlext.text import quote_if_needed

_FLOAT_BYTES = 4
_FITS_FLOAT = (BooleanType, ByteType, ShortType, FloatType)


@dataclass(frozen=True)
class Features:
    """What a model learns from: one image, one array (or ML vector), or several numeric columns in this order.

    ``kind`` is image, array or columns. ``left_out`` has the source's other columns, except the column to predict and those of
    VALIDATE BY and GROUP.
    """

    kind: str
    columns: tuple[ColumnOf, ...]
    left_out: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return ", ".join(column.text for column in self.columns)

    @property
    def hash_sql(self) -> str:
        """SQL of the hash over all feature columns, which identifies a row."""
        # Users join the rows of sqlext_held_out() with their tables by this expression, so it cannot change.
        return f"xxhash64({', '.join(column.sql for column in self.columns)})"

    def values(self) -> Column:
        """The image, or the features as an array: of FLOAT if it holds every value of their types, otherwise of DOUBLE."""
        first = self.columns[0]
        if self.kind == "image":
            return F.expr(first.sql)
        number = "float" if self.value_bytes == _FLOAT_BYTES else "double"
        if self.kind == "columns":
            return F.array(*[F.expr(column.sql).cast(number) for column in self.columns])
        if is_vector(first.type):
            # It returns NULL for NULL; Spark's own vector_to_array fails.
            return F.expr(f"sqlext_vector_to_array({first.sql})").cast(f"array<{number}>")
        return F.expr(first.sql).cast(f"array<{number}>")

    @property
    def value_bytes(self) -> int:
        """The size of a feature among the rows of a training."""
        types = [c.type.elementType if isinstance(c.type, ArrayType) else c.type for c in self.columns]
        fits = self.kind == "image" or all(isinstance(kind, _FITS_FLOAT) for kind in types)
        return _FLOAT_BYTES if fits else 2 * _FLOAT_BYTES


def is_number(kind: DataType) -> bool:
    return isinstance(kind, (NumericType, BooleanType))


def find_features(frame: DataFrame, named: list[Name], others: list[Name], source: Source) -> Features:
    """The columns that FEATURES names; if it names none, the columns that fit by type (:func:`_by_rule`).

    :param others: the label first, then the columns of VALIDATE BY and GROUP.
    :raises SqlExtError: INVALID_FEATURES, FEATURES_NOT_CLEAR, COLUMN_NOT_FOUND.
    """
    reserved = {folded_parts(frame, name) for name in others}
    columns = [find_column(frame, name, source) for name in named] if named else _by_rule(frame, reserved, source)
    keys = [folded_parts(frame, column.name) for column in columns]
    if named:
        _check(columns, keys, folded_parts(frame, others[0]))
    # A column of which a field is used is not left out.
    used = reserved | {key[:1] for key in keys}
    known = zip(frame.columns, folded(frame, *frame.columns), strict=True)
    left_out = tuple(quote_if_needed(name) for name, key in known if (key,) not in used)
    return Features(_kind(columns[0].type), tuple(columns), left_out)


def _check(columns: list[ColumnOf], keys: list[tuple[str, ...]], predicted: tuple[str, ...]) -> None:
    """:raises SqlExtError: INVALID_FEATURES for the first column that FEATURES must not name. Equal ``keys`` are equal columns."""
    for i, (column, key) in enumerate(zip(columns, keys, strict=True)):
        problem = "it is the column that the model predicts" if key == predicted else None
        problem = problem or _unfit(column, single=len(columns) == 1)
        if key in keys[:i]:
            problem = problem or "FEATURES names it twice"
        if problem:
            raise SqlExtError("INVALID_FEATURES", column=column.text, problem=problem, offset=column.name.offset)


def _kind(kind: DataType) -> str:
    if is_image(kind):
        return "image"
    return "columns" if is_number(kind) else "array"


def _unfit(column: ColumnOf, *, single: bool) -> str | None:
    """Why the type of a column in FEATURES does not fit, or None."""
    kind = column.type
    problem = None
    if is_image(kind) and not single:
        problem = "an image must be the only feature column"
    elif (is_array(kind) or is_vector(kind)) and not single:
        problem = f"a column of type {kind.simpleString()} must be the only one; only numeric columns can be combined"
    elif not (is_image(kind) or is_array(kind) or is_vector(kind) or is_number(kind)):
        problem = (
            f"{kind.simpleString()} is neither an image (BINARY or an image struct) nor an array, a vector or a number"
        )
        if isinstance(kind, StringType):
            problem += f"; if it {_paths(column.text)}"
    return problem


def _paths(column: str) -> str:
    return (
        f"holds paths of image files, read them in the source: FROM (SELECT read_image({column}) AS image, .. FROM ..)"
    )


def _by_rule(frame: DataFrame, reserved: set[tuple[str, ...]], source: Source) -> list[ColumnOf]:
    """The only image column, otherwise the only array or vector, otherwise all FLOAT, DOUBLE and DECIMAL columns."""
    known = zip(frame.schema.fields, folded(frame, *frame.columns), strict=True)
    fields = [field for field, key in known if (key,) not in reserved]

    def fits_array(kind: DataType) -> bool:
        return is_array(kind) or is_vector(kind)

    for kind, fits in (("image", is_image), ("array", fits_array)):
        found = [f for f in fields if fits(f.dataType)]
        if len(found) == 1:
            return [_column(found[0])]
        refuse_ambiguous(frame, [f.name for f in found], source)
        if found:
            problem = f"it has several {kind} columns ({', '.join(quote_if_needed(f.name) for f in found)}); name one in FEATURES"
            raise SqlExtError("FEATURES_NOT_CLEAR", source=source.text, problem=problem, offset=source.offset)
    numbers = [f for f in fields if isinstance(f.dataType, (FractionalType, DecimalType))]
    if numbers:
        refuse_ambiguous(frame, [f.name for f in numbers], source)
        return [_column(f) for f in numbers]
    columns = ", ".join(f"{quote_if_needed(f.name)} {f.dataType.simpleString()}" for f in fields) or "none"
    problem = (
        f"it has no image, array, vector, FLOAT, DOUBLE or DECIMAL column besides the label; other columns: {columns}"
    )
    texts = [quote_if_needed(f.name) for f in fields if isinstance(f.dataType, StringType)]
    if texts:
        problem += (
            f"; if {texts[0] if len(texts) == 1 else 'one of them'} {_paths(texts[0] if len(texts) == 1 else 'path')}"
        )
    raise SqlExtError("FEATURES_NOT_CLEAR", source=source.text, problem=problem, offset=source.offset)


def _column(field: StructField) -> ColumnOf:
    name = Name((field.name,), 0)
    return ColumnOf(name, name.sql, field.dataType)
