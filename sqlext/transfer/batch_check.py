"""Part of the check of IMPORT: a picture gives the same outputs alone and in a batch.

An operator that was exported for a fixed batch, or a normalisation in training mode, mixes the pictures of a batch.
"""

from __future__ import annotations

from sqlext.engines.base import Array, Engine
from sqlext.networks.network import Network
from sqlext.transfer.dispute import Measure

Outputs = tuple[Array, Array | None]


def mixing(network: Network, name: str, engine: Engine, batch: Array, outputs: Outputs, measure: Measure) -> str | None:
    """Says that the outputs of the first or the last picture depend on the other pictures of ``batch``, if they do.

    An operator that only reads later pictures, or only earlier ones, changes one of the two.
    """
    for picture in (slice(0, 1), slice(len(batch) - 1, None)):
        for tensor, together, alone in zip(
            (network.embedding_name, network.scores_name), outputs, engine.run(batch[picture]), strict=True
        ):
            if together is None or alone is None:
                continue
            difference = measure.difference(together[picture], alone, together)
            if difference > measure.bound:
                return (
                    f"'{tensor}' of a picture depends on the other pictures of its batch: alone and in a batch of "
                    f"{len(batch)} it differs by {difference:.2g} of the {measure.size} in {name}; export the network in "
                    "evaluation mode and with a free batch axis"
                )
    return None
