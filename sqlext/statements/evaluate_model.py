"""EVALUATE MODEL: metrics of versions on a source, or on the held-out rows that are stored with the versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError
from sqlext.evaluation.request import CONFUSION_MATRIX, PER_CLASS, EvaluateRequest
from sqlext.grammar.notes import Name, RawOption
from sqlext.grammar.options import Option, resolve
from sqlext.grammar.reader import Source, TokenReader
from sqlext.statements.base import Statement

__all__ = ["CONFUSION_MATRIX", "FORMS", "PER_CLASS", "EvaluateModel"]

OPTIONS: tuple[Option, ...] = ()

# The result columns of the two forms with rows per class.
FORMS: dict[str, dict[str, str]] = {
    PER_CLASS: {
        "model": "STRING",
        "version": "INT",
        "split": "STRING",
        "label": "STRING",
        "precision": "DOUBLE",
        "recall": "DOUBLE",
        "f1_score": "DOUBLE",
        "support": "BIGINT",
    },
    CONFUSION_MATRIX: {
        "model": "STRING",
        "version": "INT",
        "split": "STRING",
        "expected_label": "STRING",
        "predicted_label": "STRING",
        "row_count": "BIGINT",
    },
}


@dataclass
class _Clauses:
    source: Source | None = None
    label: Name | None = None
    form: str | None = None
    options: list[RawOption] = field(default_factory=list)


@dataclass(frozen=True)
class EvaluateModel(Statement):
    """``EVALUATE MODEL name [VERSION n | ALIAS a], .. [FROM source] [LABEL column] [PER CLASS | CONFUSION MATRIX]``

    Several models are evaluated on the same rows in one pass. Without FROM, each model is evaluated on the predictions for
    the held-out rows, which TRAIN stored with the version, so no image is read.
    """

    request: EvaluateRequest

    NAME = "EVALUATE MODEL"
    HEADS = (("EVALUATE", "MODEL"),)
    OUTPUT: ClassVar[dict[str, str]] = {
        "model": "STRING",
        "version": "INT",
        "source": "STRING",
        "split": "STRING",
        "rows_evaluated": "BIGINT",
        "rows_skipped": "BIGINT",
        "rows_unknown_label": "BIGINT",
        "accuracy": "DOUBLE",
        "precision": "DOUBLE",
        "recall": "DOUBLE",
        "f1_score": "DOUBLE",
        "log_loss": "DOUBLE",
        "roc_auc": "DOUBLE",
        "top_5_accuracy": "DOUBLE",
        "rmse": "DOUBLE",
        "mae": "DOUBLE",
        "r2": "DOUBLE",
        "evaluated_at": "TIMESTAMP",
        "baseline_value": "DOUBLE",
    }

    @classmethod
    def parse(cls, reader: TokenReader) -> EvaluateModel:
        reader.need("EVALUATE", "MODEL")
        models = [reader.model()]
        while reader.take(","):
            models.append(reader.model())
        clauses = _Clauses()
        written = reader.clauses(
            {
                "FROM": lambda r: setattr(clauses, "source", r.source()),
                "LABEL": lambda r: setattr(clauses, "label", r.name("a column")),
                PER_CLASS: lambda _: setattr(clauses, "form", PER_CLASS),
                CONFUSION_MATRIX: lambda _: setattr(clauses, "form", CONFUSION_MATRIX),
                "OPTIONS": lambda r: setattr(clauses, "options", r.options()),
            }
        )
        if PER_CLASS in written and CONFUSION_MATRIX in written:
            problem = f"{PER_CLASS} and {CONFUSION_MATRIX} cannot be combined. Write two statements."
            raise SqlExtError(
                "SYNTAX_ERROR", problem=problem, offset=max(written[PER_CLASS], written[CONFUSION_MATRIX])
            )
        if clauses.source is None and clauses.label is not None:
            problem = "LABEL names a column of the source in FROM. Add FROM, or leave LABEL out."
            raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=written["LABEL"])
        # EVALUATE has no options yet; this refuses any that are written.
        resolve(clauses.options, OPTIONS)
        return cls(EvaluateRequest(tuple(models), clauses.source, clauses.label, clauses.form))

    def output(self) -> Mapping[str, str]:
        return self.OUTPUT if self.request.form is None else FORMS[self.request.form]

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.evaluation.evaluate import evaluate

        return evaluate(context, self.request)
