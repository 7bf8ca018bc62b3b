"""What the functions of one model share: the model argument and the features behind it."""

from __future__ import annotations

from typing import Any

from sqlext.catalog import ModelCatalog, ModelRef, ModelVersion
from sqlext.catalog.entry import BACKBONE, REGRESSOR, predicts_a_value
from sqlext.errors import SqlExtError
from sqlext.scoring.steps import prediction_steps
from sqlext.udfs.base import Argument, Binding, Call, SqlFunction


def resolve_model(
    function: SqlFunction, call: Call, index: int = 0, wanted: str | None = None
) -> tuple[ModelVersion, dict[str, Any]]:
    """The version that the constant model argument names now, with its manifest; the query keeps it.

    Needs SELECT on the model's table.

    :param wanted: CLASSIFIER or REGRESSOR when the function is for one of them.
    :raises SqlExtError: WRONG_KIND_OF_MODEL and those of :meth:`ModelCatalog.resolve`.
    """
    text = function.constant_string(call, index, "a model name")
    catalog = ModelCatalog(call.spark)
    version = catalog.resolve(ModelRef.parse(text, call.namespace))
    catalog.check(version.name, "SELECT")
    manifest = catalog.read_manifest(version)
    is_regressor = predicts_a_value(manifest)
    if wanted is not None and is_regressor != (wanted == REGRESSOR):
        instead = f"Write {'predict_value' if is_regressor else 'classify'}('{text}', ..)."
        kind = REGRESSOR if is_regressor else manifest["kind"] if manifest["kind"] != BACKBONE else "network of classes"
        raise SqlExtError(
            "WRONG_KIND_OF_MODEL",
            function=call.function,
            wanted=wanted,
            model=version.name,
            kind=kind,
            instead=instead,
        )
    return version, manifest


def bind_prediction(
    function: SqlFunction,
    call: Call,
    result: str,
    *,
    wanted: str | None = None,
    features: tuple[Argument, ...] | None = None,
) -> Binding:
    """``result`` over the step `scored` of the call's model and its features (default: all arguments behind the model)."""
    if features is None:
        function.expect_at_least(call, 2)
        features = call.arguments[1:]
    version, _ = resolve_model(function, call, wanted=wanted)
    return Binding(prediction_steps(call.spark, version, features, function.signature), result)
