"""CANCEL TRAINING: asks the driver that runs a training to stop it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sqlext.context import Context, ResultRow
from sqlext.errors import error_at
from sqlext.grammar.reader import TokenReader
from sqlext.statements.base import CHANGED, Statement, changed, find_run


@dataclass(frozen=True)
class CancelTraining(Statement):
    """``CANCEL TRAINING 'run_id'``: the run stops within seconds, or at the end of its epoch. Published versions do not change."""

    run_id: str
    offset: int

    NAME = "CANCEL TRAINING"
    HEADS = (("CANCEL", "TRAINING"),)
    OUTPUT: ClassVar[Mapping[str, str]] = CHANGED

    @classmethod
    def parse(cls, reader: TokenReader) -> CancelTraining:
        reader.need("CANCEL", "TRAINING")
        offset = reader.offset
        run_id = reader.string("a run_id in quotes (SHOW TRAINING RUNS lists them)")
        reader.end("the end of the statement")
        return cls(run_id, offset)

    def run(self, context: Context) -> list[ResultRow]:
        with error_at(self.offset):
            return self._cancel(context)

    def _cancel(self, context: Context) -> list[ResultRow]:
        from sqlext.catalog.runs import RunStore

        find_run(context, self.run_id, "ALTER")
        run = RunStore(context.spark).request_cancel(self.run_id)
        where = f"in phase {run.phase}" if run.phase else f"while {run.status}"
        message = f"asked to stop {where}; SHOW TRAINING RUNS IN {run.namespace} shows when it has stopped"
        return [changed(run.name, "CANCELLING", message)]
