"""What FROM, FEATURES and LABEL mean against Spark's schema: checked before any job runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType

from sqlext.errors import SqlExtError, nearest
from sqlext.tokens import Name, Source
from sqlext.udfs.base import is_array, is_image

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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


def find_features(frame: DataFrame, given: list[Name], label: Name, source: Source) -> ColumnOf:
    """The image or array column that FEATURES names or, left out, the only one there is.

    :raises SqlExtError: INVALID_FEATURES, FEATURES_NOT_CLEAR, COLUMN_NOT_FOUND.
    """
    if not given:
        return _only_candidate(frame, label, source)
    if len(given) > 1:
        images = [name for name in given if is_image(find_column(frame, name, source).type)]
        if images:
            problem = "an image stands alone, without other columns"
            raise SqlExtError("INVALID_FEATURES", column=images[0], problem=problem, offset=images[0].offset)
        raise SqlExtError("FEATURE_NOT_AVAILABLE", feature="FEATURES with several columns", offset=given[0].offset)
    column = find_column(frame, given[0], source)
    if is_image(column.type) or is_array(column.type):
        return column
    problem = f"{column.type.simpleString()} is neither an image (BINARY or an image struct) nor an array of numbers"
    if isinstance(column.type, StringType):
        problem += f"; if it holds paths, read the files by SELECT content FROM binaryFile.`folder`, as {column.text} is no picture"
    raise SqlExtError("INVALID_FEATURES", column=column.text, problem=problem, offset=given[0].offset)


def _only_candidate(frame: DataFrame, label: Name, source: Source) -> ColumnOf:
    fields = [f for f in frame.schema.fields if f.name.lower() != str(label).lower()]
    for kind, fits in (("image", is_image), ("array", is_array)):
        found = [f for f in fields if fits(f.dataType)]
        if len(found) == 1:
            return _column(found[0])
        if found:
            problem = f"{kind} columns are {', '.join(f.name for f in found)}"
            raise SqlExtError("FEATURES_NOT_CLEAR", source=source.text, problem=problem, offset=source.offset)
    problem = "it has no image and no array column; its columns are " + ", ".join(
        f"{f.name} {f.dataType.simpleString()}" for f in fields
    )
    raise SqlExtError("FEATURES_NOT_CLEAR", source=source.text, problem=problem, offset=source.offset)


def _column(field: StructField) -> ColumnOf:
    return ColumnOf(field.name, "`" + field.name.replace("`", "``") + "`", field.dataType)


def find_label(frame: DataFrame, label: Name, source: Source) -> ColumnOf:
    """The label column: any type that has an order.

    :raises SqlExtError: COLUMN_NOT_FOUND, INVALID_LABEL.
    """
    column = find_column(frame, label, source)
    if isinstance(column.type, (ArrayType, MapType, StructType)) or is_image(column.type):
        problem = f"{column.type.simpleString()} values are no classes; use a string, number, boolean or date"
        raise SqlExtError("INVALID_LABEL", column=column.text, problem=problem, offset=label.offset)
    return column
