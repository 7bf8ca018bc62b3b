"""manifest.json of a trained version: everything needed to score with it and to reproduce it."""

from __future__ import annotations

from typing import Any

from sqlext.catalog.backbones import record_of
from sqlext.training.outcome import Outcome


def manifest_of(outcome: Outcome) -> dict[str, Any]:
    """The content of manifest.json, which must be serialisable as JSON."""
    plan, backbone = outcome.plan, outcome.plan.backbone
    columns = [{"name": c.text, "type": c.type.simpleString()} for c in plan.features.columns]
    common = {
        "model": str(plan.name),
        "task": plan.task,
        "input": {
            "kind": plan.features.kind,
            "column": columns[0]["name"],
            "columns": columns,
            "shape": list(outcome.image_shape) if outcome.image_shape else None,
        },
        "width": outcome.rows.width,
        "backbone": record_of(backbone) if backbone else None,
        "precision": outcome.precision,
        "held_out": {
            "rows": outcome.scored.rows,
            "frequent_label": outcome.frequent_label,
            "target_mean": outcome.mean,
        },
        "training": {
            "options": plan.options,
            "clauses": _clauses(outcome),
            "split_seed": plan.split_seed,
            "figures": outcome.figures(),
        },
        "sources": outcome.sources,
        "query": plan.source_text,
        "namespace": outcome.namespace,  # the database of unqualified names in statement and query
        "properties": outcome.request.properties,
        "statement": outcome.sql,
        "details": _details(outcome),
    }
    return common | (_target(outcome) if plan.regression else _classes(outcome))


def _classes(outcome: Outcome) -> dict[str, Any]:
    trained, held_out = outcome.rows.trained, outcome.rows.held_out
    return {
        "labels": list(outcome.labels.names),
        "label_column": outcome.plan.label.text,
        "label_type": outcome.plan.label.type.simpleString(),
        "scores_kind": "logits",
        "class_counts": [
            {"label": name, "trained": trained[name], "held_out": held_out[name]} for name in outcome.labels.names
        ],
    }


def _target(outcome: Outcome) -> dict[str, Any]:
    assert outcome.fitted.target is not None
    return {
        "labels": None,
        "target_column": outcome.plan.label.text,
        "target_type": outcome.plan.label.type.simpleString(),
        "scores_kind": "value",
        "target_scaling": {"mean": outcome.fitted.target.mean, "std": outcome.fitted.target.std, "folded": True},
    }


def _clauses(outcome: Outcome) -> dict[str, Any]:
    """The resolved clauses, for SHOW CREATE MODEL."""
    plan, validation = outcome.plan, outcome.plan.validation
    return {
        "source": plan.source_text,
        "features": [c.text for c in plan.features.columns],
        "target" if plan.regression else "label": plan.label.text,
        "architecture": plan.architecture,
        "backbone": {"model": str(plan.backbone.name), "version": plan.backbone.version} if plan.backbone else None,
        "validate": validation.text,
        "seed": validation.seed,
        "comment": outcome.request.comment,
        "written_options": {option.key: option.value for option in outcome.request.raw_options},
    }


def _precision(check: dict[str, Any]) -> str:
    """The recorded precision check as a sentence."""
    if "rows" not in check:
        return f"{check['use']}: {check['reason']}"
    return (
        f"{check['use']}: on {check['rows']} rows accuracy {check['accuracy_bf16']:.4f} in bf16, "
        f"{check['accuracy_f32']:.4f} in f32; {check['flipped']} labels differ"
    )


def _details(outcome: Outcome) -> dict[str, Any]:
    """Values for DESCRIBE MODEL EXTENDED, in the form that it shows."""
    plan, trained = outcome.plan, outcome.trained
    options = {k: v for k, v in plan.options.items() if v is not None} | {"batch_size": trained.batch_size}
    return {
        "source": plan.source_text,
        "validated_on": outcome.validated_on,
        "statement": outcome.sql,
        "backbone": str(plan.backbone) if plan.backbone else None,
        "layers": _layers(outcome),
        "options": ", ".join(f"{k} = {str(v).lower()}" for k, v in sorted(options.items())),
        "engines": f"features by {plan.embedder.choice.engine} in {plan.embedder.choice.precision}"
        if plan.embedder.choice
        else None,
        "precision": _precision(outcome.precision),
        "trained_on": f"{trained.executors} executor{'s' if trained.executors != 1 else ''}"
        + (", distributed" if trained.distributed else ", one task"),
        "reproducible": str(trained.reproducible).lower(),
        "metric": f"{plan.metric} {outcome.metric_value}" if outcome.metric_value is not None else None,
    }


def _layers(outcome: Outcome) -> str:
    """'Linear(3 -> 64), ReLU, Linear(64 -> 2), LogSoftMax; 386 trained parameters'."""
    shapes = [w.shape for w in outcome.head.weights[::2]]
    layers = ", ReLU, ".join(f"Linear({shape[1]} -> {shape[0]})" for shape in shapes)
    end = "" if outcome.plan.regression else ", LogSoftMax"
    return f"{layers}{end}; {outcome.head.parameters:,} trained parameters"
