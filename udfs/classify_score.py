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
      * features - an image (BINARY or image struct) or an array of the trained length
    """
    examples = """
    Examples:
      > SELECT _FUNC_('shop.flowers', image) FROM shop.new_images;
       0.9731
    """

    def bind(self, call: Call) -> Binding:
        from sqlext.udfs._prediction import bind_prediction

        self.expect(call, 2)
        return bind_prediction(self, call, "scored.score")
