"""DESCRIBE MODEL: the inputs and outputs of a version; with EXTENDED, also its origin and how it was trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlext.catalog.entry import ModelEntry, ModelVersion, predicts_a_value
from sqlext.context import Context, ResultRow
from sqlext.errors import error_at
from sqlext.grammar.reader import TokenReader, WrittenModel
from sqlext.statements.base import Statement

Line = tuple[str, str | None, str | None]
_LINEAR = re.compile(r"Linear\((\d+) -> (\d+)\)")

# Key in the manifest's `details` -> title in the result.
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


@dataclass(frozen=True)
class DescribeModel(Statement):
    """``(DESCRIBE | DESC) MODEL [EXTENDED | FORMATTED] name [VERSION n | ALIAS a]``"""

    model: WrittenModel
    extended: bool

    NAME = "DESCRIBE MODEL"
    HEADS = (("DESCRIBE", "MODEL"), ("DESC", "MODEL"))
    OUTPUT: ClassVar[dict[str, str]] = {"col_name": "STRING", "data_type": "STRING", "comment": "STRING"}

    @classmethod
    def parse(cls, reader: TokenReader) -> DescribeModel:
        reader.need_any("DESCRIBE", "DESCRIBE", "DESC")
        reader.need("MODEL")
        # A model may itself be called extended: the word is an option only when a name follows.
        extended = reader.at_any({"EXTENDED", "FORMATTED"}) and reader.peek(1) is not None and not _is_name(reader)
        if extended:
            reader.need_any("EXTENDED", "EXTENDED", "FORMATTED")
        model = reader.model()
        reader.end("VERSION, ALIAS or the end of the statement")
        return cls(model, extended)

    def run(self, context: Context) -> list[ResultRow]:
        catalog = context.catalog
        with error_at(self.model.name.offset):
            version = catalog.resolve(context.model_ref(self.model))
            catalog.check(version.name, "SELECT")
        manifest = catalog.read_manifest(version)
        lines = _inputs(manifest) + _outputs(manifest)
        if self.extended:
            lines += _classes(manifest) + _layers(manifest) + _details(catalog.get(version.name), version, manifest)
        return [dict(zip(self.OUTPUT, line, strict=True)) for line in lines]


def _is_name(reader: TokenReader) -> bool:
    """Whether EXTENDED is the model's name: it ends the statement, or a dot, VERSION n or ALIAS a follows."""
    following = reader.peek(1)
    if following is None or following.text == ".":
        return True
    ends = reader.peek(2) is not None and reader.peek(3) is None
    return ends and following.text.upper() in ("VERSION", "ALIAS")


def _inputs(manifest: dict[str, Any]) -> list[Line]:
    """The inputs in the order of the arguments of classify()."""
    trained = manifest["input"]
    if trained["kind"] == "image":
        shape = "x".join(str(n) for n in trained["shape"]) if trained.get("shape") else None
        comment = f"an encoded picture or an image struct; the network sees {shape}"
        return [(trained.get("column") or "image", "binary", comment)]
    if trained["kind"] == "columns":
        return [(column["name"], column["type"], "a number") for column in trained["columns"]]
    return [(trained["column"], "array<float>", f"{manifest['width']} numbers, or an ML vector of that size")]


def _outputs(manifest: dict[str, Any]) -> list[Line]:
    lines: list[Line] = [("", "", ""), ("# Output", "", "")]
    if manifest["kind"] == "backbone":
        lines.append(("embedding", "array<float>", f"{manifest['width']} numbers: embed()"))
    if predicts_a_value(manifest):
        target = manifest.get("target_column")
        lines.append(("value", "double", f"{target}: predict_value()" if target else "predict_value()"))
    elif manifest["kind"] != "backbone" or manifest.get("scores_width"):
        count = len(manifest["labels"]) if manifest.get("labels") else manifest.get("scores_width")
        lines.append(("label", "string", f"one of {count} classes: classify()"))
        lines.append(("score", "double", "its probability: classify_score()"))
    return lines


# --- EXTENDED ---------------------------------------------------------------------------------------------------------


def _classes(manifest: Mapping[str, Any]) -> list[Line]:
    """One line per label, in the order of the model's labels; none for a regression."""
    counts = manifest.get("class_counts")
    if counts:
        lines = [(c["label"], f"{c['trained']} training rows", f"{c['held_out']} held-out rows") for c in counts]
    else:
        lines = [(label, "", "") for label in manifest.get("labels") or ()]
    return _section("Classes", lines)


def _layers(manifest: Mapping[str, Any]) -> list[Line]:
    """The layers from the input to the output, as BigDL prints them: (number) name, shapes, content."""
    layers = str(manifest.get("details", {}).get("layers") or "").partition(";")[0]
    if not layers:
        return []
    lines: list[tuple[str, str, str]] = []
    backbone = manifest.get("backbone")
    if backbone and manifest["input"]["kind"] == "image":
        shape = "x".join(map(str, manifest["input"].get("shape") or ())) or "image"
        lines.append((f"{backbone['model']}@{backbone['version']}", f"({shape} -> {manifest['width']})", "frozen"))
    for layer in layers.split(", "):
        linear = _LINEAR.fullmatch(layer)
        if linear is None:
            lines.append((layer, "", ""))
            continue
        width, outputs = int(linear[1]), int(linear[2])
        lines.append(("Linear", f"({width} -> {outputs})", f"{width * outputs + outputs:,} trained parameters"))
    return _section("Layers", [(f"({i}) {name}", shape, comment) for i, (name, shape, comment) in enumerate(lines, 1)])


def _details(entry: ModelEntry, version: ModelVersion, manifest: Mapping[str, Any]) -> list[Line]:
    """The counterpart of the last section of Hive's DESCRIBE EXTENDED: location and origin of the version."""
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
    recorded = {title: manifest.get("details", {}).get(key) for key, title in DETAILS.items()}
    figures = {
        f"Rows {what.title()}": version.parameters.get(f"sqlext.rows_{what}")
        for what in ("trained", "validated", "tested", "skipped")
    }
    baseline = {"Baseline": version.parameters.get("sqlext.baseline_value")}
    shown = [(k, str(v), "") for k, v in {**own, **recorded, **figures, **baseline}.items() if v not in (None, "")]
    files = [(f"File {n}", f"{f['size']} bytes", f"sha256 {f['sha256']}") for n, f in manifest.get("files", {}).items()]
    return _section("Detailed Model Information", [*shown, *_sources(manifest), *files])


def _listed(properties: Mapping[str, str]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in sorted(properties.items()))


def _default(entry: ModelEntry, version: ModelVersion) -> str:
    if version.version != entry.default.version:
        return f"false: version {entry.default.version} is the default"
    return "true: pinned" if version.pinned else "true"


def _sources(manifest: Mapping[str, Any]) -> list[Line]:
    """The tables that the training read, in their state at that time."""
    lines: list[Line] = []
    for source in manifest.get("sources") or ():
        changed = source.get("latest_modification")  # milliseconds
        when = datetime.fromtimestamp(changed / 1000, UTC).isoformat(" ", "seconds") if changed else ""
        state = [
            f"{source['files']} files" if source.get("files") is not None else "",
            f"{source['bytes']} bytes" if source.get("bytes") is not None else "",
            f"last changed {when}" if when else "",
        ]
        name = f"Table {source['table']}" if source.get("table") else "Files"
        lines.append((name, source.get("location") or "", ", ".join(text for text in state if text)))
    return lines


def _section(title: str, lines: list[Any]) -> list[Line]:
    return [("", "", ""), (f"# {title}", "", ""), *lines] if lines else []
