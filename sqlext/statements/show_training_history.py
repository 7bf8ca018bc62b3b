"""SHOW TRAINING HISTORY: the learning curve of a version, or of a run in any state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sqlext.catalog.entry import ModelVersion
from sqlext.context import Context, ResultRow
from sqlext.errors import error_at
from sqlext.grammar.reader import TokenReader, WrittenModel
from sqlext.statements.base import Statement, find_run

if TYPE_CHECKING:
    from sqlext.catalog.runs import Run


@dataclass(frozen=True)
class ShowTrainingHistory(Statement):
    """``SHOW TRAINING HISTORY [FOR] (MODEL name [VERSION n | ALIAS a] | RUN 'run_id')``

    One row per epoch. A run may still be running, or may have failed or been cancelled.
    """

    model: WrittenModel | None
    run_id: str
    run_offset: int

    NAME = "SHOW TRAINING HISTORY"
    HEADS = (("SHOW", "TRAINING", "HISTORY"),)
    OUTPUT: ClassVar[dict[str, str]] = {
        "namespace": "STRING",
        "model": "STRING",
        "version": "INT",
        "run_id": "STRING",
        "epoch": "INT",
        "iteration": "BIGINT",
        "loss": "DOUBLE",
        "val_loss": "DOUBLE",
        "learning_rate": "DOUBLE",
        "metric_name": "STRING",
        "metric_value": "DOUBLE",
        "rows_per_second": "DOUBLE",
        "recorded_at": "TIMESTAMP",
    }

    @classmethod
    def parse(cls, reader: TokenReader) -> ShowTrainingHistory:
        reader.need("SHOW", "TRAINING", "HISTORY")
        reader.take("FOR")
        model, run_id, offset = None, "", 0
        if reader.need_any("MODEL and a model name, or RUN and a run_id in quotes", "MODEL", "RUN") == "MODEL":
            model = reader.model()
            reader.end("VERSION, ALIAS or the end of the statement")
        else:
            offset = reader.offset
            run_id = reader.string("a run_id in quotes")
            reader.end("the end of the statement")
        return cls(model, run_id, offset)

    def run(self, context: Context) -> list[ResultRow]:
        if self.model is None:
            with error_at(self.run_offset):
                return run_history_rows(find_run(context, self.run_id, "SELECT"))
        model = self.model
        with error_at(model.name.offset):
            version = context.catalog.resolve(context.model_ref(model))
            context.catalog.check(version.name, "SELECT")
        return version_history_rows(context, version)


def version_history_rows(context: Context, version: ModelVersion) -> list[ResultRow]:
    """The epochs of a published version, in order; none for an imported one. The caller has checked the permissions."""
    from sqlext.catalog.history import read_history

    epochs = read_history(context.catalog.files, version.location)
    return [_row(version.name.namespace, version.name.name, version.version, version.run_id, e) for e in epochs]


def run_history_rows(run: Run) -> list[ResultRow]:
    """The epochs of a run so far, in order."""
    return [_row(run.namespace, run.model, run.version, run.run_id, epoch) for epoch in run.history]


def _row(namespace: str, model: str, version: int | None, run_id: str, epoch: Mapping[str, Any]) -> ResultRow:
    own = {"namespace": namespace, "model": model, "version": version, "run_id": run_id}
    return {column: own.get(column, epoch.get(column)) for column in ShowTrainingHistory.OUTPUT}
