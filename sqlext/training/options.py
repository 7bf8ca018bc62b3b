"""The options of TRAIN: the values that each takes, and which options can be combined."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlext.bigdl.optimizers import OPTIMIZERS
from sqlext.errors import SqlExtError
from sqlext.evaluation.names import CLASSIFICATION_METRICS, REGRESSION_METRICS
from sqlext.grammar import planned
from sqlext.grammar.notes import RawOption
from sqlext.grammar.options import MAX_INT, Option, boolean, choice, integer, number, text
from sqlext.settings import duration_seconds
from sqlext.text import parsed_json
from sqlext.training.request import TrainRequest

_WIDTH = re.compile(r"\d{1,10}", re.ASCII)


def _seconds(value: Any) -> float:
    try:
        seconds = 0.0 if isinstance(value, bool) else duration_seconds(str(value))
    except (ValueError, KeyError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError("seconds above 0, or a duration such as '10m'")
    return seconds


def _layers(value: Any) -> str:
    widths = [part.strip() for part in str(value).split(",")] if str(value).strip() else []
    if not all(_WIDTH.fullmatch(w) and 0 < int(w) <= MAX_INT for w in widths):
        raise ValueError("widths of hidden layers such as '256,64'")
    return ",".join(widths)


def _class_weights(value: Any) -> str | dict[str, float]:
    """'auto', or weights by label value."""
    accepted = "'auto' or JSON such as '{\"label\": 2.5}'"
    if str(value).strip().lower() == "auto":
        return "auto"
    try:
        weights = parsed_json(value)
        if not isinstance(weights, dict) or not weights:
            raise ValueError
        numbers = {str(label): number(0, above=True)(weight) for label, weight in weights.items()}
    except (TypeError, ValueError):
        raise ValueError(accepted) from None
    return numbers


def _dropout(value: Any) -> float:
    try:
        share = number(0, 1)(value)
    except ValueError:
        share = 1
    if share == 1:  # a layer without any of its inputs learns nothing
        raise ValueError("a number from 0 to below 1")
    return share


@dataclass(frozen=True, kw_only=True)
class TrainOption(Option):
    """An option of TRAIN, declared once for TUNE, SHOW CREATE MODEL and the settings of BigDL.

    ``tunable``: TUNE may vary it. ``bigdl``: its value goes to :class:`~sqlext.bigdl.records.TrainSettings` unchanged (fit.py
    sets the fields that depend on the rows). ``of_the_run``: it does not change what is trained, so SHOW CREATE MODEL omits
    it. ``spelled_out``: SHOW CREATE MODEL shows it even if it has its default.
    """

    tunable: bool = False
    bigdl: bool = False
    of_the_run: bool = False
    spelled_out: bool = False


OPTIONS: tuple[TrainOption, ...] = (
    TrainOption(
        "epochs",
        integer(1),
        None,
        "passes over the training rows; default 20, or 100 with early_stop and without a backbone",
        tunable=True,
        bigdl=True,
    ),
    TrainOption(
        "max_runtime", _seconds, None, "training ends after the epoch in which this time runs out", of_the_run=True
    ),
    TrainOption(
        "early_stop",
        boolean,
        None,
        "publish the epoch with the lowest val_loss; default: on without a backbone, if there are validation rows",
        tunable=True,
        bigdl=True,
    ),
    TrainOption(
        "early_stop_patience",
        integer(1),
        3,
        "epochs without a lower val_loss before early_stop ends training",
        tunable=True,
        bigdl=True,
    ),
    TrainOption(
        "min_loss", number(0), None, "training ends after an epoch whose loss is below this value", tunable=True
    ),
    TrainOption("batch_size", integer(1), None, "rows per training step; default 32", tunable=True, bigdl=True),
    TrainOption(
        "optimizer", choice(*OPTIMIZERS), "adam", "BigDL's optimizer", tunable=True, bigdl=True, spelled_out=True
    ),
    TrainOption(
        "learning_rate",
        number(0, above=True),
        None,
        "default 1e-3 with a backbone, 1e-2 without",
        tunable=True,
        bigdl=True,
    ),
    TrainOption(
        "momentum",
        number(0, 1),
        None,
        "share of the previous step that sgd adds; default 0.9",
        tunable=True,
        bigdl=True,
    ),
    TrainOption(
        "dampening",
        number(0, 1),
        None,
        "how much less a new gradient counts in sgd's momentum; default: the same as momentum (BigDL's rule)",
        tunable=True,
        bigdl=True,
    ),
    TrainOption("weight_decay", number(0), 0.0, "L2 penalty on every Linear layer", tunable=True, bigdl=True),
    TrainOption(
        "clip_norm", number(0, above=True), None, "maximum L2 norm of a step's gradient", tunable=True, bigdl=True
    ),
    TrainOption(
        "learning_rate_decay",
        number(0),
        0.0,
        "the rate is learning_rate / (1 + steps * decay)",
        tunable=True,
        bigdl=True,
    ),
    TrainOption(
        "standardize",
        boolean,
        None,
        "scale features by the training rows; default: on without a backbone",
        tunable=True,
    ),
    TrainOption(
        "metric",
        choice(*CLASSIFICATION_METRICS, *REGRESSION_METRICS),
        None,
        "the metric of metric_value; default accuracy, or rmse with TARGET",
    ),
    TrainOption(
        "class_weights", _class_weights, None, "weights of the classes in the training criterion", tunable=True
    ),
    TrainOption("hidden", _layers, "", "widths of the hidden layers of mlp", tunable=True),
    TrainOption("dropout", _dropout, 0.0, "share of inputs that mlp ignores in a training step", tunable=True),
    TrainOption(
        "on_bad_row", choice("skip", "fail"), "skip", "what to do with undecodable images, NULL features or labels"
    ),
    TrainOption("max_bad_fraction", number(0, 1), 0.1, "share of bad rows above which the statement fails"),
    TrainOption(
        "precision",
        choice("auto", "f32", "bf16", planned=planned.OPTION_VALUES["precision"]),
        "auto",
        "what scoring may use for this version",
    ),
    TrainOption("tensorboard", text, None, "folder for TensorBoard's event files", of_the_run=True),
    TrainOption("warm_start", text, None, "model whose weights training starts from, such as 'db.model@2'"),
    TrainOption(
        "promote",
        choice("always", "if_better", "never"),
        "always",
        "whether the new version becomes the default",
        of_the_run=True,
    ),
    TrainOption("async", boolean, False, "return at once and train in the background", of_the_run=True),
    TrainOption(
        "seed",
        integer(0),
        42,
        "fixes the split, the initial weights and the order of rows",
        bigdl=True,
        spelled_out=True,
    ),
)

# Options of other systems -> what to write instead.
FOREIGN_OPTIONS = {
    "model_type": "LABEL column (classification) or TARGET column (regression), and USING for the architecture",
    "input_label_cols": "LABEL column",
    "data_split_method": "VALIDATE SPLIT 0.2, VALIDATE BY column, VALIDATE FROM table or VALIDATE NONE",
    "data_split_eval_fraction": "VALIDATE SPLIT 0.2",
    "data_split_test_fraction": "VALIDATE SPLIT 0.2 TEST 0.1",
    "data_split_col": "VALIDATE BY column",
    "max_iterations": "epochs = n",
    "num_epochs": "epochs = n",
    "learn_rate": "learning_rate = x",
    "lr": "learning_rate = x",
    "l2_reg": "weight_decay = x",
    "hidden_units": "hidden = '256,64'",
    "auto_class_weights": "class_weights = 'auto'",
    "min_rel_progress": "early_stop = true",
    "num_trials": "TUNE (..) TRIALS n",
}


def check_together(request: TrainRequest, *, tuned: Collection[str] = ()) -> None:
    """Rejects options that contradict each other or other clauses.

    :param tuned: options whose values come from TUNE.
    :raises SqlExtError: INVALID_OPTION_VALUE, MOMENTUM_WITHOUT_SGD, OPTION_WITHOUT_EFFECT, at the option's position.
    """
    options, regression = request.options, request.regression
    written = {option.key: option for option in request.raw_options}
    if "optimizer" not in tuned:
        _check_optimizer(str(options["optimizer"]), written)
    if request.architecture == "linear":
        for key in ("hidden", "dropout"):
            if key in written and options[key]:
                _without_effect(written[key], "only USING mlp has this option")
    if regression and "class_weights" in written:
        _without_effect(written["class_weights"], "TARGET has no classes")
    metrics = REGRESSION_METRICS if regression else CLASSIFICATION_METRICS
    checks: list[tuple[str, Callable[[Any], bool], str]] = [
        ("metric", lambda v: v in metrics, f"{', '.join(metrics)} with {'TARGET' if regression else 'LABEL'}"),
        (
            "promote",
            lambda v: not (request.replace and v != "always"),
            "'always' with OR REPLACE, which removes the older versions",
        ),
    ]
    for key, fits, accepted in checks:
        if key in written and not fits(options[key]):
            raise SqlExtError(
                "INVALID_OPTION_VALUE",
                option=key,
                value=options[key],
                accepted=accepted,
                offset=written[key].value_offset,
            )


def _check_optimizer(optimizer: str, written: Mapping[str, RawOption]) -> None:
    """Rejects options that this optimizer does not have."""
    if optimizer != "sgd" and "momentum" in written:
        raise SqlExtError("MOMENTUM_WITHOUT_SGD", optimizer=optimizer, offset=written["momentum"].offset)
    for key in ("learning_rate", "learning_rate_decay", "dampening"):
        if key in written and key not in OPTIMIZERS[optimizer]:
            owners = ", ".join(name for name, keys in OPTIMIZERS.items() if key in keys)
            _without_effect(written[key], f"optimizer '{optimizer}' does not have it; these do: {owners}")


def _without_effect(option: RawOption, reason: str) -> None:
    raise SqlExtError("OPTION_WITHOUT_EFFECT", option=option.key, reason=reason, offset=option.offset)
