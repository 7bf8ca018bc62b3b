"""classify_score_of(model, label, features): the probability of one given label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlext.catalog.entry import CLASSIFIER, ModelVersion
from sqlext.errors import SqlExtError, did_you_mean, error_in_argument, listed
from sqlext.text import string_literal
from sqlext.udfs.base import FEATURES, MODEL, Binding, Call, ModelFunction, argument_list

if TYPE_CHECKING:
    from sqlext.scoring.inputs import Argument


class ClassifyScoreOf(ModelFunction):
    """DOUBLE: the probability of ``label``. An unknown label is an error if it is a constant, and NULL in a column."""

    name = "classify_score_of"
    signature = "classify_score_of(model, label, features)"
    usage = "_FUNC_(model, label, features) - Returns the probability of the given label."
    arguments = argument_list(MODEL, "label - one of the model's labels: a constant, or a column", FEATURES)
    wanted = CLASSIFIER
    examples = """
    Examples:
      > SELECT id FROM shop.parts WHERE _FUNC_('shop.quality', 'defect', image) > 0.8;
    """

    def bind(self, call: Call) -> Binding:
        from sqlext.spark.labels import known_label_sql

        self.expect_at_least(call, 3)
        version, manifest = self.resolve(call)
        labels = _labels(manifest)
        label = call.arguments[1]
        if label.constant and label.text is not None and labels:
            _check_known(call, label, labels, version, manifest)
        known = ", ".join(string_literal(text) for text in labels)
        given = f"rtrim({label.sql})" if label.padded else label.sql
        index = f"array_position(array({known}), {known_label_sql(given, label.type, manifest)})"
        # get() returns NULL out of bounds, even in ANSI mode; the position of an unknown label is 0.
        return self.scored(call, version, call.arguments[2:], f"get(scored.scores, CAST({index} AS INT) - 1)")


def _check_known(
    call: Call, label: Argument, labels: list[str], version: ModelVersion, manifest: dict[str, Any]
) -> None:
    """:raises SqlExtError: UNKNOWN_LABEL if no label of the model equals the constant."""
    from sqlext.spark.labels import known_label_sql

    text = str(label.text)
    if text in labels:
        return
    constant = f"CAST({string_literal(text)} AS {label.type.simpleString()})"
    # VALUES, because Spark evaluates it without a job.
    found = call.spark.sql(f"SELECT {known_label_sql(constant, label.type, manifest)} FROM VALUES (0)").first()
    if found is None or found[0] not in labels:
        hint = f"{did_you_mean(text, labels)} {listed(labels, limit=20)}".strip()
        with error_in_argument(1):
            raise SqlExtError("UNKNOWN_LABEL", model=version.name, label=text, hint=hint)


def _labels(manifest: dict[str, Any]) -> list[str]:
    """Returns the labels in the order of the scores; for a network without labels, the 0-based indices as text."""
    return manifest.get("labels") or [str(i) for i in range(manifest.get("scores_width") or 0)]
