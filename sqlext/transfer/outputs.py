"""Decides what the outputs of an imported network are: class scores, a number or an embedding.

LABELS and OPTIONS say it, or else the graph, or else the values for a few pictures. What was assumed becomes a note of the
result row; what cannot be known, and what contradicts the values, is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sqlext.errors import SqlExtError
from sqlext.networks.meaning import (
    DIRECTIONS,
    LOG_PROBABILITIES,
    NEGATIVE_LOGS,
    PERCENTAGES,
    PROBABILITIES,
    SIGMOIDS,
    SUM_BOUND,
    between_0_and_1,
    meaning_of,
    roughly_probabilities,
)
from sqlext.networks.network import Network, with_kind
from sqlext.networks.scores import VALUE
from sqlext.networks.two_classes import with_two_classes
from sqlext.networks.wiring import Wiring

Values = NDArray[np.float32]
Labels = tuple[str, ...]


class Reader(Protocol):
    """Reads the network of the file with the options of the statement."""

    def __call__(self, *, classes: bool = False, embedding: str | None = None) -> Network: ...


@dataclass(frozen=True)
class Given:
    """What the statement or the file says about the outputs; ``scores_offset``: where the statement says `scores`."""

    labels: Labels | None = None
    scores: str | None = None
    embedding: str | None = None
    scores_offset: int | None = None

    @property
    def classes(self) -> bool:
        """Whether the output is said to hold class scores."""
        return bool(self.labels) or self.scores is not None


@dataclass(frozen=True)
class Understood:
    """The network with its final outputs; ``assumed``: options that were not given, with the values in their place."""

    network: Network
    assumed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def understand(read: Reader, run: Callable[[Network], Values | None], given: Given) -> Understood:
    """Reads a network and decides what its outputs are.

    :param run: returns the values of the last output for a few pictures, (N, width), or None if no engine can run it.
    :raises SqlExtError: INVALID_NETWORK, INVALID_OPTION_VALUE, LABELS_NEEDED, NO_CLASSES, IMPORT_CHECK_FAILED.
    """
    network = read(classes=given.classes)
    values = run(network)
    if network.scores_name is None and given.embedding is None and _holds_scores(network, values):
        network = read(classes=True)
    meaning = meaning_of(network.meaning, values)
    if meaning == DIRECTIONS and network.scores_in_file and not given.classes and given.embedding is None:
        return _only_an_embedding(read(embedding=network.scores_in_file), network.embedding_in_file)
    if network.scores_name is None:
        return Understood(network) if given.embedding else _only_an_embedding(network, network.likely_embedding)
    decide = _one_output if network.scores_width == 1 or given.scores == VALUE else _class_scores
    decided, kind, notes = decide(_Output(network, values, meaning, given))
    assumed = {} if given.embedding else {"embedding": decided.embedding_in_file}
    if given.scores is None and kind is not None:
        assumed["scores"] = kind
    return Understood(decided, assumed, notes + _embedding_notes(network, given))


def _holds_scores(network: Network, values: Values | None) -> bool:
    """Whether an output before which no classifier was found still holds class scores."""
    known = network.meaning in (PROBABILITIES, SIGMOIDS, LOG_PROBABILITIES) or network.embedding_width == 1
    return known or (values is not None and roughly_probabilities(values))


def _only_an_embedding(network: Network, other: str | None) -> Understood:
    """The network without a classifier; ``other``: the embedding if the output should hold class scores after all."""
    name, width = network.embedding_in_file, network.embedding_width
    more = f", embedding = '{other}'" if other else ""
    note = (
        f"the output '{name}' ({width} numbers) was taken as the embedding; if it holds class scores, write OPTIONS "
        f"(scores = 'logits'{more})"
    )
    return Understood(network, {}, [note])


def _embedding_notes(network: Network, given: Given) -> list[str]:
    if given.embedding is not None or network.embedding_in_file != network.scores_in_file:
        return []
    likely = network.likely_embedding
    name = f"embedding = '{likely}'" if likely else "embedding = '..'"
    return [
        f"no embedding was found apart from the scores '{network.scores_in_file}', so embed() returns the scores; to get "
        f"features, name their tensor: OPTIONS ({name})"
    ]


# --- the scores -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Output:
    """The scores of a network, their values for a few pictures and what these mean."""

    network: Network
    values: Values | None
    meaning: str | None
    given: Given

    @property
    def name(self) -> str:
        return f"'{self.network.scores_in_file}'"

    @property
    def range(self) -> str:
        """How the values look, for messages."""
        if self.values is None:
            return "has no known values"
        return f"has values from {self.values.min():.4g} to {self.values.max():.4g}"

    def contradicts(self, accepted: str, reason: str) -> SqlExtError:
        """The error for an option `scores` that the values contradict."""
        values = {"option": "scores", "value": self.given.scores, "accepted": f"{accepted}, since {reason}"}
        return SqlExtError("INVALID_OPTION_VALUE", offset=self.given.scores_offset, **values)


# The network with its final outputs, the kind of the scores as the option `scores` calls it, and notes.
_Decided = tuple[Network, str | None, list[str]]


def _class_scores(output: _Output) -> _Decided:
    """Two or more outputs: logits or probabilities."""
    scores = output.given.scores
    if scores == "logits":
        _check_logits(output)
    elif scores == "probabilities" and output.values is not None and not between_0_and_1(output.values):
        raise output.contradicts("'logits'", f"{output.name} {output.range}")
    elif scores is None and output.meaning in (PERCENTAGES, NEGATIVE_LOGS):
        raise _reshaped_probabilities(output)
    kind = scores or ("probabilities" if output.meaning in (PROBABILITIES, SIGMOIDS) else "logits")
    independent = kind == "probabilities" and output.meaning != PROBABILITIES
    return with_kind(output.network, kind), kind, [_several_labels(output)] if independent else []


def _check_logits(output: _Output) -> None:
    """Refuses a softmax of probabilities, unless only the values of a few pictures look like independent ones."""
    if output.meaning == PROBABILITIES:
        reason = f"the values of {output.name} are probabilities (not negative, 1 in sum)"
        raise output.contradicts("'probabilities'", reason)
    if output.network.meaning == SIGMOIDS:
        raise output.contradicts("'probabilities'", f"{output.name} is the result of a sigmoid")


def _several_labels(output: _Output) -> str:
    sums = "" if output.values is None else " (their sums are {:.3g} to {:.3g})".format(*_extremes(output.values))
    return (
        f"the {output.network.scores_width} values of {output.name} are independent probabilities{sums}: networks with "
        "several labels per picture are not supported, so classify() returns the one label with the highest value"
    )


def _extremes(values: Values) -> tuple[float, float]:
    sums = values.sum(axis=1, dtype=np.float64)
    return float(sums.min()), float(sums.max())


def _reshaped_probabilities(output: _Output) -> SqlExtError:
    """The error for values from which the probabilities follow only with what the graph did to them."""
    assert output.values is not None
    wiring = Wiring(output.network.model.graph)
    maker = wiring.producer[str(output.network.scores_in_file)]
    what = (
        f"have the sum {_extremes(output.values)[0]:.6g} for each picture (bound {SUM_BOUND:g}), so they are probabilities "
        "times a factor, or 1 minus probabilities"
        if output.meaning == PERCENTAGES
        else "are negative logarithms of probabilities: the largest belongs to the least probable class"
    )
    reason = (
        f"the values of {output.name} {what}; name the tensor before that step, such as OPTIONS (output = "
        f"'{wiring.activations(maker)[0]}')"
    )
    return SqlExtError("IMPORT_CHECK_FAILED", reason=reason)


def _one_output(output: _Output) -> _Decided:
    """One output: the probability or the logit of the second of two classes, or a number."""
    labels, scores = output.given.labels, output.given.scores
    if scores == VALUE:
        return _number(output), VALUE, []
    probability = _is_probability(output)
    if not labels and not probability and scores is None:
        return _number(output), VALUE, [_why_a_number(output)]
    if len(labels or ()) != 2:
        raise _labels_needed(output)
    if not probability and scores != "logits":
        reason = (
            f"its one output {output.name} {output.range}, so it is not the probability of the second label; if it is the "
            "logit of that label (a sigmoid makes it a probability), write OPTIONS (scores = 'logits')"
        )
        raise SqlExtError("IMPORT_CHECK_FAILED", reason=reason)
    assert labels is not None
    first, second = labels
    what = "probability" if probability else "logit"
    note = f"the one output {output.name} is the {what} of '{second}', and '{first}' gets the rest"
    return with_two_classes(output.network, logit=not probability), scores or "probabilities", [note]


def _is_probability(output: _Output) -> bool:
    """Whether one output is a probability: by OPTIONS, by a sigmoid at its end, or by its values."""
    scores, in_graph = output.given.scores, output.network.meaning
    within = output.values is None or between_0_and_1(output.values)
    if scores == "probabilities" and not within:
        raise output.contradicts("'logits'", f"{output.name} {output.range}")
    if scores == "logits" and in_graph == SIGMOIDS:
        raise output.contradicts("'probabilities'", f"{output.name} is the result of a sigmoid")
    if scores is not None:
        return scores == "probabilities"
    return within and in_graph in (SIGMOIDS, PROBABILITIES, None)


def _number(output: _Output) -> Network:
    if output.given.labels:
        raise SqlExtError("NO_CLASSES", model="The network", form="LABELS")
    if output.network.scores_width != 1:
        width = output.network.scores_width
        raise output.contradicts("'logits' or 'probabilities'", f"{output.name} has {width} values per picture")
    return with_kind(output.network, VALUE)


def _why_a_number(output: _Output) -> str:
    return (
        f"the one output {output.name} was taken as a number for predict_value(); if it is the logit of the second of two "
        "classes, write LABELS ('..', '..') and OPTIONS (scores = 'logits')"
    )


def _labels_needed(output: _Output) -> SqlExtError:
    features = output.network.embedding_in_file
    backbone = (
        f"for a backbone without classes, write OPTIONS (output = '{features}', embedding = '{features}')"
        if features != output.network.scores_in_file
        else "for predict_value(), write OPTIONS (scores = 'value')"
    )
    return SqlExtError("LABELS_NEEDED", output=output.name, backbone=backbone)
