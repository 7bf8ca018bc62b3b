"""EVALUATE MODEL: metrics of one version on a source, or on the held-out rows recorded with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlext.errors import SqlExtError
from sqlext.statements.base import Context, ResultRow, Statement, located
from sqlext.tokens import ModelReference, Name, Source, TokenReader


@dataclass(frozen=True)
class EvaluateModel(Statement):
    """``EVALUATE MODEL name [VERSION n | ALIAS a] [FROM source] [LABEL column]``

    Without FROM it answers from the rows that TRAIN held out and stored with the version; no image is read.
    """

    model: ModelReference
    source: Source | None
    label: Name | None

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
        model = reader.model()
        source = reader.source() if reader.take("FROM") else None
        if source is None and reader.at("LABEL"):
            problem = "LABEL says which column of a source holds the labels: write FROM before it."
            raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=reader.offset)
        label = reader.name("a column") if reader.take("LABEL") else None
        reader.end("FROM, LABEL or the end of the statement")
        return cls(model, source, label)

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.training.evaluate import evaluate

        version = located(self.model.name.offset, lambda: context.catalog.resolve(context.model_ref(self.model)))
        return [evaluate(context, version, self.source, self.label)]
