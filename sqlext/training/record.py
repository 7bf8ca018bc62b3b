"""What a finished training leaves behind: the files of the version, its manifest, its history and its partition parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlext.bigdl.training import TrainedHead
from sqlext.networks.head import Head
from sqlext.training.held_out import HeldOut
from sqlext.training.labels import Labels
from sqlext.training.metrics import most_frequent
from sqlext.training.plan import TrainPlan

if TYPE_CHECKING:
    from sqlext.statements.train_model import TrainModel
    from sqlext.training.rows import Rows

_MAX_PARAMETER = 1000  # of free text; the metastore takes 4,000


@dataclass(frozen=True)
class Outcome:
    """Everything that is known when the weights are there."""

    plan: TrainPlan
    statement: TrainModel
    labels: Labels
    rows: Rows
    trained: TrainedHead
    head: Head
    scored: HeldOut
    precision: dict[str, Any]
    sql: str
    image_shape: tuple[int, ...] | None  # what the backbone sees; None for arrays

    @property
    def frequent_label(self) -> str:
        """The training label that occurs most often; the first in sorted order when several do."""
        return most_frequent(list(self.rows.trained.elements()))

    @property
    def baseline(self) -> float | None:
        """Accuracy on the held-out rows of always answering the most frequent training label."""
        held_out = self.rows.held_out
        return held_out[self.frequent_label] / sum(held_out.values()) if held_out else None

    def write(self, folder: Path) -> None:
        (folder / "head.onnx").write_bytes(self.head.to_onnx())
        self.scored.write(folder)

    def figures(self) -> dict[str, Any]:
        """Result columns of TRAIN that say how it went."""
        best = self.trained.history[self.trained.best_epoch - 1]
        return {
            "rows_trained": sum(self.rows.trained.values()),
            "rows_validated": sum(self.rows.held_out.values()),
            "rows_tested": 0,
            "rows_skipped": self.rows.skipped,
            "classes": len(self.labels.names),
            "batch_size": self.trained.batch_size,
            "epochs": len(self.trained.history),
            "best_epoch": self.trained.best_epoch,
            "loss": best.loss,
            "val_loss": best.val_loss,
            "metric_name": "accuracy",
            "metric_value": self.scored.accuracy,
            "baseline_value": self.baseline,
        }

    def history(self) -> Iterator[dict[str, Any]]:
        """A row per epoch, as the model's table has them."""
        for epoch in self.trained.history:
            yield {k: v for k, v in asdict(epoch).items() if v is not None} | {"metric_name": "accuracy"}

    def parameters(self) -> dict[str, str]:
        """Of the partition: what SHOW MODELS and SHOW MODEL VERSIONS read without opening a file."""
        figures = self.figures()
        kept = (
            "rows_trained",
            "rows_validated",
            "rows_skipped",
            "classes",
            "metric_name",
            "metric_value",
            "baseline_value",
        )
        backbone = self.plan.backbone
        values = {
            **{name: figures[name] for name in kept},
            "label_column": self.plan.label.text,
            "source": self.plan.source_text,
            "validated_on": self.validated_on,
            "backbone": str(backbone) if backbone else None,
            "backbone_id": backbone.id if backbone else None,
        }
        return {key: str(value)[:_MAX_PARAMETER] for key, value in values.items() if value is not None}

    @property
    def validated_on(self) -> str:
        """Source and VALIDATE clause: metric values compare only where these agree."""
        if self.plan.validation.kind == "split":
            return (
                f"{self.plan.source_text} VALIDATE SPLIT {self.plan.validation.fraction:g} SEED {self.plan.split_seed}"
            )
        return f"VALIDATE {self.plan.validation.text}"

    def manifest(self, run_id: str) -> dict[str, Any]:
        """Everything needed to score, and to say where the model came from."""
        plan, backbone = self.plan, self.plan.backbone
        return {
            "model": str(plan.name),
            "input": {
                "kind": "image" if plan.embedder.embeds else "array",
                "column": plan.embedder.features.text,
                "shape": list(self.image_shape) if self.image_shape else None,
            },
            "width": self.rows.width,
            "labels": list(self.labels.names),
            "label_column": plan.label.text,
            "label_type": plan.label.type.simpleString(),
            "backbone": {
                "model": str(backbone.name),
                "model_id": backbone.model_id,
                "version": backbone.version,
                "location": backbone.location,
            }
            if backbone
            else None,
            "scores_kind": "logits",
            "precision": self.precision,
            "class_counts": [
                {"label": name, "trained": self.rows.trained[name], "held_out": self.rows.held_out[name]}
                for name in self.labels.names
            ],
            "held_out": {"rows": self.scored.rows, "frequent_label": self.frequent_label},
            "training": {"options": plan.options, "split_seed": plan.split_seed, "figures": self.figures()},
            "statement": self.sql,
            "namespace": plan.source.sparkSession.catalog.currentDatabase(),  # what unqualified names in it mean
            "details": self._details(),
        }

    def _precision(self) -> str:
        """The recorded check in words."""
        check = self.precision
        if "rows" not in check:
            return f"{check['use']}: {check['reason']}"
        return (
            f"{check['use']}: on {check['rows']} rows accuracy {check['accuracy_bf16']:.4f} in bf16, "
            f"{check['accuracy_f32']:.4f} in f32; {check['flipped']} labels differ"
        )

    def _details(self) -> dict[str, Any]:
        """What DESCRIBE MODEL EXTENDED shows, as it shows it."""
        plan, trained = self.plan, self.trained
        options = {k: v for k, v in plan.options.items() if v is not None} | {"batch_size": trained.batch_size}
        return {
            "source": plan.source_text,
            "validated_on": self.validated_on,
            "statement": self.sql,
            "backbone": str(plan.backbone) if plan.backbone else None,
            "layers": f"Linear({self.head.width} -> {self.head.outputs}), LogSoftMax; {self.head.parameters:,} trained parameters",
            "options": ", ".join(f"{k} = {str(v).lower()}" for k, v in sorted(options.items())),
            "engines": f"features by {plan.embedder.choice.engine} in {plan.embedder.choice.precision}"
            if plan.embedder.choice
            else None,
            "precision": self._precision(),
            "trained_on": f"{trained.executors} executor{'s' if trained.executors != 1 else ''}"
            + (", distributed" if trained.distributed else ", one task"),
            "reproducible": str(trained.reproducible).lower(),
            "metric": f"accuracy {self.scored.accuracy}" if self.scored.accuracy is not None else None,
        }
