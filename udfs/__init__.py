"""The SQL functions: the one list, and how a call in a query becomes an expression.

To add one: a file here, its instance in :data:`FUNCTIONS`, a page in docs/functions/, a test. tests/core/test_layout.py
says what was forgotten. The shim reads names and usage from the jar, so run ``make jar`` afterwards.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import StructType

from sqlext.udfs.base import Argument, Binding, Call, SqlFunction
from sqlext.udfs.classify import Classify
from sqlext.udfs.classify_score import ClassifyScore
from sqlext.udfs.classify_score_of import ClassifyScoreOf
from sqlext.udfs.cosine_similarity import CosineSimilarity
from sqlext.udfs.embed import Embed
from sqlext.udfs.embed_resnet import EmbedResnet
from sqlext.udfs.image_error import ImageErrorFunction
from sqlext.udfs.image_info import ImageInfo
from sqlext.udfs.predict import Predict

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FUNCTIONS: tuple[SqlFunction, ...] = (
    EmbedResnet(),
    Embed(),
    Classify(),
    ClassifyScore(),
    ClassifyScoreOf(),
    Predict(),
    CosineSimilarity(),
    ImageInfo(),
    ImageErrorFunction(),
)


def bind(spark: SparkSession, function: str, namespace: list[str], arguments: list[dict[str, Any]]) -> dict[str, Any]:
    """Called by the shim once per call and analysis; ``arguments`` have type (Spark's JSON), constant and value.

    :raises SqlExtError: INVALID_ARGUMENTS, MODEL_NOT_FOUND and their kin.
    """
    name = function.lower().removeprefix("sqlext_")
    target = next(f for f in FUNCTIONS if f.name == name)
    given = tuple(_argument(i, a) for i, a in enumerate(arguments))
    bound: Binding = target.bind(Call(spark, function.lower(), ".".join(namespace), given))
    steps = [{"name": s.name, "udf": s.udf, "arguments": list(s.arguments)} for s in bound.steps]
    return {"steps": steps, "result": bound.result}


def _argument(index: int, described: dict[str, Any]) -> Argument:
    kind = described["type"]
    parsed = StructType.fromJson({"type": "struct", "fields": [_field(kind)]}).fields[0].dataType
    return Argument(parsed, f"arg{index}", bool(described.get("constant")), described.get("value"))


def _field(kind: Any) -> dict[str, Any]:
    """A type of Spark's JSON form wrapped as a field, whether it arrives as text or parsed."""
    if isinstance(kind, str) and kind[:1] in '"{':
        kind = json.loads(kind)
    return {"name": "a", "type": kind, "nullable": True, "metadata": {}}
