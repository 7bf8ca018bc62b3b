"""predict_error(model, features): why there is no prediction."""

from __future__ import annotations

from sqlext.udfs.base import Binding, Call, SqlFunction


class PredictError(SqlFunction):
    """STRING: why there is no prediction, NULL when there is one. For clients that show a STRUCT as text."""

    name = "predict_error"
    signature = "predict_error(model, features)"
    usage = "_FUNC_(model, features) - Returns why there is no prediction, NULL when there is one."
    arguments = """
    Arguments:
      * model - a constant string: 'db.model', 'db.model@3' or 'db.model@alias'
      * features - an image (BINARY or image struct), an array or ML vector of the trained length, a STRUCT with the trained
        column names, or the columns themselves in trained order
    """
    examples = """
    Examples:
      > SELECT _FUNC_('shop.flowers', image) AS why, count(*) FROM shop.new_images GROUP BY 1;
       truncated JPEG	3
    """

    def bind(self, call: Call) -> Binding:
        from sqlext.udfs._prediction import bind_prediction

        return bind_prediction(self, call, "scored.error")
