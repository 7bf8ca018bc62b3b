"""Resolves the tables, queries and columns that a statement names against Spark's schema, before any job runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DayTimeIntervalType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from sqlext.context import Context
from sqlext.errors import SqlExtError, nearest
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import Source
from sqlext.spark.java_errors import is_refusal, java_causes, sentence
from sqlext.spark.labels import is_padded
from sqlext.spark.types import with_known_types
from sqlext.text import quote_if_needed


@dataclass(frozen=True)
class ColumnOf:
    """A column, or a field of a struct column, with its type. ``sql`` reads it; a CHAR(n) is ``padded`` with spaces."""

    name: Name
    sql: str
    type: DataType
    padded: bool = False

    @property
    def text(self) -> str:
        """The name as it must be written in SQL, for errors and manifests (:meth:`Name.recorded` reads it)."""
        return str(self.name)


def read_source(context: Context, source: Source) -> DataFrame:
    """Returns the rows of a table, view or query as a DataFrame, without running a job.

    :raises SqlExtError: SOURCE_NOT_FOUND with Spark's reason or, for a table, the nearest name.
    """
    try:
        return with_known_types(context.spark.sql(_SELECT + source.sql))
    except Py4JJavaError as error:  # of a catalog that cannot load, or of the database behind it
        if is_refusal(java_causes(error)):
            raise
        raise SqlExtError(
            "SOURCE_NOT_FOUND", source=source.text, reason=sentence(error), offset=source.offset
        ) from error
    except (AnalysisException, ParseException) as error:
        message = str(error).strip()
        reason = _POSITION.sub("", message.split("\n", 1)[0]).rstrip("; ")
        offset = source.offset
        if source.is_query:
            offset += _offset_in(source.sql, message)
        elif "TABLE_OR_VIEW_NOT_FOUND" in reason:
            base = _missing_base(source, message)
            reason = f"the view reads {base}, which was not found." if base else _not_found(context, source)
        raise SqlExtError("SOURCE_NOT_FOUND", source=source.text, reason=reason, offset=offset) from None


_SELECT = "SELECT * FROM "
_NOT_FOUND = re.compile(r"The table or view ((?:`[^`]*`\.?)+) cannot be found")
_POSITION = re.compile(r"[;(]?\s*line (\d+),? pos (\d+)\)?;?")


def _offset_in(query: str, message: str) -> int:
    """Converts the position in Spark's message into an offset into the query, without the SELECT * FROM before it.

    Returns 0 if the message names no position, or one outside the query.
    """
    found = _POSITION.search(message)
    if found is None:
        return 0
    line, column = int(found[1]), int(found[2])
    lines = (_SELECT + query).split("\n")
    offset = sum(len(text) + 1 for text in lines[: line - 1]) + column - len(_SELECT)
    return offset if 0 <= offset < len(query) else 0


def _missing_base(source: Source, message: str) -> str | None:
    """The table that a view reads and that is missing; None if the source itself is missing."""
    found = _NOT_FOUND.search(message)
    missing = found[1].replace("`", "") if found else ""
    same = missing.rpartition(".")[2].lower() == source.sql.replace("`", "").rpartition(".")[2].lower()
    return None if same else missing.removeprefix("spark_catalog.") or None


def _not_found(context: Context, source: Source) -> str:
    return f"the table or view was not found. {_nearest_table(context, source)}"


def _nearest_table(context: Context, source: Source) -> str:
    database, _, table = source.sql.replace("`", "").rpartition(".")
    try:
        rows = context.spark.sql(f"SHOW TABLES IN `{database}`" if database else "SHOW TABLES").collect()
    except AnalysisException:
        return f"Database {database} was not found."
    prefix = f"{database}." if database else ""
    return nearest(prefix + table, [prefix + row.tableName for row in rows])


def find_column(frame: DataFrame, name: Name, source: Source) -> ColumnOf:
    """Finds a column of the source, or a field of a struct column.

    :raises SqlExtError: COLUMN_NOT_FOUND with the nearest name, AMBIGUOUS_COLUMN.
    """
    try:
        # select() resolves a name as Spark does: without case, with fields of structs, and with an error if it is ambiguous.
        field = frame.select(name.sql).schema.fields[0]
    except AnalysisException:
        refuse_ambiguous(frame, [name.plain, name.parts[0], name.parts[-1]], source, name.offset)
        hint = _dotted(frame, name) or nearest(str(name), map(quote_if_needed, frame.columns), limit=20)
        raise SqlExtError("COLUMN_NOT_FOUND", column=name, source=source.text, hint=hint, offset=name.offset) from None
    name = _without_table(frame, name)
    return ColumnOf(name, name.sql, field.dataType, is_padded(field))


def _without_table(frame: DataFrame, name: Name) -> Name:
    """``x`` for ``t.x``: both are the same column, and other sources have it, too."""
    for start in range(len(name.parts) - 1, 0, -1):
        rest = replace(name, parts=name.parts[start:])
        try:
            if frame.select(name.sql).sameSemantics(frame.select(rest.sql)):
                return rest
        except AnalysisException:
            continue
    return name


def _dotted(frame: DataFrame, name: Name) -> str:
    """What to write for a column, or a field of a struct column, with a dot in its name, if ``name`` means that; otherwise ''."""
    for column in frame.schema.fields:
        parts = _parts(column.name, column.dataType, name.plain.lower())
        if parts and len(parts) < len(name.parts):
            return f"A name with a dot is written in back-ticks: {Name(parts, 0)}."
    return ""


def _parts(name: str, kind: DataType, wanted: str) -> tuple[str, ...]:
    """The name of a column or of a field below it whose text without back-ticks is ``wanted``, in lower case; () if none is."""
    if name.lower() == wanted:
        return (name,)
    if isinstance(kind, StructType) and wanted.startswith(f"{name.lower()}."):
        for field in kind.fields:
            below = _parts(field.name, field.dataType, wanted[len(name.lower()) + 1 :])
            if below:
                return (name, *below)
    return ()


def folded(frame: DataFrame, *names: str) -> tuple[str, ...]:
    """The same texts for names that mean the same column of ``frame`` in its session."""
    # Read once for all names, because each reading is a call to the JVM. Spark reads TRUE and True, too, but returns the text that was set.
    sensitive = str(frame.sparkSession.conf.get("spark.sql.caseSensitive")).strip().lower() == "true"
    return names if sensitive else tuple(name.lower() for name in names)


def folded_parts(frame: DataFrame, name: Name) -> tuple[str, ...]:
    """Like :func:`folded`; the column `s.c` is not the field c of the column s."""
    return folded(frame, *name.parts)


def recorded_name(frame: DataFrame, text: str, offset: int) -> Name:
    """The name of a column in a manifest. Older versions recorded the column `PM2.5` without back-ticks."""
    name, whole = Name.recorded(text, offset), Name((text,), offset)
    if len(name.parts) == 1:
        return name
    (known, first), columns = folded(frame, text, name.parts[0]), folded(frame, *frame.columns)
    return whole if known in columns and first not in columns and name.plain == text else name


def refuse_ambiguous(frame: DataFrame, names: Sequence[str], source: Source, offset: int | None = None) -> None:
    """Refuses names that several columns of the source have, such as the key of both sides of a join.

    :raises SqlExtError: AMBIGUOUS_COLUMN for the first such name.
    """
    columns = list(zip(frame.columns, folded(frame, *frame.columns), strict=True))
    for name, key in zip(names, folded(frame, *names), strict=True):
        same = [column for column, known in columns if known == key]
        if len(same) > 1:
            counted = f"{quote_if_needed(same[0])} {_TIMES.get(len(same), f'{len(same)} times')}"
            shown = counted if len(set(same)) == 1 else " and ".join(map(quote_if_needed, same))
            place = source.offset if offset is None else offset
            raise SqlExtError(
                "AMBIGUOUS_COLUMN", column=quote_if_needed(name), source=source.text, names=shown, offset=place
            )


_TIMES = {2: "twice"}


# --- LABEL and TARGET ---------------------------------------------------------------------------------------------


# Types of values that can be equal, and that have one text.
_CLASSES = (
    *(StringType, NumericType, BooleanType),
    *(DateType, TimestampType, TimestampNTZType, DayTimeIntervalType),
)


def find_label(frame: DataFrame, label: Name, source: Source) -> ColumnOf:
    """Finds the label column.

    :raises SqlExtError: COLUMN_NOT_FOUND, INVALID_LABEL.
    """
    column = find_column(frame, label, source)
    if not isinstance(column.type, _CLASSES):
        problem = f"{column.type.simpleString()} values cannot be classes; use a string, number, boolean or date"
        raise SqlExtError("INVALID_LABEL", column=column.text, problem=problem, offset=label.offset)
    return _unpadded(column)


def _unpadded(column: ColumnOf) -> ColumnOf:
    return replace(column, sql=f"{_TRIM}({column.sql})") if column.padded else column


_TRIM = "rtrim"


def label_in(frame: DataFrame, label: ColumnOf) -> ColumnOf:
    """The same label column in another source, where it may be a CHAR(n) although it is none here, or the other way round."""
    field = frame.select(F.expr(label.name.sql)).schema.fields[0]
    return _unpadded(replace(label, sql=label.name.sql, padded=is_padded(field)))


def find_target(frame: DataFrame, target: Name, source: Source) -> ColumnOf:
    """Finds the number column that a regression predicts.

    :raises SqlExtError: COLUMN_NOT_FOUND, INVALID_TARGET.
    """
    column = find_column(frame, target, source)
    if not isinstance(column.type, NumericType):
        problem = f"it is {column.type.simpleString()}, not a number; use LABEL {target} to predict classes"
        raise SqlExtError("INVALID_TARGET", column=column.text, problem=problem, offset=target.offset)
    return column


def find_side(frame: DataFrame, column: Name, source: Source) -> ColumnOf:
    """Finds the column of VALIDATE BY.

    :raises SqlExtError: COLUMN_NOT_FOUND, INVALID_VALIDATION_COLUMN.
    """
    found = find_column(frame, column, source)
    if not isinstance(found.type, (BooleanType, StringType)):
        problem = f"it is {found.type.simpleString()}"
        raise SqlExtError("INVALID_VALIDATION_COLUMN", column=found.text, problem=problem, offset=column.offset)
    return found
