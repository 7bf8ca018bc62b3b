"""classify(model, features): the label."""

from __future__ import annotations

from sqlext.udfs.base import Binding, Call, SqlFunction


class Classify(SqlFunction):
    """STRING: the label with the highest probability; NULL where there is no prediction (`predict().error` says why)."""

    name = "classify"
    signature = "classify(model, features)"
    usage = "_FUNC_(model, features) - Returns the label that the model gives to an image or a feature array."
    arguments = """
    Arguments:
      * model - a constant string: 'db.model', 'db.model@3' or 'db.model@alias'
      * features - an image (BINARY or image struct), an array or ML vector of the trained length, a STRUCT with the trained
        column names, or the columns themselves in trained order
    """
    examples = """
    Examples:
      > SELECT _FUNC_('shop.flowers', image) FROM shop.new_images;
       daisy
    """

    def bind(self, call: Call) -> Binding:
        from sqlext.catalog.entry import CLASSIFIER
        from sqlext.udfs._prediction import bind_prediction

        return bind_prediction(self, call, "scored.label", wanted=CLASSIFIER)
