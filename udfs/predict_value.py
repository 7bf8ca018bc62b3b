"""predict_value(model, features): the number that a regressor predicts."""

from __future__ import annotations

from sqlext.udfs.base import Binding, Call, SqlFunction


class PredictValue(SqlFunction):
    """DOUBLE: the prediction in the target's own units; NULL where there is none (`predict_error` says why)."""

    name = "predict_value"
    signature = "predict_value(model, features)"
    usage = "_FUNC_(model, features) - Returns the number that a regressor predicts."
    arguments = """
    Arguments:
      * model - a constant string: 'db.model', 'db.model@3' or 'db.model@alias'
      * features - an image (BINARY or image struct), an array or ML vector of the trained length, a STRUCT with the trained
        column names, or the columns themselves in trained order
    """
    examples = """
    Examples:
      > SELECT id, _FUNC_('shop.prices', area, rooms) FROM shop.houses;
       1	214350.7
    """

    def bind(self, call: Call) -> Binding:
        from sqlext.catalog.entry import REGRESSOR
        from sqlext.udfs._prediction import bind_prediction

        return bind_prediction(self, call, "scored.value", wanted=REGRESSOR)
