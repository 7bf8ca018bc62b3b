"""Part of the check of IMPORT: a picture gives the same outputs alone and in a batch.

An operator that was exported for a fixed batch, or a normalisation in training mode, mixes the pictures of a batch.
"""

from __future__ import annotations

import numpy as np

from sqlext.engines.base import Array, Engine
from sqlext.networks.graph import Network

BOUND = 1e-3
# Rounding to few levels, sometimes with levels that depend on the whole batch, changes the numbers more.
QUANTISED_BOUND = 0.1
Outputs = tuple[Array, Array | None]


def mixing(network: Network, name: str, engine: Engine, batch: Array, outputs: Outputs) -> str | None:
    """Says that the outputs of the last picture depend on the other pictures of ``batch``, if they do."""
    quantised = any("Quantize" in operator or operator.startswith("QLinear") for operator in network.operators)
    for tensor, together, alone in zip(
        (network.embedding_name, network.scores_name), outputs, engine.run(batch[-1:]), strict=True
    ):
        if together is None or alone is None:
            continue
        difference = float(np.abs(together[-1:] - alone).max() / max(float(np.abs(together).max()), 1e-30))
        if difference > (QUANTISED_BOUND if quantised else BOUND):
            return (
                f"'{tensor}' of a picture depends on the other pictures of its batch: alone and in a batch of {len(batch)} "
                f"it differs by {difference:.2g} of the largest number in {name}; export the network in evaluation mode "
                "and with a free batch axis"
            )
    return None
