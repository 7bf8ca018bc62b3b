"""What the last output of a network holds, as manifests name it in `scores_kind`: logits, probabilities or a value."""

from __future__ import annotations

VALUE = "value"  # a manifest's `scores_kind` if the scores of a network are a single predicted number
