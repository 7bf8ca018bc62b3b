"""TRAIN MODEL: trains a new version of a model with BigDL on the cluster's executors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlext.context import Context, ResultRow
from sqlext.grammar.reader import TokenReader
from sqlext.statements.base import Explained, Statement
from sqlext.training.clauses import read_train
from sqlext.training.options import OPTIONS
from sqlext.training.request import TrainRequest

__all__ = ["OPTIONS", "TrainModel"]


@dataclass(frozen=True)
class TrainModel(Statement, Explained):
    """``TRAIN [OR REPLACE] MODEL [IF NOT EXISTS] name FROM source [FEATURES (c, ..)] LABEL c | TARGET c [USING linear | mlp]
    [BACKBONE m] [VALIDATE SPLIT f [TEST f] [GROUP c] [SEED n] | BY c | FROM source | NONE] [TUNE (..)] [COMMENT s]
    [OPTIONS (..)] [PROPERTIES (..)]``

    The frozen backbone embeds every image once, on the executors. BigDL trains the head on the embeddings. One metastore call
    publishes the version, so a run that fails or is cancelled changes no published version.
    """

    request: TrainRequest

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

    @classmethod
    def parse(cls, reader: TokenReader) -> TrainModel:
        return cls(read_train(reader))

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.training.train import train

        return [train(context, self.request)]

    def explain(self, context: Context, mode: str) -> str:
        from sqlext.training.explain.report import explain

        return explain(context, self.request, mode)
