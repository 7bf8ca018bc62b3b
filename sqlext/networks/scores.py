"""What the last output of a network holds, as manifests name it in `scores_kind`: logits, probabilities or a value."""

from __future__ import annotations

VALUE = "value"  # one number, not the scores of classes
