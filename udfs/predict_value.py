"""predict_value(model, features): the number that a regressor predicts."""

from __future__ import annotations

from sqlext.catalog.entry import REGRESSOR
from sqlext.udfs.base import ModelFunction


class PredictValue(ModelFunction):
    """DOUBLE: the prediction in the units of the target; NULL if there is none (`predict_error` says why)."""

    name = "predict_value"
    signature = "predict_value(model, features)"
    usage = "_FUNC_(model, features) - Returns the number that a regressor predicts."
    examples = """
    Examples:
      > SELECT id, _FUNC_('shop.prices', area, rooms) FROM shop.houses;
       1	214350.7
    """
    wanted = REGRESSOR
    result = "scored.value"
