"""predict(model, features): everything about one prediction as a struct."""

from __future__ import annotations

from sqlext.udfs.base import ModelFunction

FIELDS = ("label", "score", "value", "error", "version")


class Predict(ModelFunction):
    """STRUCT<label STRING, score DOUBLE, value DOUBLE, error STRING, version INT>; ``error``: why there is no prediction."""

    name = "predict"
    signature = "predict(model, features)"
    usage = "_FUNC_(model, features) - Returns the label, score, value, error and version of a prediction as a struct."
    examples = """
    Examples:
      > SELECT id, p.label, p.score FROM (SELECT id, _FUNC_('shop.flowers', image) AS p FROM shop.images) WHERE p.error IS NULL;
    """
    result = "named_struct(" + ", ".join(f"'{f}', scored.{f}" for f in FIELDS) + ")"
