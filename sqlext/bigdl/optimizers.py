"""BigDL's optimizers as SQL names them."""

from __future__ import annotations

# BigDL's optimizers by their SQL name -> the options that each gives a meaning.
OPTIMIZERS: dict[str, frozenset[str]] = {
    "sgd": frozenset({"learning_rate", "learning_rate_decay", "momentum", "dampening"}),
    "adam": frozenset({"learning_rate", "learning_rate_decay"}),
    "adagrad": frozenset({"learning_rate", "learning_rate_decay"}),
    "adadelta": frozenset(),
    "adamax": frozenset({"learning_rate"}),
    "rmsprop": frozenset({"learning_rate", "learning_rate_decay"}),
    "ftrl": frozenset({"learning_rate"}),
    "lbfgs": frozenset({"learning_rate"}),
}
OF_SOME_OPTIMIZERS = frozenset().union(*OPTIMIZERS.values())
