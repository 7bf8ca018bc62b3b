"""What FROM, FEATURES and LABEL mean against Spark's schema: checked before any job runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DecimalType,
    FractionalType,
    MapType,
    NumericType,
    StringType,
    StructField,
    StructType,
)

from sqlext.errors import SqlExtError, nearest
from sqlext.tokens import Name, Source
from sqlext.udfs.base import is_array, is_image

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sqlext.statements.base import Context


@dataclass(frozen=True)
class ColumnOf:
    """A column as SQL (quoted) with its type; ``text`` is what the user calls it."""

    text: str
    sql: str
    type: DataType


def read_source(context: Context, source: Source) -> DataFrame:
    """The rows of a table, a view or a query; nothing runs yet.

    :raises SqlExtError: SOURCE_NOT_FOUND with Spark's own reason and, for a table, the nearest name.
    """
    try:
        return context.spark.sql(_SELECT + source.sql)
    except (AnalysisException, ParseException) as error:
        message = str(error).strip()
        reason = _POSITION.sub("", message.split("\n", 1)[0]).rstrip("; ")
        offset = source.offset
        if source.is_query:
            offset += _offset_in(source.sql, message)
        elif "TABLE_OR_VIEW_NOT_FOUND" in reason:
            reason = f"there is no such table or view. {_nearest_table(context, source)}"
        raise SqlExtError("SOURCE_NOT_FOUND", source=source.text, reason=reason, offset=offset) from None


_SELECT = "SELECT * FROM "
_POSITION = re.compile(r"[;(]?\s*line (\d+),? pos (\d+)\)?;?")


def _offset_in(query: str, message: str) -> int:
    """Where Spark's message points, as an offset into the query that stands behind SELECT * FROM; 0 where it does not."""
    found = _POSITION.search(message)
    if found is None:
        return 0
    line, column = int(found[1]), int(found[2])
    lines = (_SELECT + query).split("\n")
    offset = sum(len(text) + 1 for text in lines[: line - 1]) + column - len(_SELECT)
    return offset if 0 <= offset < len(query) else 0


def _nearest_table(context: Context, source: Source) -> str:
    database, _, table = source.sql.replace("`", "").rpartition(".")
    try:
        rows = context.spark.sql(f"SHOW TABLES IN `{database}`" if database else "SHOW TABLES").collect()
    except AnalysisException:
        return f"There is no database {database}."
    prefix = f"{database}." if database else ""
    return nearest(prefix + table, [prefix + row.tableName for row in rows])


def find_column(frame: DataFrame, name: Name, source: Source) -> ColumnOf:
    """A column of the source, or a field of a struct column.

    :raises SqlExtError: COLUMN_NOT_FOUND with the nearest name.
    """
    try:
        kind = frame.select(name.sql).schema.fields[0].dataType
    except AnalysisException:
        hint = nearest(str(name), frame.columns, limit=20)
        raise SqlExtError("COLUMN_NOT_FOUND", column=name, source=source.text, hint=hint, offset=name.offset) from None
    return ColumnOf(str(name), name.sql, kind)


# --- FEATURES -----------------------------------------------------------------------------------------------------


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
            from pyspark.ml.functions import vector_to_array

            return vector_to_array(F.expr(first.sql), "float32")
        return F.expr(first.sql).cast("array<float>")


def is_vector(kind: DataType) -> bool:
    """A vector of Spark ML, dense or sparse."""
    return kind.simpleString() == "vector"


def is_number(kind: DataType) -> bool:
    return isinstance(kind, (NumericType, BooleanType))


def find_features(frame: DataFrame, given: list[Name], others: list[Name], source: Source) -> Features:
    """The columns that FEATURES names or, left out, those that can only be meant; ``others`` are label, split and group.

    :raises SqlExtError: INVALID_FEATURES, FEATURES_NOT_CLEAR, COLUMN_NOT_FOUND.
    """
    apart = {str(name).lower() for name in others}
    columns = [find_column(frame, name, source) for name in given] if given else _by_rule(frame, apart, source)
    for name, column in zip(given, columns, strict=False):
        _check_feature(name, column, alone=len(given) == 1)
        if str(name).lower() == str(others[0]).lower():
            problem = "it is what the model is to predict"
            raise SqlExtError("INVALID_FEATURES", column=column.text, problem=problem, offset=name.offset)
    used = {column.text.lower() for column in columns} | {column.text.lower().split(".")[0] for column in columns}
    left_out = tuple(c for c in frame.columns if c.lower() not in apart | used)
    return Features(_kind(columns[0].type), tuple(columns), left_out)


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
            problem += (
                "; if it holds paths of pictures, read them in the source: "
                f"FROM (SELECT read_image({column.text}) AS image, .. FROM ..)"
            )
    if problem:
        raise SqlExtError("INVALID_FEATURES", column=column.text, problem=problem, offset=name.offset)


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
            problem = f"{kind} columns are {', '.join(f.name for f in found)}"
            raise SqlExtError("FEATURES_NOT_CLEAR", source=source.text, problem=problem, offset=source.offset)
    numbers = [f for f in fields if isinstance(f.dataType, (FractionalType, DecimalType))]
    if numbers:
        return [_column(f) for f in numbers]
    columns = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in fields) or "none but the label"
    problem = f"it has no image, no array, no vector and no FLOAT, DOUBLE or DECIMAL column; its columns are {columns}"
    raise SqlExtError("FEATURES_NOT_CLEAR", source=source.text, problem=problem, offset=source.offset)


def _column(field: StructField) -> ColumnOf:
    return ColumnOf(field.name, "`" + field.name.replace("`", "``") + "`", field.dataType)


# --- LABEL and TARGET ---------------------------------------------------------------------------------------------


def find_label(frame: DataFrame, label: Name, source: Source) -> ColumnOf:
    """The label column: any type that has an order.

    :raises SqlExtError: COLUMN_NOT_FOUND, INVALID_LABEL.
    """
    column = find_column(frame, label, source)
    if isinstance(column.type, (ArrayType, MapType, StructType)) or is_image(column.type) or is_vector(column.type):
        problem = f"{column.type.simpleString()} values are no classes; use a string, number, boolean or date"
        raise SqlExtError("INVALID_LABEL", column=column.text, problem=problem, offset=label.offset)
    return column


def find_target(frame: DataFrame, target: Name, source: Source) -> ColumnOf:
    """The column of numbers that a regression predicts.

    :raises SqlExtError: COLUMN_NOT_FOUND, INVALID_TARGET.
    """
    column = find_column(frame, target, source)
    if not isinstance(column.type, NumericType):
        problem = f"it is {column.type.simpleString()}, no number; classes are predicted by LABEL {target}"
        raise SqlExtError("INVALID_TARGET", column=column.text, problem=problem, offset=target.offset)
    return column


def find_side(frame: DataFrame, column: Name, source: Source) -> ColumnOf:
    """The column of VALIDATE BY.

    :raises SqlExtError: COLUMN_NOT_FOUND, INVALID_VALIDATION_COLUMN.
    """
    found = find_column(frame, column, source)
    if not isinstance(found.type, (BooleanType, StringType)):
        problem = f"it is {found.type.simpleString()}"
        raise SqlExtError("INVALID_VALIDATION_COLUMN", column=found.text, problem=problem, offset=column.offset)
    return found
