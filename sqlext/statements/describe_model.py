"""DESCRIBE MODEL: what a version takes and returns; EXTENDED: where it came from and how it was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlext.grammar.reader import ModelReference, TokenReader
from sqlext.statements.base import Context, ResultRow, Statement, located

Line = tuple[str, str | None, str | None]


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
        extended = reader.at_any({"EXTENDED", "FORMATTED"}) and reader.peek(1) is not None and not _is_name(reader)
        if extended:
            reader.need_any("EXTENDED", "EXTENDED", "FORMATTED")
        model = reader.model()
        reader.end("VERSION, ALIAS or the end of the statement")
        return cls(model, extended)

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.statements._described import classes, details, layers

        catalog = context.catalog
        version = located(self.model.name.offset, lambda: catalog.resolve(context.model_ref(self.model)))
        located(self.model.name.offset, lambda: catalog.check(version.name, "SELECT"))
        manifest = catalog.read_manifest(version)
        lines = _inputs(manifest) + _outputs(manifest)
        if self.extended:
            lines += classes(manifest) + layers(manifest) + details(catalog.get(version.name), version, manifest)
        return [dict(zip(self.OUTPUT, line, strict=True)) for line in lines]


def _is_name(reader: TokenReader) -> bool:
    """Whether EXTENDED is the model: a point follows, or VERSION or ALIAS and what ends the statement."""
    following = reader.peek(1)
    if following is None or following.text == ".":
        return True
    ends = reader.peek(2) is not None and reader.peek(3) is None
    return ends and following.text.upper() in ("VERSION", "ALIAS")


def _inputs(manifest: dict[str, Any]) -> list[Line]:
    """In the order in which classify() takes them."""
    given = manifest["input"]
    if given["kind"] == "image":
        shape = "x".join(str(n) for n in given["shape"]) if given.get("shape") else None
        comment = f"an encoded picture or an image struct; the network sees {shape}"
        return [(given.get("column") or "image", "binary", comment)]
    if given["kind"] == "columns":
        return [(column["name"], column["type"], "a number") for column in given["columns"]]
    return [(given["column"], "array<float>", f"{manifest['width']} numbers, or an ML vector of that size")]


def _outputs(manifest: dict[str, Any]) -> list[Line]:
    from sqlext.catalog.entry import predicts_a_value

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
