"""What Spark's types hold: images, arrays of numbers, vectors."""

from __future__ import annotations

import json
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    NumericType,
    StringType,
    StructType,
    UserDefinedType,
    _parse_datatype_json_string,
)

# Fields of Spark's image struct (`ImageSchema`), which BigDL's shares.
IMAGE_FIELDS = ("origin", "height", "width", "nChannels", "mode", "data")
# Spark's class -> PySpark's.
VECTORS = {f"org.apache.spark.{p}.linalg.VectorUDT": f"pyspark.{p}.linalg.VectorUDT" for p in ("ml", "mllib")}


def is_image_struct(kind: DataType) -> bool:
    """Whether a type is Spark's (or BigDL's) image struct."""
    # Names of columns have no case in Spark SQL.
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


def shown_type(kind: DataType) -> str:
    """A type for an error; STRING comes with the function that reads the images of paths."""
    return "string (read_image(path) reads the files of paths)" if isinstance(kind, StringType) else kind.simpleString()


def type_from_json(kind: Any) -> DataType:
    """A type of Spark's JSON form, whether it arrives as text or parsed."""
    if isinstance(kind, str) and kind[:1] in '"{':
        kind = json.loads(kind)
    field = {"name": "a", "type": _known(kind), "nullable": True, "metadata": {}}
    return StructType.fromJson({"type": "struct", "fields": [field]}).fields[0].dataType


def with_known_types(frame: DataFrame) -> DataFrame:
    """The rows with each column as STRING whose type PySpark does not know, such as INTERVAL YEAR TO MONTH.

    PySpark could not even list the columns otherwise.
    """
    kinds = [(field["name"], field["type"]) for field in json.loads(frame._jdf.schema().json())["fields"]]
    unknown = [_has_unknown(kind) for _, kind in kinds]
    if not any(unknown):
        return frame
    columns = [
        column.cast("string").alias(name) if bad else column
        for column, (name, _), bad in zip(_columns(frame), kinds, unknown, strict=True)
    ]
    return frame.select(*columns)


def _columns(frame: DataFrame) -> list[Column]:
    """The columns by their place, because several may have the same name."""
    output = frame._jdf.queryExecution().analyzed().output()
    jvm = frame.sparkSession._jvm
    assert jvm is not None
    return [Column(jvm.org.apache.spark.sql.Column(output.apply(i))) for i in range(output.size())]


# The keys of Spark's JSON form of a type below which other types are.
_PARTS = ("elementType", "keyType", "valueType", "type")
_NESTED = ("struct", "array", "map", "udt")


def _has_unknown(kind: Any) -> bool:
    """Whether Spark's JSON form of a type has a part that PySpark does not know."""
    if not isinstance(kind, dict):
        return kind not in _NESTED and not _is_known(str(kind))
    parts = [kind[key] for key in _PARTS if key in kind] + [field["type"] for field in kind.get("fields", ())]
    return any(map(_has_unknown, parts))


def _is_known(name: str) -> bool:
    try:
        _parse_datatype_json_string(json.dumps(name))
    except Exception:  # PySpark has raised different classes here
        return False
    return True


def _known(kind: Any) -> Any:
    """The type with its user-defined types replaced by what they hold, except vectors, and unknown types by STRING.

    PySpark imports and calls the Python class that a user-defined type names; a table's schema must not choose that.
    """
    if not isinstance(kind, dict):
        return "string" if _has_unknown(kind) else kind
    if kind.get("type") == "udt":
        vector = VECTORS.get(str(kind.get("class")))
        return {**kind, "pyClass": vector} if vector else _known(kind["sqlType"])
    parts: dict[str, Any] = {key: _known(kind[key]) for key in _PARTS if key in kind}
    if "fields" in kind:
        parts["fields"] = [{**field, "type": _known(field["type"])} for field in kind["fields"]]
    return {**kind, **parts}
