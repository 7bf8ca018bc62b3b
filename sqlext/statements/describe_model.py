"""DESCRIBE MODEL: what a version takes and returns; EXTENDED: where it came from and how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlext.statements.base import Context, ResultRow, Statement, located
from sqlext.tokens import ModelReference, TokenReader

_Line = tuple[str, str | None, str | None]


@dataclass(frozen=True)
class DescribeModel(Statement):
    """``(DESCRIBE | DESC) MODEL [EXTENDED | FORMATTED] name [VERSION n | ALIAS a]``"""

    model: ModelReference
    extended: bool

    NAME = "DESCRIBE MODEL"
    HEADS = (("DESCRIBE", "MODEL"), ("DESC", "MODEL"))
    OUTPUT: ClassVar[dict[str, str]] = {"col_name": "STRING", "data_type": "STRING", "comment": "STRING"}

    @classmethod
    def parse(cls, reader: TokenReader) -> DescribeModel:
        reader.need_any("DESCRIBE", "DESCRIBE", "DESC")
        reader.need("MODEL")
        # A model may itself be called extended: the word is an option only when a name follows.
        extended = reader.at_any({"EXTENDED", "FORMATTED"}) and reader.peek(1) is not None and not _dot(reader)
        if extended:
            reader.need_any("EXTENDED", "EXTENDED", "FORMATTED")
        model = reader.model()
        reader.end("VERSION, ALIAS or the end of the statement")
        return cls(model, extended)

    def run(self, context: Context) -> list[ResultRow]:
        catalog = context.catalog
        version = located(self.model.name.offset, lambda: catalog.resolve(context.model_ref(self.model)))
        catalog.check(version.name, "SELECT")
        manifest = catalog.read_manifest(version)
        lines = _inputs(manifest) + _outputs(manifest)
        if self.extended:
            lines += _classes(manifest) + _details(context, version, manifest)
        return [dict(zip(self.OUTPUT, line, strict=True)) for line in lines]


def _dot(reader: TokenReader) -> bool:
    following = reader.peek(1)
    return following is not None and following.text == "."


def _inputs(manifest: dict[str, Any]) -> list[_Line]:
    given = manifest["input"]
    if given["kind"] == "image":
        shape = "x".join(str(n) for n in given["shape"]) if given.get("shape") else None
        return [
            (
                given.get("column") or "image",
                "binary",
                f"an encoded picture or an image struct; the network sees {shape}",
            )
        ]
    return [(given["column"], "array<float>", f"{manifest['width']} numbers")]


def _outputs(manifest: dict[str, Any]) -> list[_Line]:
    lines: list[_Line] = [("", "", ""), ("# Output", "", "")]
    if manifest["kind"] == "backbone":
        lines.append(("embedding", "array<float>", f"{manifest['width']} numbers: embed()"))
    if manifest["kind"] != "backbone" or manifest.get("scores_width"):
        classes = len(manifest["labels"]) if manifest.get("labels") else manifest.get("scores_width")
        lines.append(("label", "string", f"one of {classes} classes: classify()"))
        lines.append(("score", "double", "its probability: classify_score()"))
    return lines


def _classes(manifest: dict[str, Any]) -> list[_Line]:
    counts = manifest.get("class_counts")
    if not counts:
        return []
    rows = [(c["label"], f"{c['trained']} training rows", f"{c['held_out']} held-out rows") for c in counts]
    return [("", "", ""), ("# Classes", "", ""), *rows]


def _details(context: Context, version: Any, manifest: dict[str, Any]) -> list[_Line]:
    entry = context.catalog.get(version.name)
    details: dict[str, Any] = {
        "Database": version.name.namespace,
        "Model": version.name.name,
        "Version": version.version,
        "Kind": manifest["kind"],
        "Model Id": version.model_id,
        "Run Id": version.run_id,
        "Created By": version.created_by,
        "Created Time": version.created_at,
        "Owner": entry.owner,
        "Comment": entry.comment,
        "Location": version.location,
        "Size": f"{version.size_bytes} bytes",
        **{title: manifest.get("details", {}).get(key) for key, title in DETAILS.items()},
    }
    shown = [(title, str(value), "") for title, value in details.items() if value not in (None, "")]
    files = [(f"File {n}", f"{f['size']} bytes", f"sha256 {f['sha256']}") for n, f in manifest.get("files", {}).items()]
    return [("", "", ""), ("# Detailed Model Information", "", ""), *shown, *files]


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
