"""Formats one value of a result: as text for people, or as JSON data for programs."""

from __future__ import annotations

import base64
import datetime
import decimal
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql.types import ArrayType, DataType, MapType, StructType, TimestampType

from sqlext.text import byte_size

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

FIRST_VALUES = 5  # shown of a long array
_IMAGE_FIELDS = {"height", "width", "nChannels", "mode", "data"}


def is_image(value: object) -> bool:
    """Whether a value is an image: bytes with the header of an image file, or an image struct."""
    return _image(value) is not None


def text(value: object) -> str:
    """A value as a table shows it: images as 'JPEG 500x375, 84 KB', long arrays as their first values and their length."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes | bytearray):
        return _image(value) or (
            f"BINARY {byte_size(len(value))}: {bytes(value[:8]).hex()}" if value else "BINARY 0 bytes"
        )
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return _printable(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "milliseconds" if value.microsecond else "seconds")
    if hasattr(value, "asDict"):  # a Row, or a vector's struct
        fields = value.asDict()
        return _image(value) or "{" + ", ".join(f"{_printable(k)}: {text(v)}" for k, v in fields.items()) + "}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{text(k)}: {text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence):
        return _array(value)
    return _printable(str(value))


def _array(values: Sequence[object]) -> str:
    shown = ", ".join(text(value) for value in values[:FIRST_VALUES])
    if len(values) <= FIRST_VALUES + 1:
        return "[" + ", ".join(text(value) for value in values) + "]"
    return f"[{shown}, .. {len(values):,} values]"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return f"{value:.6g}" if value != int(value) or abs(value) >= 1e15 else f"{value:.1f}"


def _printable(value: str) -> str:
    """Escapes control and direction characters except line ends, since a stored string must not control the terminal."""
    if value.isprintable():
        return value
    return "".join(
        c
        if c in " \n" or (c.isprintable() and unicodedata.category(c) != "Cf")
        else c.encode("unicode_escape").decode()
        for c in value
    )


def _image(value: object) -> str | None:
    """'JPEG 500x375, 84 KB', or None if the value is not an image."""
    if isinstance(value, bytes | bytearray):
        data: Any = value
    elif hasattr(value, "asDict") and set(value.asDict()) >= _IMAGE_FIELDS:
        data = value["data"] or b""  # type: ignore[index]
    else:
        return None
    from sqlext.images.decode import ImageError, info

    try:
        found = info(value)
    except ImageError:
        return None
    return f"{found.format} {found.width}x{found.height}, {byte_size(len(data))}"


def plain(value: Any, kind: DataType | None = None) -> Json:
    """A value as JSON data: binary as base64, timestamps in ISO 8601 (UTC), decimals as exact strings, NaN as a string.

    :param kind: the column's Spark type, which distinguishes TIMESTAMP (an instant) from TIMESTAMP_NTZ (wall clock).
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _number(value)
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        instant = value.astimezone(datetime.UTC) if isinstance(kind, TimestampType) else value
        return instant.isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(kind, StructType):
        return {field.name: plain(value[i], field.dataType) for i, field in enumerate(kind.fields)}
    if isinstance(kind, MapType):
        return {_key(k, kind.keyType): plain(v, kind.valueType) for k, v in value.items()}
    if isinstance(kind, ArrayType) or isinstance(value, list | tuple):
        element = kind.elementType if isinstance(kind, ArrayType) else None
        return [plain(item, element) for item in value]
    return str(value)


def _key(value: Any, kind: DataType) -> str:
    found = plain(value, kind)
    return found if isinstance(found, str) else str(found)
