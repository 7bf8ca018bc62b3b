"""The list of the SQL functions, and how a call in a query becomes an expression.

To add a function, add a file here, its instance to :data:`FUNCTIONS` (:data:`TABLE_FUNCTIONS` if it returns rows), a page
in docs/functions/ and a test; tests/core/test_layout.py reports a forgotten step. Then run ``make jar``, because the shim
reads names and usage texts from the jar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlext.text import identifier, string_literal
from sqlext.udfs.base import Binding, Call, SqlFunction, TableFunction
from sqlext.udfs.classify import Classify
from sqlext.udfs.classify_score import ClassifyScore
from sqlext.udfs.classify_score_of import ClassifyScoreOf
from sqlext.udfs.classify_topk import ClassifyTopk
from sqlext.udfs.cosine_similarity import CosineSimilarity
from sqlext.udfs.embed import Embed
from sqlext.udfs.embed_resnet import EmbedResnet
from sqlext.udfs.image_data_url import ImageDataUrl
from sqlext.udfs.image_error import ImageErrorFunction
from sqlext.udfs.image_info import ImageInfo
from sqlext.udfs.predict import Predict
from sqlext.udfs.predict_error import PredictError
from sqlext.udfs.predict_value import PredictValue
from sqlext.udfs.read_image import ReadImage
from sqlext.udfs.sqlext_held_out import SqlextHeldOut
from sqlext.udfs.sqlext_model_versions import SqlextModelVersions
from sqlext.udfs.sqlext_models import SqlextModels
from sqlext.udfs.sqlext_training_runs import SqlextTrainingRuns

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlext.scoring.inputs import Argument

FUNCTIONS: tuple[SqlFunction, ...] = (
    EmbedResnet(),
    Embed(),
    Classify(),
    ClassifyScore(),
    ClassifyScoreOf(),
    ClassifyTopk(),
    Predict(),
    PredictValue(),
    PredictError(),
    ReadImage(),
    ImageDataUrl(),
    CosineSimilarity(),
    ImageInfo(),
    ImageErrorFunction(),
)

TABLE_FUNCTIONS: tuple[TableFunction, ...] = (
    SqlextModels(),
    SqlextModelVersions(),
    SqlextTrainingRuns(),
    SqlextHeldOut(),
)


def bind(spark: SparkSession, function: str, namespace: list[str], arguments: list[dict[str, Any]]) -> dict[str, Any]:
    """Binds a call; the shim runs this once per call and analysis.

    :param arguments: dicts with type (Spark's JSON), constant, value, string (the value as text) and padded (a CHAR(n) column).
    :raises SqlExtError: those of the function's ``bind``.
    """
    from sqlext.catalog.functions import warn_of_hidden

    name = function.lower().removeprefix("sqlext_")
    target = next(f for f in FUNCTIONS if f.name == name)
    bindable = tuple(_argument(i, a) for i, a in enumerate(arguments))
    # First: a call that was meant for the hidden function may fail below, and then the log has the reason.
    warn_of_hidden(spark, name, ".".join(namespace))
    bound: Binding = target.bind(Call(spark, function.lower(), ".".join(namespace), bindable))
    steps = [{"name": s.name, "udf": s.udf, "arguments": list(s.arguments)} for s in bound.steps]
    return {"steps": steps, "result": bound.result}


def bind_table(
    spark: SparkSession, function: str, namespace: list[str], arguments: list[dict[str, Any]]
) -> dict[str, Any]:
    """Binds a table function; the shim runs this at analysis and later passes the result to :func:`table_rows`."""
    target = next(f for f in TABLE_FUNCTIONS if f.name == function)
    bindable = tuple(_argument(i, a) for i, a in enumerate(arguments))
    return target.bind(Call(spark, function, ".".join(namespace), bindable))


def table_rows(spark: SparkSession, function: str, bound: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns rows with the columns of the function's ``OUTPUT``; the shim runs this when the query runs."""
    return list(next(f for f in TABLE_FUNCTIONS if f.name == function).rows(spark, bound))


def comments_of(function: str) -> str:
    """SQL for CREATE VIEW: the columns of a table function with their comments, and a comment for the view."""
    shown = next(f for f in TABLE_FUNCTIONS if f.name == function)
    columns = ", ".join(f"{identifier(name)} COMMENT {string_literal(text)}" for name, text in shown.comments.items())
    return f"({columns}) COMMENT {string_literal(shown.usage.partition(' - ')[2])}"


def _argument(index: int, described: dict[str, Any]) -> Argument:
    from sqlext.scoring.inputs import Argument
    from sqlext.spark.types import type_from_json

    constant, value, text = (described.get(key) for key in ("constant", "value", "string"))
    kind, padded = type_from_json(described["type"]), bool(described.get("padded"))
    return Argument(kind, f"arg{index}", bool(constant), value, text, padded)
