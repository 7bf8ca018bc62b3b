"""The text of a label in SQL: equal labels have the same text, in every session and in columns of different types."""

from __future__ import annotations

from typing import Any

from pyspark.sql.types import (
    DataType,
    DateType,
    DoubleType,
    FloatType,
    NumericType,
    StringType,
    StructField,
    TimestampNTZType,
    TimestampType,
)

# A timestamp in UTC, as in 2024-01-01 00:00:00Z. Spark's CAST to TIMESTAMP reads it in every time zone.
ZONE = "Z"
_EPOCH = "TIMESTAMP_NTZ'1970-01-01 00:00:00'"
_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
# Enough digits for any BIGINT and for whole numbers in the text of other types.
_EXACT = "DECIMAL(38, 6)"
# Texts of numbers that _EXACT does not round: no digit but 0 after the sixth one behind the point.
_ROUNDS_NOTHING = "[+-]?[0-9]*([.][0-9]{0,6}0*)?([eE][+]?[0-9]+)?"


def label_sql(sql: str, kind: DataType) -> str:
    """SQL of the text of a value: what TRAIN stores as a label.

    0.0 and -0.0 are one value, and a timestamp is an instant: their CAST to STRING would not be the same for equal values.
    """
    if isinstance(kind, TimestampType):
        # Neither TIMESTAMP -> STRING nor TIMESTAMP -> TIMESTAMP_NTZ, since both depend on the session's time zone.
        seconds = f"CAST(unix_micros({sql}) AS DECIMAL(24, 6)) / 1000000"
        return f"concat(CAST({_EPOCH} + make_dt_interval(0, 0, 0, {seconds}) AS STRING), '{ZONE}')"
    if isinstance(kind, (FloatType, DoubleType)):
        return f"CAST(CASE WHEN {sql} = 0 THEN CAST(0 AS {kind.simpleString()}) ELSE {sql} END AS STRING)"
    return f"CAST({sql} AS STRING)"


def known_label_sql(sql: str, kind: DataType, manifest: dict[str, Any]) -> str:
    """SQL of the text that a model has for a value, if it knows it; otherwise another text, so that the label is unknown.

    Numbers are compared as numbers, whatever their types, and timestamps as instants.
    """
    trained, own = str(manifest.get("label_type") or "string"), label_sql(sql, kind)
    if trained == "timestamp":
        return _known_instant(sql, kind, own, manifest.get("labels") or ())
    if isinstance(kind, TimestampType):
        return f"CAST({sql} AS STRING)"  # the labels are texts, which the session's time zone gives a timestamp
    # Without its precision: `int` must not match `interval day to second`.
    if trained.split("(")[0] not in _NUMBERS or trained == kind.simpleString():
        return own
    if not isinstance(kind, (NumericType, StringType)):
        return own
    number, its_type = sql, kind.simpleString()
    if isinstance(kind, StringType):
        number, its_type = f"TRY_CAST(CASE WHEN {_is_exact(sql)} THEN {sql} END AS {_EXACT})", _EXACT
    same = f"TRY_CAST({number} AS {trained})"
    # There and back: a comparison of two types would round the BIGINT next to a DOUBLE, or the INT next to a FLOAT.
    equal = f"TRY_CAST({same} AS {its_type}) = {number}"
    return f"CASE WHEN {equal} THEN {label_sql(same, _type(trained))} ELSE {own} END"


def _is_exact(sql: str) -> str:
    return f"trim({sql}) RLIKE '^{_ROUNDS_NOTHING}$'"


def _known_instant(sql: str, kind: DataType, own: str, labels: Any) -> str:
    if not has_instants(labels):
        return f"CAST({sql} AS STRING)"  # stored by a release that did not store the time zone
    if isinstance(kind, (StringType, DateType, TimestampNTZType)):
        return f"coalesce({label_sql(f'TRY_CAST({sql} AS TIMESTAMP)', TimestampType())}, {own})"
    return own


def has_instants(labels: Any) -> bool:
    """Whether the labels of type TIMESTAMP are instants, and not texts in an unknown time zone."""
    return all(str(label).endswith(ZONE) for label in labels)


def _type(name: str) -> DataType:
    return {"float": FloatType(), "double": DoubleType()}.get(name, NumericType())


def is_padded(field: StructField) -> bool:
    """Whether Spark has filled up the values of a column with spaces, which are no part of a CHAR(n)."""
    return str(field.metadata.get("__CHAR_VARCHAR_TYPE_STRING", "")).lower().startswith("char(")
