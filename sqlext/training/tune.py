"""Runs TUNE: several trainings on the same rows, each a separate run, of which the best is published.

The first run computes classes, features and split for all. A trial that fails is a FAILED run and does not end the others;
a cancel of any trial ends the statement, and nothing is published. Test rows are not used.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError
from sqlext.training.defaults import resolve_defaults, settings_of
from sqlext.training.labels import Labels
from sqlext.training.plan import TrainPlan
from sqlext.training.recorder import RunRecorder
from sqlext.training.rows import Rows
from sqlext.training.steps import Trained, fit_and_score, publish, read_rows
from sqlext.training.trials import VAL_LOSS, Goal, Trial


@dataclass(frozen=True)
class Tried:
    """A trial that succeeded; ``value`` is the metric that ranks it."""

    trial: Trial
    plan: TrainPlan
    run: RunRecorder
    trained: Trained
    value: float | None


def tune(context: Context, plan: TrainPlan, trials: Sequence[Trial], goal: Goal, first: RunRecorder) -> ResultRow:
    """Runs the trials and returns TRAIN's row for the best.

    :param plan: of the first trial, whose run is ``first``.
    :raises SqlExtError: TUNE_FAILED if no trial can be ranked; TRAINING_CANCELLED.
    """
    started = time.monotonic()
    plans = _same_rows([_plan_of(plan, trial) for trial in trials])
    # The slot is free again after this block, so that other trainings get their turn between trials.
    with first:
        labels, rows = read_rows(context, plans[0], first)
    try:
        search = _Search(context, goal, labels, rows)
        for trial, trial_plan in zip(trials, plans, strict=True):
            search.attempt(trial, trial_plan, first if trial is trials[0] else RunRecorder(context, trial_plan))
        best = search.best_of(len(trials))
        with best.run:
            sentence = search.sentence(len(trials))
            return publish(context, best.plan, best.trial.request, best.trained, best.run, started, sentence)
    finally:
        rows.release()


def _plan_of(plan: TrainPlan, trial: Trial) -> TrainPlan:
    """The plan with the trial's options."""
    options = resolve_defaults(trial.request, embedded=plan.backbone is not None)
    # The version that make_plan found: the written name may mean a later one by now.
    options["warm_start"] = plan.options["warm_start"]
    return replace(plan, options=options, settings=settings_of(options))


def _same_rows(plans: list[TrainPlan]) -> list[TrainPlan]:
    """The plans with the features of one embedder: a number above FLOAT is a bad row if any trial does not scale it."""
    as_double = all(plan.standardize for plan in plans)
    return [replace(plan, embedder=replace(plan.embedder, as_double=as_double)) for plan in plans]


class _Search:
    """The trials so far: the best one, and why others failed."""

    def __init__(self, context: Context, goal: Goal, labels: Labels, rows: Rows) -> None:
        self.context, self.goal, self.labels, self.rows = context, goal, labels, rows
        self.best: Tried | None = None
        self.failures: list[str] = []

    def attempt(self, trial: Trial, plan: TrainPlan, run: RunRecorder) -> None:
        """Runs one trial.

        :raises SqlExtError: TRAINING_CANCELLED; other failures are only noted.
        """
        try:
            with run:
                trained = fit_and_score(self.context, plan, trial.request, self.labels, self.rows, run)
        except Exception as error:
            if getattr(error, "error_class", None) == "TRAINING_CANCELLED":
                self._give_up(error)
                raise
            self.failures.append(f"{trial}: " + str(error).strip().split("\n", 1)[0])
            return
        except BaseException as error:
            self._give_up(error)
            raise
        self._rank(Tried(trial, plan, run, trained, self._value(trained)))

    def _value(self, trained: Trained) -> float | None:
        if self.goal.metric == VAL_LOSS:
            return trained.published_epoch.val_loss
        return trained.quality(self.goal.metric)

    def _rank(self, tried: Tried) -> None:
        """Keeps the better of this trial and the best so far; ends the run of the other."""
        best, other = self.best, tried
        if self.goal.better(tried.value, best.value if best else None):
            self.best = tried
            if best is None:
                return
            other = best
        other.run.passed_over(other.trained.published_epoch)

    def _give_up(self, error: BaseException) -> None:
        if self.best is not None:
            self.best.run.abandoned(error)

    def best_of(self, trials: int) -> Tried:
        """:raises SqlExtError: TUNE_FAILED."""
        if self.best is None:
            reason = self.failures[0] if self.failures else f"{self.goal.metric} is not defined on the validation rows."
            raise SqlExtError("TUNE_FAILED", trials=trials, reason=reason)
        return self.best

    def sentence(self, trials: int) -> str:
        """The part of TRAIN's message about the search."""
        assert self.best is not None
        assert self.best.value is not None
        text = f"best of {trials} trials by {self.goal.metric} ({self.best.value:.4g}): {self.best.trial}"
        if self.failures:
            text += f"; {len(self.failures)} failed, the first with {self.failures[0]}"
        return text
