"""Finds the columns of a source that a version is evaluated on: the known answers and the features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.types import DataType, NumericType

from sqlext.catalog.entry import ModelVersion, predicts_a_value
from sqlext.errors import SqlExtError
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import Source
from sqlext.sources import ColumnOf, find_column, find_label, folded, folded_parts, recorded_name, refuse_ambiguous
from sqlext.spark.labels import known_label_sql
from sqlext.spark.types import is_array, is_image
from sqlext.text import quote_if_needed


@dataclass(frozen=True)
class Candidate:
    """A version that EVALUATE names at ``offset`` in the statement."""

    offset: int
    version: ModelVersion
    manifest: dict[str, Any]

    @property
    def is_imported(self) -> bool:
        return bool(self.manifest["kind"] == "backbone")

    @property
    def is_regressor(self) -> bool:
        return predicts_a_value(self.manifest)

    @property
    def labels(self) -> Sequence[str]:
        return self.manifest.get("labels") or ()

    @property
    def held_out(self) -> dict[str, Any]:
        return self.manifest.get("held_out") or {}

    @property
    def input(self) -> dict[str, Any]:
        return self.manifest.get("input") or {}


@dataclass(frozen=True)
class Compared:
    """``answer`` is SQL: the label as STRING, or the target as DOUBLE (NULL if it is not finite)."""

    answer: str
    features: list[ColumnOf]


def compared_columns(frame: DataFrame, candidate: Candidate, source: Source, label: Name | None) -> Compared:
    """Finds the columns by their names in the training; LABEL and a single image or array column may have other names.

    :raises SqlExtError: NO_LABELS, LABEL_NEEDED, COLUMN_NOT_FOUND, INVALID_LABEL, FEATURES_NOT_CLEAR.
    """
    model, manifest = candidate.version.name, candidate.manifest
    if not candidate.is_regressor and not candidate.labels:
        raise SqlExtError("NO_LABELS", model=model, offset=candidate.offset)
    trained = manifest.get("target_column" if candidate.is_regressor else "label_column")
    if label is None and trained is None:
        raise SqlExtError("LABEL_NEEDED", model=model, offset=candidate.offset)
    wanted = label or recorded_name(frame, str(trained), source.offset)
    if not candidate.is_regressor:
        answer = find_label(frame, wanted, source)
        return Compared(known_label_sql(answer.sql, answer.type, manifest), _features(frame, candidate, source, answer))
    answer = find_column(frame, wanted, source)
    if not isinstance(answer.type, NumericType):
        problem = f"{model} predicts a number, but the column is a {answer.type.simpleString()}"
        raise SqlExtError("INVALID_LABEL", column=answer.text, problem=problem, offset=wanted.offset)
    value = f"CAST({answer.sql} AS DOUBLE)"
    # NaN fails the test, too: for Spark it is greater than infinity.
    finite = f"CASE WHEN abs({value}) < double('infinity') THEN {value} END"
    return Compared(finite, _features(frame, candidate, source, answer))


def _features(frame: DataFrame, candidate: Candidate, source: Source, answer: ColumnOf) -> list[ColumnOf]:
    """Returns the feature columns in the order of the training; a single image or array column may have another name."""
    trained = candidate.input
    names = [c["name"] for c in trained.get("columns") or ()] or [name for name in [trained.get("column")] if name]
    try:
        found = [find_column(frame, recorded_name(frame, name, source.offset), source) for name in names]
    except SqlExtError as error:
        if trained.get("kind") == "columns" or error.error_class == "AMBIGUOUS_COLUMN":
            raise
        found = []
    return found or [_only_one(frame, candidate, source, answer)]


def _only_one(frame: DataFrame, candidate: Candidate, source: Source, answer: ColumnOf) -> ColumnOf:
    known = folded_parts(frame, answer.name)
    named = zip(frame.schema.fields, folded(frame, *frame.columns), strict=True)
    fields = [field for field, name in named if (name,) != known]
    for kind, fits in _kinds(candidate):
        found = [f.name for f in fields if fits(f.dataType)]
        if len(found) == 1:
            return find_column(frame, Name((found[0],), source.offset), source)
        if found:
            refuse_ambiguous(frame, found, source)
            problem = f"it has several {kind} columns ({', '.join(map(quote_if_needed, found))})"
            raise SqlExtError("FEATURES_NOT_CLEAR", source=source.text, problem=problem, offset=source.offset)
    kinds = " and no ".join(kind for kind, _ in _kinds(candidate))
    columns = ", ".join(f"{quote_if_needed(f.name)} {f.dataType.simpleString()}" for f in fields)
    problem = (
        f"besides {answer.text} it has {columns or 'no column'}, but no {kinds} column for {candidate.version.name}"
    )
    raise SqlExtError("FEATURES_NOT_CLEAR", source=source.text, problem=problem, offset=source.offset)


def _kinds(candidate: Candidate) -> list[tuple[str, Callable[[DataType], bool]]]:
    """Returns the kinds of columns that the model takes; the kind that it was trained on comes first."""
    if candidate.is_imported:
        return [("image", is_image)]
    if not candidate.manifest.get("backbone"):
        return [("array", is_array)]
    both: list[tuple[str, Callable[[DataType], bool]]] = [("image", is_image), ("array", is_array)]
    return both if candidate.input.get("kind") == "image" else both[::-1]
