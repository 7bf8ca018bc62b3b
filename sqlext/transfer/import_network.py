"""IMPORT MODEL of a file: reads, converts and checks its network, and publishes a version."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from sqlext.catalog.drafts import MAX_VALUE
from sqlext.catalog.entry import BACKBONE, ModelEntry
from sqlext.catalog.names import ModelName
from sqlext.context import Context, ResultRow
from sqlext.engines.base import Array
from sqlext.errors import SqlExtError, error_at
from sqlext.grammar.reader import Source
from sqlext.images.preprocessing import Preprocessing, possible_values
from sqlext.networks.graph import read_network
from sqlext.networks.network import Network
from sqlext.networks.scores import VALUE
from sqlext.progress import report
from sqlext.sources import read_source
from sqlext.transfer.check import CheckResult, Runs, first_values
from sqlext.transfer.formats.base import GraphFile, readable_format
from sqlext.transfer.formats.onnx import SMALL
from sqlext.transfer.import_head import read_head
from sqlext.transfer.outputs import Given, Understood, understand
from sqlext.transfer.publishing import (
    Incoming,
    NetworkFile,
    Written,
    engines_that_cannot,
    fingerprint,
    import_version,
    manifest_of,
    write_network,
)
from sqlext.transfer.request import ImportRequest


def import_network(context: Context, request: ImportRequest, name: ModelName, existing: ModelEntry | None) -> ResultRow:
    """Imports a file and returns the row of IMPORT MODEL."""
    labels = _labels(context, request)
    report("reading", 0)
    # A stack, so that error_at covers only the opening of the file: later errors have other positions.
    with ExitStack() as opened:
        opening = readable_format(str(request.format)).open_graph(context.spark, request.path)
        with error_at(request.path_offset):
            graph = opened.enter_context(opening)
        if graph.described is not None and graph.described.regression:
            _refuse_classes(request, labels)
        if graph.described is not None and graph.described.head is not None:
            incoming = read_head(context, request, name, existing, graph, labels)
        else:
            incoming = _read(context, request, name, existing, graph, labels)
        return import_version(context, request, name, existing, incoming)


def _read(
    context: Context,
    request: ImportRequest,
    name: ModelName,
    existing: ModelEntry | None,
    graph: GraphFile,
    labels: tuple[str, ...] | None,
) -> Incoming:
    if existing is not None and existing.kind != BACKBONE:
        raise SqlExtError("NOT_AN_IMPORT", model=name, kind=existing.kind, offset=request.name.offset)
    if existing is not None:
        with error_at(request.name.offset):
            context.catalog.check(name, "ALTER")
    labels = labels or (graph.described.labels if graph.described else None)
    with error_at(request.path_offset):
        file, understood = read_file(graph, request, labels)
    with error_at(request.labels_offset):
        _check_labels(labels, file.network)

    def write(folder: Path) -> Written:
        with error_at(request.path_offset):
            checked = write_network(context, file, folder)
        manifest = manifest_of(name, request.path, f"FORMAT {request.format}", file, labels, checked)
        manifest["source"]["options"] = {k: request.options[k] for k in ("input", "output", "embedding", "scores")}
        parameters = {"sha256": file.sha256, "source": request.path}
        if len(context.sql) <= MAX_VALUE:  # LABELS can be long
            parameters["statement"] = context.sql.strip()
        return Written(manifest, parameters, _notes(request, file, understood, checked))

    content, same = fingerprint(file, labels), "has the same content and options"
    return Incoming(BACKBONE, content, write, request.comment, same=same)


# --- reading --------------------------------------------------------------------------------------------------------


def read_file(
    graph: GraphFile, request: ImportRequest, labels: tuple[str, ...] | None
) -> tuple[NetworkFile, Understood]:
    """Reads the network with the options of the file, which those of the statement override."""
    options = {**graph.options, **{k: v for k, v in request.options.items() if v is not None}}
    if graph.described is not None and graph.described.regression:
        options["scores"] = VALUE
    size, runs = options.get("image_size"), Runs()

    def read(*, classes: bool = False, embedding: str | None = None) -> Network:
        return read_network(
            graph.data,
            folder=graph.folder,
            input=options.get("input"),
            output=options.get("output"),
            embedding=embedding or options.get("embedding"),
            scores=options.get("scores"),
            image_size=int(size) if size is not None and str(size).isdecimal() else None,
            classes=classes,
        )

    def prepared(network: Network) -> Preprocessing:
        suggested = {**network.input_spec.preprocessing, **options}
        preprocessing = Preprocessing.from_options(suggested, image_size=network.input_shape[1])
        _check_whole_numbers(network, preprocessing)
        return preprocessing

    def run(network: Network) -> Array | None:
        return first_values(network, prepared(network), runs)

    given = Given(labels, options.get("scores"), options.get("embedding"), request.given.get("scores"))
    understood = understand(read, run, given)
    network = understood.network
    return NetworkFile(graph.sha256, network, prepared(network), bool(graph.options), runs), understood


def _check_whole_numbers(network: Network, preprocessing: Preprocessing) -> None:
    """Refuses options whose results an input of whole numbers would cut off."""
    if network.input_spec.bounds is None:
        return
    low, high = network.input_spec.bounds
    values = possible_values(preprocessing)
    if (values != np.round(values)).any() or values.min() < low or values.max() > high:
        accepted = (
            f"values that turn 0 to 255 into whole numbers from {low} to {high}, because its input takes no others"
        )
        given = f"{preprocessing.scale:.6g} (with mean and std)"
        raise SqlExtError("INVALID_PREPROCESSING", option="scale", value=given, accepted=accepted)


def _labels(context: Context, request: ImportRequest) -> tuple[str, ...] | None:
    """Returns LABELS in the order of the network's outputs.

    LABELS FROM a table takes its STRING column, ordered by its integer column.
    """
    if request.labels_from is None:
        return request.labels
    name = request.labels_from
    source = Source(name.sql, str(name), name.offset, is_query=False)
    frame = read_source(context, source)
    texts = [f.name for f in frame.schema.fields if f.dataType.typeName() == "string"]
    numbers = [f.name for f in frame.schema.fields if f.dataType.typeName() in ("integer", "long", "short", "byte")]
    if len(texts) != 1 or len(numbers) != 1:
        raise SqlExtError("INVALID_LABELS_TABLE", table=name, offset=name.offset)
    return tuple(row[0] for row in frame.orderBy(numbers[0]).select(texts[0]).collect())


def _refuse_classes(request: ImportRequest, labels: tuple[str, ...] | None) -> None:
    """Refuses LABELS and the option scores for the export of a regressor, which has no classes."""
    if labels:
        raise SqlExtError("NO_CLASSES", model=f"'{request.path}'", form="LABELS", offset=request.labels_offset)
    if request.options["scores"] is not None:
        reason = "the file is the export of a regressor, whose output is a number"
        raise SqlExtError("OPTION_WITHOUT_EFFECT", option="scores", reason=reason, offset=request.given["scores"])


def _check_labels(labels: tuple[str, ...] | None, network: Network) -> None:
    if labels is None:
        return
    if len(labels) != (network.scores_width or 0) or len(set(labels)) != len(labels):
        raise SqlExtError(
            "LABELS_MISMATCH", given=len(labels), distinct=len(set(labels)), outputs=network.scores_width or 0
        )


def _notes(request: ImportRequest, file: NetworkFile, understood: Understood, checked: CheckResult) -> list[str]:
    if request.path == SMALL:
        return ["this small network is for trying things out", *engines_that_cannot(checked)]
    assumed = understood.assumed | _assumed(request, file)
    listed = ", ".join(f"{option} = {value}" for option, value in assumed.items())
    notes = [*understood.notes, *engines_that_cannot(checked), *file.network.input_spec.notes]
    return [*notes, *([f"assumed {listed}"] if listed else [])]


def _assumed(request: ImportRequest, file: NetworkFile) -> dict[str, str]:
    """The preprocessing that neither the statement nor the file describes."""
    if file.described:
        return {}
    options = file.preprocessing.to_dict()
    shown = {
        k: " ".join(f"{x:g}" for x in v) if isinstance(v, list) else f"{v:.6g}" if isinstance(v, float) else str(v)
        for k, v in options.items()
    }
    return {k: v for k, v in shown.items() if k not in request.given}
