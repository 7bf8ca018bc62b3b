"""classify(model, features): the predicted label."""

from __future__ import annotations

from sqlext.catalog.entry import CLASSIFIER
from sqlext.udfs.base import ModelFunction


class Classify(ModelFunction):
    """STRING: the label with the highest probability; NULL if there is no prediction (`predict().error` says why)."""

    name = "classify"
    signature = "classify(model, features)"
    usage = "_FUNC_(model, features) - Returns the label that the model predicts for an image or for features."
    examples = """
    Examples:
      > SELECT _FUNC_('shop.flowers', image) FROM shop.new_images;
       daisy
    """
    wanted = CLASSIFIER
    result = "scored.label"
