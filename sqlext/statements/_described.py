"""What DESCRIBE MODEL EXTENDED adds: classes, layers, and where a version came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlext.statements.describe_model import Line

if TYPE_CHECKING:
    from sqlext.catalog import ModelEntry, ModelVersion

_LINEAR = re.compile(r"Linear\((\d+) -> (\d+)\)")

# Key in the manifest's `details` -> title shown here.
DETAILS = {
    "source": "Source",
    "validated_on": "Validated On",
    "statement": "Statement",
    "backbone": "Backbone",
    "preprocessing": "Preprocessing",
    "network": "Network",
    "embedding": "Embedding",
    "scores": "Scores",
    "layers": "Layers",
    "options": "Options",
    "engines": "Engines",
    "precision": "Precision",
    "trained_on": "Trained On",
    "reproducible": "Reproducible",
    "metric": "Metric",
    "import_check": "Import Check",
}


def classes(manifest: Mapping[str, Any]) -> list[Line]:
    """A line per label, in the order of the model's labels; none for a regression."""
    counts = manifest.get("class_counts")
    if counts:
        lines = [(c["label"], f"{c['trained']} training rows", f"{c['held_out']} held-out rows") for c in counts]
    else:
        lines = [(label, "", "") for label in manifest.get("labels") or ()]
    return _section("Classes", lines)


def layers(manifest: Mapping[str, Any]) -> list[Line]:
    """The layers from the input on, as BigDL prints them: (number) name, shapes, what is in them."""
    told = str(manifest.get("details", {}).get("layers") or "").partition(";")[0]
    if not told:
        return []
    lines: list[tuple[str, str, str]] = []
    backbone = manifest.get("backbone")
    if backbone and manifest["input"]["kind"] == "image":
        shape = "x".join(map(str, manifest["input"].get("shape") or ())) or "image"
        lines.append((f"{backbone['model']}@{backbone['version']}", f"({shape} -> {manifest['width']})", "frozen"))
    for layer in told.split(", "):
        linear = _LINEAR.fullmatch(layer)
        if linear is None:
            lines.append((layer, "", ""))
            continue
        given, made = int(linear[1]), int(linear[2])
        lines.append(("Linear", f"({given} -> {made})", f"{given * made + made:,} trained parameters"))
    return _section("Layers", [(f"({i}) {name}", shape, said) for i, (name, shape, said) in enumerate(lines, 1)])


def details(entry: ModelEntry, version: ModelVersion, manifest: Mapping[str, Any]) -> list[Line]:
    """What Hive's DESCRIBE EXTENDED gives at its end: where the version is and where it came from."""
    own: dict[str, Any] = {
        "Database": version.name.namespace,
        "Model": version.name.name,
        "Version": version.version,
        "Is Default": _default(entry, version),
        "Aliases": ", ".join(sorted(version.aliases)),
        "Kind": manifest["kind"],
        "Model Id": version.model_id,
        "Run Id": version.run_id,
        "Created By": version.created_by,
        "Created Time": version.created_at,
        "Release": version.parameters.get("sqlext.release"),
        "Owner": entry.owner,
        "Comment": entry.comment,
        "Properties": _listed(entry.properties),
        "Version Comment": version.parameters.get("sqlext.comment"),
        "Version Properties": _listed(manifest.get("properties") or {}),
        "Location": version.location,
        "Size": f"{version.size_bytes} bytes",
    }
    told = {title: manifest.get("details", {}).get(key) for key, title in DETAILS.items()}
    figures = {
        f"Rows {what.title()}": version.parameters.get(f"sqlext.rows_{what}")
        for what in ("trained", "validated", "tested", "skipped")
    }
    baseline = {"Baseline": version.parameters.get("sqlext.baseline_value")}
    shown = [(k, str(v), "") for k, v in {**own, **told, **figures, **baseline}.items() if v not in (None, "")]
    files = [(f"File {n}", f"{f['size']} bytes", f"sha256 {f['sha256']}") for n, f in manifest.get("files", {}).items()]
    return _section("Detailed Model Information", [*shown, *_sources(manifest), *files])


def _listed(properties: Mapping[str, str]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in sorted(properties.items()))


def _default(entry: ModelEntry, version: ModelVersion) -> str:
    if version.version != entry.default.version:
        return f"false: {entry.default.version} is"
    return "true: pinned" if version.pinned else "true"


def _sources(manifest: Mapping[str, Any]) -> list[Line]:
    """The tables that were read, as they were then."""
    lines: list[Line] = []
    for source in manifest.get("sources") or ():
        changed = source.get("latest_modification")  # milliseconds
        when = datetime.fromtimestamp(changed / 1000, UTC).isoformat(" ", "seconds") if changed else ""
        then = [
            f"{source['files']} files" if source.get("files") is not None else "",
            f"{source['bytes']} bytes" if source.get("bytes") is not None else "",
            f"last changed {when}" if when else "",
        ]
        name = f"Table {source['table']}" if source.get("table") else "Files"
        lines.append((name, source.get("location") or "", ", ".join(t for t in then if t)))
    return lines


def _section(title: str, lines: list[Any]) -> list[Line]:
    return [("", "", ""), (f"# {title}", "", ""), *lines] if lines else []
