"""IMPORT MODEL from a file to a published version: read, convert, check with numbers, publish."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from sqlext.catalog import ModelEntry, ModelName, ModelVersion
from sqlext.catalog.drafts import MAX_VALUE
from sqlext.catalog.entry import VALUE
from sqlext.errors import SqlExtError
from sqlext.images.preprocessing import Preprocessing
from sqlext.networks.graph import Network, read_network
from sqlext.progress import report
from sqlext.statements.base import Context, ResultRow, located
from sqlext.transfer.check import CheckResult
from sqlext.transfer.formats.onnx import SMALL, GraphFile, open_graph
from sqlext.transfer.publishing import (
    NetworkFile,
    convert_and_check,
    default_stays,
    engines_that_cannot,
    fingerprint,
    manifest_of,
    result_row,
    same_content,
)

if TYPE_CHECKING:
    from sqlext.statements.import_model import ImportModel


def import_network(context: Context, statement: ImportModel) -> ResultRow:
    """Carries out IMPORT MODEL of a file and returns its one row."""
    from sqlext.transfer.import_head import import_head

    name = context.model_name(statement.name)
    existing = located(statement.name.offset, lambda: context.catalog.find(name))
    if existing is not None and statement.if_not_exists:
        message = f"{name} exists; nothing was imported"
        return result_row(existing.default, existing, "EXISTS", message, format=statement.format)
    labels = _labels(context, statement)
    report("reading", 0)
    with ExitStack() as opened:
        opening = open_graph(context.spark, statement.path, statement.format)
        graph = located(statement.path_offset, lambda: opened.enter_context(opening))
        if graph.described is not None and graph.described.regression:
            _refuse_classes(statement, labels)
        if graph.described is not None and graph.described.head is not None:
            return import_head(context, statement, name, existing, graph, labels)
        if existing is not None and existing.kind != "backbone":
            raise SqlExtError("NOT_AN_IMPORT", model=name, kind=existing.kind, offset=statement.name.offset)
        return _import(context, statement, name, existing, graph, labels)


def _import(
    context: Context,
    statement: ImportModel,
    name: ModelName,
    existing: ModelEntry | None,
    graph: GraphFile,
    labels: tuple[str, ...] | None,
) -> ResultRow:
    if existing is not None:
        located(statement.name.offset, lambda: context.catalog.check(name, "ALTER"))
    file = located(statement.path_offset, lambda: _parse(graph, statement))
    labels = labels or (graph.described.labels if graph.described else None)
    located(statement.labels_offset, lambda: _check_labels(labels, file.network))
    older = replaceable(context, statement, existing)
    content = fingerprint(file, labels)
    same = same_content(existing, content)
    if same is not None and existing is not None:
        notes = [*default_stays(same, existing), f"version {same.version} has the same content and options"]
        return result_row(same, existing, "EXISTS", "; ".join(notes), format=statement.format)
    row = _publish(context, statement, name, existing, file, labels, content)
    for version in older:
        context.catalog.drop_version(name, version.version)
    return row


def replaceable(context: Context, statement: ImportModel, existing: ModelEntry | None) -> tuple[ModelVersion, ...]:
    """What OR REPLACE will remove.

    :raises SqlExtError: BACKBONE_IN_USE, PERMISSION_DENIED, at the model's name.
    """
    if existing is None or not statement.replace:
        return ()
    return located(statement.name.offset, lambda: context.catalog.replaceable(existing))


# --- reading --------------------------------------------------------------------------------------------------------


def _parse(graph: GraphFile, statement: ImportModel) -> NetworkFile:
    """The network, by the options of the statement and, where those say nothing, of the file itself."""
    options = {**graph.options, **{k: v for k, v in statement.options.items() if v is not None}}
    if graph.described is not None and graph.described.regression:
        options["scores"] = VALUE
    size = options.get("image_size")
    network = read_network(
        graph.data,
        folder=graph.folder,
        input=options.get("input"),
        output=options.get("output"),
        embedding=options.get("embedding"),
        scores=options.get("scores"),
        image_size=int(size) if size is not None and str(size).isdigit() else None,
    )
    preprocessing = Preprocessing.from_options(options, image_size=network.input_shape[1])
    return NetworkFile(graph.sha256, network, preprocessing, bool(graph.options))


def _labels(context: Context, statement: ImportModel) -> tuple[str, ...] | None:
    """LABELS in the order of the network's outputs; FROM a table: its STRING column ordered by its integer column."""
    if statement.labels_from is None:
        return statement.labels
    from sqlext.grammar.reader import Source
    from sqlext.sources import read_source

    name = statement.labels_from
    source = Source(name.sql, str(name), name.offset, is_query=False)
    frame = read_source(context, source)
    texts = [f.name for f in frame.schema.fields if f.dataType.typeName() == "string"]
    numbers = [f.name for f in frame.schema.fields if f.dataType.typeName() in ("integer", "long", "short", "byte")]
    if len(texts) != 1 or len(numbers) != 1:
        raise SqlExtError("INVALID_LABELS_TABLE", table=name, offset=name.offset)
    return tuple(row[0] for row in frame.orderBy(numbers[0]).select(texts[0]).collect())


def _refuse_classes(statement: ImportModel, labels: tuple[str, ...] | None) -> None:
    """What says how classes are to be read does not go with the export of a regressor."""
    if labels:
        raise SqlExtError("NO_CLASSES", model=f"'{statement.path}'", form="LABELS", offset=statement.labels_offset)
    if statement.options["scores"] is not None:
        reason = "the file is the export of a regressor, whose output is a number"
        raise SqlExtError("OPTION_WITHOUT_EFFECT", option="scores", reason=reason, offset=statement.given["scores"])


def _check_labels(labels: tuple[str, ...] | None, network: Network) -> None:
    if labels is None:
        return
    if len(labels) != (network.scores_width or 0) or len(set(labels)) != len(labels):
        raise SqlExtError(
            "LABELS_MISMATCH", given=len(labels), distinct=len(set(labels)), outputs=network.scores_width or 0
        )


# --- checking and publishing ------------------------------------------------------------------------------------------


def _publish(
    context: Context,
    statement: ImportModel,
    name: ModelName,
    existing: ModelEntry | None,
    file: NetworkFile,
    labels: tuple[str, ...] | None,
    content: str,
) -> ResultRow:
    catalog, network = context.catalog, file.network
    with catalog.draft(name, "backbone", statement.comment) as draft:
        report("checking", 0)
        checked = located(statement.path_offset, lambda: convert_and_check(context, file, draft.local))
        (draft.local / "network.onnx").write_bytes(network.to_bytes())
        report("publishing", 0)
        promote = existing is None or statement.replace or statement.options["promote"] == "always"
        parameters = {"content": content, "sha256": file.sha256, "source": statement.path}
        if len(context.sql) <= MAX_VALUE:  # LABELS can be long
            parameters["statement"] = context.sql.strip()
        manifest = manifest_of(name, statement.path, f"FORMAT {statement.format}", file, labels, checked)
        manifest["source"]["options"] = {k: statement.options[k] for k in ("input", "output", "embedding", "scores")}
        version = catalog.publish(draft, (), manifest, parameters, promote=promote)
    entry = catalog.get(name)
    message = _message(statement, file, checked, entry, version)
    return result_row(version, entry, "IMPORTED", message, format=statement.format)


def _message(
    statement: ImportModel, file: NetworkFile, checked: CheckResult, entry: ModelEntry, version: ModelVersion
) -> str:
    parts = default_stays(version, entry)
    if statement.path == SMALL:
        parts.append("this small network is for trying things out")
    parts += engines_that_cannot(checked)
    assumed = _assumed(statement, file)
    if assumed:
        parts.append(f"assumed {assumed}")
    return "; ".join(parts)


def _assumed(statement: ImportModel, file: NetworkFile) -> str:
    if file.described:
        return ""
    options = file.preprocessing.to_dict()
    shown = {
        k: " ".join(f"{x:g}" for x in v) if isinstance(v, list) else f"{v:.6g}" if isinstance(v, float) else v
        for k, v in options.items()
    }
    return ", ".join(f"{k} = {v}" for k, v in shown.items() if k not in statement.given)
