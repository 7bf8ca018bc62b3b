"""Runs TRAIN MODEL from its request to its result row: plans and checks it, then trains at once, by TUNE or in the background."""

from __future__ import annotations

import time

from sqlext.bigdl.installed import missing
from sqlext.catalog.drafts import check_properties
from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError, error_at
from sqlext.spark.pools import TRAINING, scheduler_pool
from sqlext.training.background import submit
from sqlext.training.plan import TrainPlan, existing_model, make_plan
from sqlext.training.recorder import RunRecorder
from sqlext.training.request import TrainRequest
from sqlext.training.retrain import full_training
from sqlext.training.steps import existing_row, fit_and_score, publish, read_rows
from sqlext.training.trials import goal_of, trials_of
from sqlext.training.tune import tune
from sqlext.training.turns import await_turn


def train(context: Context, request: TrainRequest) -> ResultRow:
    """Runs TRAIN MODEL, or submits it with OPTIONS (async = true), and returns its one row.

    :raises SqlExtError: every planning error with its position, BIGDL_MISSING, and errors of the training itself.
    """
    with full_training(context, request) as (full_context, full_request):
        return _train(full_context, full_request)


def _train(context: Context, request: TrainRequest) -> ResultRow:
    name, existing = existing_model(context, request)
    if existing is not None and request.if_not_exists:
        return existing_row(existing)
    submitted = bool(request.options["async"])
    if submitted:
        # Before planning, since the DataFrames of the plan belong to the session that creates them.
        context = context.beside()
    trials = trials_of(request) if request.tune else []
    # One plan serves all trials: TUNE varies only options, which tune.py replaces in it.
    first = trials[0].request if trials else request
    plan = make_plan(context, first, name, existing)
    _need_bigdl(context)
    _check_publishing(context, plan, request)
    run = RunRecorder(context, plan, in_turn=request.if_not_exists)

    def carry_out() -> ResultRow:
        if request.if_not_exists and (found := await_turn(context, run)) is not None:
            return existing_row(found)
        with scheduler_pool(context.spark, TRAINING):
            if trials:
                return tune(context, plan, trials, goal_of(request), run)
            return _carry_out(context, plan, request, run)

    return submit(run, carry_out) if submitted else carry_out()


def _carry_out(context: Context, plan: TrainPlan, request: TrainRequest, run: RunRecorder) -> ResultRow:
    started = time.monotonic()
    with run:
        labels, rows = read_rows(context, plan, run)
        try:
            trained = fit_and_score(context, plan, request, labels, rows, run)
            return publish(context, plan, request, trained, run, started)
        finally:
            rows.release()


def _check_publishing(context: Context, plan: TrainPlan, request: TrainRequest) -> None:
    """Raises before the first job what publishing would raise: about rights, properties or the database's folder."""
    with error_at(request.given.get("PROPERTIES")):
        check_properties(request.properties)
    with error_at(request.given.get("COMMENT")):
        check_properties({}, request.comment)
    with error_at(request.name.offset):
        draft = context.catalog.draft(plan.name, plan.kind)
    draft.close()


def _need_bigdl(context: Context) -> None:
    reason = missing(context.spark)
    if reason:
        raise SqlExtError("BIGDL_MISSING", reason=reason)
