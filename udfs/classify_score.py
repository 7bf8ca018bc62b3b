"""classify_score(model, features): the probability of the predicted label."""

from __future__ import annotations

from sqlext.catalog.entry import CLASSIFIER
from sqlext.udfs.base import ModelFunction


class ClassifyScore(ModelFunction):
    """DOUBLE: the probability of the label that classify() returns."""

    name = "classify_score"
    signature = "classify_score(model, features)"
    usage = "_FUNC_(model, features) - Returns the probability of the label that classify() returns."
    examples = """
    Examples:
      > SELECT _FUNC_('shop.flowers', image) FROM shop.new_images;
       0.9731
    """
    wanted = CLASSIFIER
    result = "scored.score"
