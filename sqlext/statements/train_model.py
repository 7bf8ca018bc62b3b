"""TRAIN MODEL: a new version of a model, trained with BigDL on the cluster's executors."""

from __future__ import annotations

from typing import ClassVar, Self

from sqlext.errors import SqlExtError
from sqlext.grammar.options import resolve
from sqlext.grammar.reader import Creation, TokenReader
from sqlext.statements.base import Context, Explained, ResultRow, Statement
from sqlext.training.clauses import Clauses, Validation, read_clauses
from sqlext.training.options import FOREIGN_OPTIONS, OPTIONS, check_together, of_a_later_release

__all__ = ["FOREIGN_OPTIONS", "OPTIONS", "TrainModel"]


class TrainModel(Statement, Explained):
    """``TRAIN [OR REPLACE] MODEL [IF NOT EXISTS] name FROM source [FEATURES (c, ..)] LABEL c | TARGET c [USING linear | mlp]
    [BACKBONE m] [VALIDATE SPLIT f [TEST f] [GROUP c] [SEED n] | BY c | FROM source | NONE] [TUNE (..)] [COMMENT s]
    [OPTIONS (..)] [PROPERTIES (..)]``

    The frozen backbone embeds every image once, on the executors; BigDL trains the head on the embeddings; the version
    is published by one metastore call. A run that fails or is cancelled leaves every published version as it was.
    """

    NAME = "TRAIN MODEL"
    HEADS = (("TRAIN", "MODEL"), ("TRAIN", "OR", "REPLACE", "MODEL"))
    OUTPUT: ClassVar[dict[str, str]] = {
        "model": "STRING",
        "version": "INT",
        "run_id": "STRING",
        "status": "STRING",
        "task": "STRING",
        "rows_trained": "BIGINT",
        "rows_validated": "BIGINT",
        "rows_tested": "BIGINT",
        "rows_skipped": "BIGINT",
        "classes": "INT",
        "batch_size": "INT",
        "epochs": "INT",
        "best_epoch": "INT",
        "loss": "DOUBLE",
        "val_loss": "DOUBLE",
        "metric_name": "STRING",
        "metric_value": "DOUBLE",
        "duration_ms": "BIGINT",
        "message": "STRING",
        "is_default": "BOOLEAN",
        "baseline_value": "DOUBLE",
    }

    def __init__(self, creation: Creation, clauses: Clauses) -> None:
        self.name, self.replace, self.if_not_exists = creation.name, creation.replace, creation.if_not_exists
        self.source, self.features = clauses.source, clauses.features
        self.label, self.target = clauses.label, clauses.target
        self.architecture, self.backbone = clauses.architecture, clauses.backbone
        self.validation = clauses.validation or Validation()
        self.tune, self.comment, self.properties = clauses.tune, clauses.comment, clauses.properties
        self.given, self.clauses_end = clauses.given, clauses.end
        self.raw_options = clauses.options
        self.options = resolve(clauses.options, OPTIONS, foreign=FOREIGN_OPTIONS)
        if self.source is not None:
            self._check(clauses)

    @property
    def regression(self) -> bool:
        return self.target is not None

    def option_offset(self, key: str) -> int | None:
        """Where an option's value stands; None when it was not written."""
        return next((option.value_offset for option in self.raw_options if option.key == key), None)

    @classmethod
    def parse(cls, reader: TokenReader) -> TrainModel:
        creation, clauses = reader.creation("TRAIN"), Clauses()
        read_clauses(reader, clauses)
        return cls.of(creation, clauses, reader)

    @classmethod
    def of(cls, creation: Creation, clauses: Clauses, reader: TokenReader) -> Self:
        """The statement of these clauses; ``reader`` stands behind them."""
        statement = cls(creation, clauses)  # an option of another system may say what LABEL does here
        if clauses.source is not None and clauses.label is None and clauses.target is None:
            reader.fail(f"LABEL (classification) or TARGET (regression): {cls.NAME} {creation.name} needs one of them")
        if later := of_a_later_release(statement.options, statement.raw_options):
            reader.later("precision = 'int8'", later.value_offset)
        return statement

    def _check(self, clauses: Clauses) -> None:
        if self.label is not None and self.target is not None:
            problem = "LABEL (classification) and TARGET (regression) exclude each other."
            offset = max(clauses.given["LABEL"], clauses.given["TARGET"])
            raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=offset)
        if self.validation.stratified and self.regression:
            problem = "STRATIFIED goes by the classes of LABEL; TARGET has none."
            raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=self.validation.offset)
        check_together(
            self.options,
            self.raw_options,
            architecture=self.architecture,
            regression=self.regression,
            replace=self.replace,
            tuned={item.option for item in self.tune.items} if self.tune else (),
        )

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.training.retrain import again
        from sqlext.training.train import train

        if self.source is None:
            return again(context, self, lambda there, full: full.run(there))
        return [train(context, self)]

    def explain(self, context: Context, mode: str) -> str:
        from sqlext.training.explain.report import explain
        from sqlext.training.retrain import again

        if self.source is None:
            return again(context, self, lambda there, full: full.explain(there, mode))
        return explain(context, self, mode)
