"""The results of a finished training: files, figures, history and partition parameters (the manifest is in manifest.py)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlext.bigdl.records import TrainedHead
from sqlext.catalog.drafts import MAX_VALUE
from sqlext.catalog.layout import HEAD
from sqlext.evaluation.held_out import HeldOut
from sqlext.evaluation.metrics import most_frequent
from sqlext.evaluation.names import VALIDATION
from sqlext.evaluation.quality import baseline, quality
from sqlext.networks.head import Head
from sqlext.training.fit import Fitted
from sqlext.training.labels import Labels
from sqlext.training.plan import TrainPlan
from sqlext.training.promotion import Promotion
from sqlext.training.request import TrainRequest
from sqlext.training.rows import Rows


@dataclass(frozen=True)
class Outcome:
    """Everything that is known once the head is trained and the held-out rows are scored."""

    plan: TrainPlan
    request: TrainRequest
    labels: Labels
    rows: Rows
    fitted: Fitted
    scored: HeldOut
    precision: dict[str, Any]
    promotion: Promotion
    warnings: list[str]
    sources: list[dict[str, Any]]
    namespace: str
    sql: str
    image_shape: tuple[int, ...] | None  # of the backbone's input; None for arrays and columns
    waited: float = 0.0  # seconds in the queue
    search: str = ""  # the part of message about TUNE

    @property
    def trained(self) -> TrainedHead:
        return self.fitted.trained

    @property
    def head(self) -> Head:
        return self.fitted.head

    @cached_property
    def validated(self) -> HeldOut:
        """The rows that the metric is measured on: test rows count only in EVALUATE."""
        return self.scored.of_split(VALIDATION)

    @property
    def mean(self) -> float | None:
        """The mean of a regression's training targets."""
        return self.fitted.target.mean if self.fitted.target else None

    @property
    def frequent_label(self) -> str | None:
        """The most frequent training label; if several are, the first in sorted order."""
        return None if self.plan.regression else most_frequent(self.rows.trained)

    @cached_property
    def metric_value(self) -> float | None:
        return quality(self.plan.metric, self.validated, self.labels.names)

    @cached_property
    def baseline(self) -> float | None:
        """The metric, on the validation rows, of always predicting the most frequent training label (or the mean)."""
        return baseline(self.plan.metric, self.validated, self.rows.trained, self.labels.names, self.mean)

    def write(self, folder: Path) -> None:
        (folder / HEAD).write_bytes(self.head.to_onnx())
        self.scored.write(folder)

    def figures(self) -> dict[str, Any]:
        """The result columns of TRAIN with counts, losses and metrics."""
        best = self.trained.history[self.trained.best_epoch - 1]
        return {
            "rows_trained": sum(self.rows.trained.values()),
            "rows_validated": sum(self.rows.validated.values()),
            "rows_tested": sum(self.rows.tested.values()),
            "rows_skipped": self.rows.skipped,
            "classes": None if self.plan.regression else len(self.labels.names),
            "batch_size": self.trained.batch_size,
            "epochs": len(self.trained.history),
            "best_epoch": self.trained.best_epoch,
            "loss": best.loss,
            "val_loss": best.val_loss,
            "metric_name": self.plan.metric,
            "metric_value": self.metric_value,
            "baseline_value": self.baseline,
        }

    def history(self) -> Iterator[dict[str, Any]]:
        """One row per epoch, with the columns of the model's table."""
        for epoch in self.trained.history:
            yield {k: v for k, v in asdict(epoch).items() if v is not None} | {"metric_name": self.plan.epoch_metric}

    def parameters(self) -> dict[str, str]:
        """The parameters of the partition, which SHOW MODELS and SHOW MODEL VERSIONS read without opening a file."""
        figures = self.figures()
        stored = (
            "rows_trained",
            "rows_validated",
            "rows_tested",
            "rows_skipped",
            "classes",
            "metric_name",
            "metric_value",
            "baseline_value",
        )
        backbone = self.plan.backbone
        values = {
            **{name: figures[name] for name in stored},
            "label_column": self.plan.label.text,
            "target_column": self.plan.label.text if self.plan.regression else None,
            "task": self.plan.task,
            "source": _shortened(self.plan.source_text),
            "validated_on": self._validated_on_shortened,
            "backbone": str(backbone) if backbone else None,
            "backbone_id": backbone.id if backbone else None,
        }
        return {key: str(value) for key, value in values.items() if value is not None}

    @property
    def validated_on(self) -> str:
        """Source and VALIDATE clause: metric values can be compared only if these are the same."""
        return " ".join(text for text in self._validated_by if text)

    @property
    def _validated_on_shortened(self) -> str:
        """The same in at most :data:`MAX_VALUE` characters; next to a source, the clause takes at most half of them."""
        source, clause = self._validated_by
        clause = _shortened(clause, MAX_VALUE // 2) if source else _shortened(clause)
        return f"{_shortened(source, MAX_VALUE - len(clause) - 1)} {clause}" if source else clause

    @property
    def _validated_by(self) -> tuple[str, str]:
        """The source of the validation rows ('' if the VALIDATE clause names it, or with VALIDATE NONE), and the clause."""
        validation, source = self.plan.validation, self.plan.source_text
        if validation.kind == "split":
            more = f" TEST {validation.test_fraction:g}" if validation.test_fraction else ""
            more += f" GROUP {validation.group}" if validation.group else ""
            return source, f"VALIDATE SPLIT {validation.fraction:g}{more} SEED {self.plan.split_seed}"
        return source if validation.kind == "by" else "", f"VALIDATE {validation.text}"


def _shortened(text: str, most: int = MAX_VALUE) -> str:
    """Ends a long text with its checksum, so that two texts with the same beginning stay different."""
    if len(text) <= most:
        return text
    end = f" .. (sha256 {hashlib.sha256(text.encode()).hexdigest()[:12]})"
    return text[: most - len(end)] + end
