"""TUNE carried out: several trainings over the same rows, each a run of its own, and the best one published.

Classes, features and the split are made once, by the first run. A trial that fails is a FAILED run and does not end the
others; a cancel of any of them ends the request, and nothing is published. Test rows decide nothing.
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
    """A trial that ended well; ``value`` is what it is ranked by."""

    trial: Trial
    plan: TrainPlan
    run: RunRecorder
    trained: Trained
    value: float | None


def tune(context: Context, plan: TrainPlan, trials: Sequence[Trial], goal: Goal, first: RunRecorder) -> ResultRow:
    """Carries out the trials and returns TRAIN's row for the best.

    :param plan: of the first trial, whose run is ``first``.
    :raises SqlExtError: TUNE_FAILED when no trial can be ranked; TRAINING_CANCELLED.
    """
    started = time.monotonic()
    with first:
        labels, rows = read_rows(context, plan, first)
    try:
        search = _Search(context, goal, labels, rows)
        for trial in trials:
            own = _plan_of(plan, trial)
            search.attempt(trial, own, first if trial is trials[0] else RunRecorder(context, own))
        best = search.best_of(len(trials))
        with best.run:
            said = search.sentence(len(trials))
            return publish(context, best.plan, best.trial.request, best.trained, best.run, started, said)
    finally:
        rows.release()


def _plan_of(plan: TrainPlan, trial: Trial) -> TrainPlan:
    """The plan with the trial's options."""
    options = resolve_defaults(trial.request, embedded=plan.backbone is not None)
    options["warm_start"] = plan.options["warm_start"]
    return replace(plan, options=options, settings=settings_of(options))


class _Search:
    """The trials so far: the best of them, and why others failed."""

    def __init__(self, context: Context, goal: Goal, labels: Labels, rows: Rows) -> None:
        self.context, self.goal, self.labels, self.rows = context, goal, labels, rows
        self.best: Tried | None = None
        self.failures: list[str] = []

    def attempt(self, trial: Trial, plan: TrainPlan, run: RunRecorder) -> None:
        """Runs one trial.

        :raises SqlExtError: TRAINING_CANCELLED; every other failure is noted.
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
        best, over = self.best, tried
        if self.goal.better(tried.value, best.value if best else None):
            self.best = tried
            if best is None:
                return
            over = best
        over.run.passed_over(over.trained.published_epoch)

    def _give_up(self, error: BaseException) -> None:
        if self.best is not None:
            self.best.run.abandoned(error)

    def best_of(self, trials: int) -> Tried:
        """:raises SqlExtError: TUNE_FAILED."""
        if self.best is None:
            reason = (
                self.failures[0] if self.failures else f"there are no validation rows to measure {self.goal.metric} on"
            )
            raise SqlExtError("TUNE_FAILED", trials=trials, reason=reason)
        return self.best

    def sentence(self, trials: int) -> str:
        """What TRAIN's message says of the search."""
        assert self.best is not None
        assert self.best.value is not None
        text = f"best of {trials} trials by {self.goal.metric} ({self.best.value:.4g}): {self.best.trial}"
        if self.failures:
            text += f"; {len(self.failures)} failed, the first with {self.failures[0]}"
        return text
