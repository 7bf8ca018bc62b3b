"""What the functions of one model share: the model argument and the features behind it."""

from __future__ import annotations

from sqlext.catalog import ModelCatalog, ModelRef, ModelVersion
from sqlext.udfs._models import prediction_steps
from sqlext.udfs.base import Binding, Call, SqlFunction


def resolve_model(function: SqlFunction, call: Call, index: int = 0) -> ModelVersion:
    """The version that the constant model argument names now; the query keeps it. Needs SELECT on the model's table."""
    text = function.constant_string(call, index, "a model name")
    catalog = ModelCatalog(call.spark)
    version = catalog.resolve(ModelRef.parse(text, call.namespace))
    catalog.check(version.name, "SELECT")
    return version


def bind_prediction(function: SqlFunction, call: Call, result: str, *, features: int = 1) -> Binding:
    """``result`` over the step `scored` of the call's model and its features (argument ``features``)."""
    version = resolve_model(function, call)
    return Binding(prediction_steps(call.spark, version, call.arguments[features]), result)
