"""predict_error(model, features): why there is no prediction."""

from __future__ import annotations

from sqlext.udfs.base import ModelFunction


class PredictError(ModelFunction):
    """STRING: why there is no prediction, or NULL if there is one. For clients that show a STRUCT as text."""

    name = "predict_error"
    signature = "predict_error(model, features)"
    usage = "_FUNC_(model, features) - Returns why there is no prediction, or NULL if there is one."
    examples = """
    Examples:
      > SELECT _FUNC_('shop.flowers', image) AS why, count(*) FROM shop.new_images GROUP BY 1;
       truncated JPEG	3
    """
    result = "scored.error"
