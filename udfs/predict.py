"""predict(model, features): everything about one prediction as a struct."""

from __future__ import annotations

from sqlext.udfs.base import Binding, Call, SqlFunction


class Predict(SqlFunction):
    """STRUCT<label STRING, score DOUBLE, value DOUBLE, error STRING, version INT>; ``error`` says why there is none."""

    name = "predict"
    signature = "predict(model, features)"
    usage = "_FUNC_(model, features) - Returns label, score, value, error and version of a prediction as a struct."
    arguments = """
    Arguments:
      * model - a constant string: 'db.model', 'db.model@3' or 'db.model@alias'
      * features - an image (BINARY or image struct), an array or ML vector of the trained length, a STRUCT with the trained
        column names, or the columns themselves in trained order
    """
    examples = """
    Examples:
      > SELECT id, p.label, p.score FROM (SELECT id, _FUNC_('shop.flowers', image) AS p FROM shop.images) WHERE p.error IS NULL;
    """

    def bind(self, call: Call) -> Binding:
        from sqlext.udfs._prediction import bind_prediction

        fields = ("label", "score", "value", "error", "version")
        return bind_prediction(self, call, "named_struct(" + ", ".join(f"'{f}', scored.{f}" for f in fields) + ")")
