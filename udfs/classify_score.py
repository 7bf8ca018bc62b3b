"""classify_score(model, features): how sure the model is of its label."""

from __future__ import annotations

from sqlext.udfs.base import Binding, Call, SqlFunction


class ClassifyScore(SqlFunction):
    """DOUBLE: probability of the label that classify() returns, whichever that is."""

    name = "classify_score"
    signature = "classify_score(model, features)"
    usage = "_FUNC_(model, features) - Returns the probability of the label that classify() gives."
    arguments = """
    Arguments:
      * model - a constant string: 'db.model', 'db.model@3' or 'db.model@alias'
      * features - an image (BINARY or image struct), an array or ML vector of the trained length, a STRUCT with the trained
        column names, or the columns themselves in trained order
    """
    examples = """
    Examples:
      > SELECT _FUNC_('shop.flowers', image) FROM shop.new_images;
       0.9731
    """

    def bind(self, call: Call) -> Binding:
        from sqlext.catalog.entry import CLASSIFIER
        from sqlext.udfs._prediction import bind_prediction

        return bind_prediction(self, call, "scored.score", wanted=CLASSIFIER)
