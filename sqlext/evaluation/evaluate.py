"""EVALUATE MODEL: predictions compared with known answers, as metrics, per class or as a confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError, error_at
from sqlext.evaluation.candidates import Candidate
from sqlext.evaluation.metrics import classification, confusion, per_class, regression, rmse, row_blocks
from sqlext.evaluation.request import CONFUSION_MATRIX, PER_CLASS, EvaluateRequest
from sqlext.evaluation.rows import Answers, given_rows, recorded_rows
from sqlext.grammar.reader import WrittenModel


def evaluate(context: Context, request: EvaluateRequest) -> list[ResultRow]:
    """Returns the rows of EVALUATE MODEL. Errors about any of the models are raised before a Spark job starts."""
    candidates = [_candidate(context, reference, request.form) for reference in request.models]
    if request.source is None:
        answers = [recorded_rows(context, candidate) for candidate in candidates]
    else:
        answers = given_rows(context, candidates, request.source, request.label, scores=request.form is None)
    rows = {None: _metrics, PER_CLASS: _per_class, CONFUSION_MATRIX: _confusion}[request.form]
    at = datetime.now(UTC).isoformat()
    return [
        {
            "model": str(candidate.version.name),
            "version": candidate.version.version,
            "source": answer.source,
            "split": answer.split,
            "rows_skipped": answer.skipped,
            "evaluated_at": at,
            **row,
        }
        for candidate, answer in zip(candidates, answers, strict=True)
        for row in rows(candidate, answer)
    ]


def _candidate(context: Context, reference: WrittenModel, form: str | None) -> Candidate:
    """:raises SqlExtError: those of :meth:`ModelCatalog.resolve`, PERMISSION_DENIED, NO_CLASSES."""
    offset = reference.name.offset
    with error_at(offset):
        version = context.catalog.resolve(context.model_ref(reference))
        context.catalog.check(version.name, "SELECT")
        candidate = Candidate(offset, version, context.catalog.read_manifest(version))
        if form is not None and candidate.is_regressor:
            raise SqlExtError("NO_CLASSES", model=version.name, form=form)
    return candidate


def _metrics(candidate: Candidate, answer: Answers) -> Iterator[ResultRow]:
    yield _of_regressor(candidate, answer) if candidate.is_regressor else _of_classifier(candidate, answer)


def _of_classifier(candidate: Candidate, answer: Answers) -> ResultRow:
    expected, predicted = answer.rows["expected"].tolist(), answer.rows["predicted"].tolist()
    scores = _matrix(answer.rows["scores"]) if "scores" in answer.rows else None
    found = asdict(classification(expected, predicted, scores, candidate.labels))
    frequent = candidate.held_out.get("frequent_label")
    return {
        "rows_evaluated": found.pop("rows"),
        "rows_unknown_label": found.pop("unknown_labels"),
        **found,
        "baseline_value": None if frequent is None else float(np.mean([name == frequent for name in expected])),
    }


def _matrix(scores: pd.Series) -> npt.NDArray[np.float64] | None:
    """The scores of all rows; None if they were not stored because they would take too much memory."""
    if scores.isna().any():
        return None
    classes = len(scores.iloc[0])
    out = np.empty((len(scores), classes))
    for rows in row_blocks(len(scores), classes):
        out[rows] = np.stack(scores.iloc[rows].tolist())
    return out


def _of_regressor(candidate: Candidate, answer: Answers) -> ResultRow:
    target, predicted = (answer.rows[column].to_numpy(dtype=np.float64) for column in ("expected", "predicted"))
    found = asdict(regression(target, predicted))
    mean = candidate.held_out.get("target_mean")
    baseline = None if mean is None else rmse(target, np.full_like(target, mean))
    return {"rows_evaluated": found.pop("rows"), **found, "baseline_value": baseline}


def _per_class(candidate: Candidate, answer: Answers) -> Iterator[ResultRow]:
    found = per_class(answer.rows["expected"].tolist(), answer.rows["predicted"].tolist(), candidate.labels)
    yield from map(asdict, found)


def _confusion(candidate: Candidate, answer: Answers) -> Iterator[dict[str, Any]]:
    cells = confusion(answer.rows["expected"].tolist(), answer.rows["predicted"].tolist(), candidate.labels)
    for expected, predicted, rows in cells:
        yield {"expected_label": expected, "predicted_label": predicted, "row_count": rows}
