"""SHOW TRAINING RUNS: the training runs of a database: waiting, running and ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlext.catalog.names import ModelName
from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError, error_at
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import TokenReader
from sqlext.statements.base import Statement


@dataclass(frozen=True)
class ShowTrainingRuns(Statement):
    """``SHOW TRAINING RUNS [(FROM | IN) db] [FOR MODEL name]``, newest first.

    A run is listed before its first row is read. A run whose driver has not reported for a minute is FAILED.
    """

    namespace: Name | None
    model: Name | None

    NAME = "SHOW TRAINING RUNS"
    HEADS = (("SHOW", "TRAINING", "RUNS"),)
    OUTPUT: ClassVar[dict[str, str]] = {
        "run_id": "STRING",
        "namespace": "STRING",
        "model": "STRING",
        "version": "INT",
        "status": "STRING",
        "phase": "STRING",
        "rows_done": "BIGINT",
        "rows_total": "BIGINT",
        "epoch": "INT",
        "epochs": "INT",
        "loss": "DOUBLE",
        "val_loss": "DOUBLE",
        "metric_name": "STRING",
        "metric_value": "DOUBLE",
        "started_at": "TIMESTAMP",
        "updated_at": "TIMESTAMP",
        "finished_at": "TIMESTAMP",
        "user_name": "STRING",
        "error": "STRING",
        "options": "STRING",
        "statement": "STRING",
    }
    COMMENTS: ClassVar[dict[str, str]] = {
        "run_id": "id for SHOW TRAINING HISTORY FOR RUN and CANCEL TRAINING",
        "namespace": "the database",
        "model": "its name in the database",
        "version": "the version that the run has published; NULL until then, and for TUNE trials that were not "
        "the best",
        "status": "QUEUED, RUNNING, READY, FAILED or CANCELLED",
        "phase": "reading, embedding, training, checking or publishing: the current or last one",
        "rows_done": "rows of that phase so far",
        "rows_total": "rows of that phase",
        "epoch": "the last finished epoch",
        "epochs": "the maximum number of epochs",
        "loss": "loss on the training rows after the last epoch",
        "val_loss": "loss on the validation rows after the last epoch",
        "metric_name": "accuracy or rmse, which are measured after each epoch; for a run that has published a "
        "version, the metric that the option metric names",
        "metric_value": "the metric after the last epoch; for a run that has published a version, the metric of that "
        "version",
        "started_at": "when the statement began, before any time in the queue",
        "updated_at": "time of the last change",
        "finished_at": "when the run ended",
        "user_name": "the user who trains",
        "error": "why the run failed or was cancelled",
        "options": "JSON: all options with their values, including those that the system chose; for a trial of "
        "TUNE, those of the trial",
        "statement": "the statement, as written",
    }

    @classmethod
    def parse(cls, reader: TokenReader) -> ShowTrainingRuns:
        reader.need("SHOW", "TRAINING", "RUNS")
        namespace = reader.database()
        model = reader.name("a model name") if reader.take("FOR", "MODEL") else None
        reader.end("FOR MODEL or the end of the statement" if model is None else "the end of the statement")
        if namespace and model and len(model.parts) > 1 and model.parts[-2].lower() != namespace.parts[-1].lower():
            problem = f"IN {namespace} and FOR MODEL {model} name different databases."
            raise SqlExtError("SYNTAX_ERROR", problem=problem, offset=model.offset)
        return cls(namespace, model)

    def run(self, context: Context) -> list[ResultRow]:
        namespace = context.namespace(self.namespace)
        if self.model is None:
            return run_rows(context, namespace)
        name = self._name(self.model, namespace)
        with error_at(self.model.offset):
            context.catalog.metastore.database_location(name.namespace)
        return run_rows(context, name.namespace, name.name)

    @staticmethod
    def _name(model: Name, namespace: str) -> ModelName:

        with error_at(model.offset):
            return ModelName.of(model.parts, namespace)


def run_rows(context: Context, namespace: str, model: str | None = None) -> list[ResultRow]:
    """The runs of a database, or of one model, newest first. The model need not exist: its first run may have failed.

    :raises SqlExtError: DATABASE_NOT_FOUND, FOLDER_ACCESS_DENIED.
    """
    from sqlext.catalog.runs import RunStore

    runs = RunStore(context.spark).list(namespace, model)
    return [{column: getattr(run, column) for column in ShowTrainingRuns.OUTPUT} for run in runs]
