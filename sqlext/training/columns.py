"""What FEATURES means: one image, one array or vector, or several columns of numbers, checked before any job runs."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, DecimalType, FractionalType, NumericType, StringType, StructField

from sqlext.errors import SqlExtError
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import Source
from sqlext.sources import ColumnOf, find_column
from sqlext.spark.types import is_array, is_image, is_vector
from sqlext.text import identifier


@dataclass(frozen=True)
class Features:
    """What a model learns from: one image, one array (or ML vector), or several numeric columns in this order.

    ``kind`` is image, array or columns; ``left_out`` are the source's other columns but label, split and group.
    """

    kind: str
    columns: tuple[ColumnOf, ...]
    left_out: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return ", ".join(column.text for column in self.columns)

    @property
    def hash_sql(self) -> str:
        """What identifies a row: a hash of all feature columns."""
        return f"xxhash64({', '.join(column.sql for column in self.columns)})"

    def values(self) -> Column:
        """The image, or the features as ARRAY<FLOAT>."""
        first = self.columns[0]
        if self.kind == "image":
            return F.expr(first.sql)
        if self.kind == "columns":
            return F.array(*[F.expr(column.sql).cast("float") for column in self.columns])
        if is_vector(first.type):
            # NULL of NULL, where Spark's own vector_to_array fails.
            return F.expr(f"sqlext_vector_to_array({first.sql})").cast("array<float>")
        return F.expr(first.sql).cast("array<float>")


def is_number(kind: DataType) -> bool:
    return isinstance(kind, (NumericType, BooleanType))


def find_features(frame: DataFrame, given: list[Name], others: list[Name], source: Source) -> Features:
    """The columns that FEATURES names or, left out, those that can only be meant; ``others`` are label, split and group.

    :raises SqlExtError: INVALID_FEATURES, FEATURES_NOT_CLEAR, COLUMN_NOT_FOUND.
    """
    apart = {str(name).lower() for name in others}
    columns = [find_column(frame, name, source) for name in given] if given else _by_rule(frame, apart, source)
    for name, column in zip(given, columns, strict=False):
        if str(name).lower() == str(others[0]).lower():
            problem = "it is what the model is to predict"
            raise SqlExtError("INVALID_FEATURES", column=column.text, problem=problem, offset=name.offset)
        _check_feature(name, column, alone=len(given) == 1)
    _check_distinct(given)
    used = {column.text.lower() for column in columns} | {column.text.lower().split(".")[0] for column in columns}
    left_out = tuple(c for c in frame.columns if c.lower() not in apart | used)
    return Features(_kind(columns[0].type), tuple(columns), left_out)


def _check_distinct(given: list[Name]) -> None:
    for i, name in enumerate(given):
        if str(name).lower() in {str(other).lower() for other in given[:i]}:
            problem = "FEATURES names it twice"
            raise SqlExtError("INVALID_FEATURES", column=name, problem=problem, offset=name.offset)


def _kind(kind: DataType) -> str:
    if is_image(kind):
        return "image"
    return "columns" if is_number(kind) else "array"


def _check_feature(name: Name, column: ColumnOf, *, alone: bool) -> None:
    kind = column.type
    problem = None
    if is_image(kind) and not alone:
        problem = "an image stands alone, without other columns"
    elif (is_array(kind) or is_vector(kind)) and not alone:
        problem = f"{kind.simpleString()} stands alone; only several columns of numbers go together"
    elif not (is_image(kind) or is_array(kind) or is_vector(kind) or is_number(kind)):
        problem = (
            f"{kind.simpleString()} is neither an image (BINARY or an image struct) nor an array, a vector or a number"
        )
        if isinstance(kind, StringType):
            problem += f"; if it {_paths(column.text)}"
    if problem:
        raise SqlExtError("INVALID_FEATURES", column=column.text, problem=problem, offset=name.offset)


def _paths(column: str) -> str:
    return f"holds paths of pictures, read them in the source: FROM (SELECT read_image({column}) AS image, .. FROM ..)"


def _by_rule(frame: DataFrame, apart: set[str], source: Source) -> list[ColumnOf]:
    """The only image column, else the only array or vector, else all FLOAT, DOUBLE and DECIMAL columns."""
    fields = [f for f in frame.schema.fields if f.name.lower() not in apart]

    def fits_array(kind: DataType) -> bool:
        return is_array(kind) or is_vector(kind)

    for kind, fits in (("image", is_image), ("array", fits_array)):
        found = [f for f in fields if fits(f.dataType)]
        if len(found) == 1:
            return [_column(found[0])]
        if found:
            problem = f"it has several {kind} columns ({', '.join(f.name for f in found)}); name one in FEATURES"
            raise SqlExtError("FEATURES_NOT_CLEAR", source=source.text, problem=problem, offset=source.offset)
    numbers = [f for f in fields if isinstance(f.dataType, (FractionalType, DecimalType))]
    if numbers:
        return [_column(f) for f in numbers]
    columns = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in fields) or "none but the label"
    problem = f"it has no image, no array, no vector and no FLOAT, DOUBLE or DECIMAL column; its columns are {columns}"
    texts = [f.name for f in fields if isinstance(f.dataType, StringType)]
    if texts:
        problem += (
            f"; if {texts[0] if len(texts) == 1 else 'one of them'} {_paths(texts[0] if len(texts) == 1 else 'path')}"
        )
    raise SqlExtError("FEATURES_NOT_CLEAR", source=source.text, problem=problem, offset=source.offset)


def _column(field: StructField) -> ColumnOf:
    return ColumnOf(field.name, identifier(field.name), field.dataType)
