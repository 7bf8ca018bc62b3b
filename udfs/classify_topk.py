"""classify_topk(model, features, k): the k most probable labels."""

from __future__ import annotations

from typing import Any

from sqlext.catalog.entry import CLASSIFIER
from sqlext.text import string_literal
from sqlext.udfs.base import FEATURES, MODEL, Binding, Call, ModelFunction, argument_list


class ClassifyTopk(ModelFunction):
    """ARRAY<STRUCT<label STRING, score DOUBLE>>: the k labels with the highest probabilities, highest first."""

    name = "classify_topk"
    signature = "classify_topk(model, features, k)"
    usage = "_FUNC_(model, features, k) - Returns the k most probable labels with their probabilities."
    arguments = argument_list(MODEL, FEATURES, "k - a constant whole number from 1")
    wanted = CLASSIFIER
    examples = """
    Examples:
      > SELECT _FUNC_('shop.flowers', image, 2) FROM shop.new_images;
       [{"label":"daisy","score":0.9731},{"label":"tulip","score":0.0212}]
    """

    def bind(self, call: Call) -> Binding:
        self.expect_at_least(call, 3)
        version, manifest = self.resolve(call)
        k = self._count(call)
        return self.scored(call, version, call.arguments[1:-1], _topk(k, manifest))

    def _count(self, call: Call) -> int:
        from pyspark.sql.types import IntegralType

        k = call.arguments[-1]
        if not k.constant or not isinstance(k.type, IntegralType) or k.value is None or int(k.value) < 1:
            raise self.invalid(call, "needs k, the last argument, as a constant whole number from 1")
        return int(k.value)


def _topk(k: int, manifest: dict[str, Any]) -> str:
    """Returns SQL over `scored.scores`. Equal scores stay in the order of the labels: classify() takes the first too."""
    labels = manifest.get("labels")
    known = f"array({', '.join(map(string_literal, labels))})" if labels else None
    label = f"get({known}, x.i)" if known else "CAST(x.i AS STRING)"  # a network without labels: the 0-based index
    ranked = "array_sort(transform(scored.scores, (s, i) -> named_struct('s', -s, 'i', i)))"
    return f"transform(slice({ranked}, 1, {k}), x -> named_struct('label', {label}, 'score', -x.s))"
