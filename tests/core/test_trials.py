"""TUNE before anything runs: the list of trials, and the errors with their positions."""

from __future__ import annotations

from collections import Counter

import pytest

from sqlext.errors import SqlExtError
from sqlext.statements import parse_statement
from sqlext.statements.train_model import TrainModel
from sqlext.training.request import TrainRequest
from sqlext.training.rows import Rows
from sqlext.training.trials import Trial, goal_of, trials_of


def parsed(tune: str, more: str = "", kind: str = "LABEL") -> TrainRequest:
    statement = parse_statement(f"TRAIN MODEL m FROM t {kind} y USING mlp TUNE {tune} {more}")
    assert isinstance(statement, TrainModel)
    return statement.request


def trials(tune: str, more: str = "") -> list[Trial]:
    return trials_of(parsed(tune, more))


def test_the_grid_is_every_combination_in_order() -> None:
    found = trials("(hidden IN ('8', '8,4'), learning_rate IN (0.1, 1e-2, 1e-3))", "OPTIONS (epochs = 3, hidden = '2')")
    assert [str(t) for t in found][:2] == ["hidden = '8', learning_rate = 0.1", "hidden = '8', learning_rate = 0.01"]
    assert len(found) == 6
    last = found[-1].request
    assert (last.options["hidden"], last.options["learning_rate"], last.options["epochs"]) == ("8,4", 0.001, 3)
    assert last.tune is None
    assert len(trials("(epochs IN (1, 2, 3, 4, 4)) TRIALS 3")) == 3
    assert len(trials("(epochs IN (1, 2, 2)) TRIALS 30")) == 2  # a combination runs once


def test_the_seed_fixes_random_draws() -> None:
    ranges = "(learning_rate BETWEEN 1e-4 AND 1e-1 LOG, epochs BETWEEN 1 AND 50, dropout BETWEEN 0 AND 0.5)"
    first = trials(ranges)
    assert len(first) == 10
    assert [str(t) for t in first] == [str(t) for t in trials(ranges, "OPTIONS (seed = 42)")]
    assert [str(t) for t in first] != [str(t) for t in trials(ranges, "OPTIONS (seed = 1)")]
    rates = sorted(t.tried["learning_rate"] for t in trials(f"{ranges} TRIALS 200"))
    assert rates[0] >= 1e-4
    assert rates[-1] <= 1e-1
    assert rates[100] < 0.01  # the median is about 0.003 on the log scale; it would be 0.05 on a linear one
    assert all(isinstance(t.tried["epochs"], int) and 1 <= t.tried["epochs"] <= 50 for t in first)
    assert len(trials("(epochs IN (1, 2, 3)) TRIALS 9 BY RANDOM")) == 3


def test_a_trial_omits_options_that_its_optimizer_does_not_have() -> None:
    found = trials("(optimizer IN ('adam', 'sgd'), momentum IN (0.5, 0.9))")
    assert [str(t) for t in found] == [
        "optimizer = 'adam'",
        "optimizer = 'sgd', momentum = 0.5",
        "optimizer = 'sgd', momentum = 0.9",
    ]


def test_the_goal_ranks_trials() -> None:
    assert (goal_of(parsed("(epochs IN (1))")).metric, goal_of(parsed("(epochs IN (1))")).lower) == ("accuracy", False)
    goal = goal_of(parsed("(epochs IN (1)) MINIMIZE log_loss"))
    assert (goal.better(0.1, 0.2), goal.better(0.2, 0.1), goal.better(None, 0.1), goal.better(0.5, None)) == (
        True,
        False,
        False,
        True,
    )
    assert goal_of(parsed("(epochs IN (1))", "", "TARGET")).metric == "rmse"
    assert goal_of(parsed("(epochs IN (1))", "OPTIONS (metric = 'f1_score')")).metric == "f1_score"


@pytest.mark.parametrize(
    ("tune", "error", "at", "says"),
    [
        ("(epoch IN (1))", "UNKNOWN_OPTION", "epoch IN", "Did you mean epochs"),
        ("('LR' IN (0.1))", "UNKNOWN_OPTION", "'LR'", r"Write learning_rate\."),
        ("(num_trials IN (3))", "UNKNOWN_OPTION", "num_trials", r"Write TUNE \(\.\.\) TRIALS n"),
        ("(seed IN (1, 2))", "INVALID_TUNE", "seed IN", "cannot vary seed"),
        ("(epochs IN (1, 0))", "INVALID_OPTION_VALUE", "(1, 0)", "from 1"),
        ("(optimizer BETWEEN 'a' AND 'b')", "INVALID_OPTION_VALUE", "'a'", "'adam'"),
        ("(early_stop BETWEEN false AND true)", "INVALID_TUNE", "false AND", r"with IN \(\.\.\)"),
        ("(epochs BETWEEN 5 AND 5)", "INVALID_TUNE", "5 AND", "empty range"),
        ("(weight_decay BETWEEN 0 AND 1 LOG)", "INVALID_TUNE", "0 AND", "above 0"),
        ("(epochs IN (1), dropout BETWEEN 0 AND 0.5) BY GRID", "INVALID_TUNE", "dropout BETWEEN", "BY RANDOM"),
        ("(epochs IN (1)) MAXIMIZE log_loss", "INVALID_TUNE", "(epochs", "MINIMIZE log_loss"),
        ("(epochs IN (1)) MINIMIZE rmse", "INVALID_TUNE", "(epochs", "cannot rank by rmse"),
        ("(epochs IN (1)) VALIDATE NONE", "INVALID_TUNE", "(epochs", "VALIDATE NONE"),
        ("(momentum IN (0.5))", "MOMENTUM_WITHOUT_SGD", "momentum", "sgd"),
    ],
)
def test_refused(tune: str, error: str, at: str, says: str) -> None:
    statement = parsed(tune)
    with pytest.raises(SqlExtError, match=says) as caught:
        trials_of(statement)
    assert caught.value.error_class == error
    sql = f"TRAIN MODEL m FROM t LABEL y USING mlp TUNE {tune} "
    assert caught.value.offset == sql.index(at)


def test_the_scaling_of_a_trial_has_what_the_trial_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[bool, bool]] = []

    def of(_: object, *, features: bool, target: bool) -> object:
        found.append((features, target))
        return found[-1]

    monkeypatch.setattr("sqlext.training.rows.Scaling.of", of)
    monkeypatch.setattr(Rows, "used", None)
    rows = Rows(None, 1, *[Counter()] * 3, 0, Counter(), 0)  # type: ignore[arg-type]
    pairs = [(True, False), (True, True), (False, True), (False, False)]
    assert [rows.scaling(features=f, target=t) for f, t in pairs * 2] == pairs * 2
    assert found == pairs
