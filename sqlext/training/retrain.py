"""TRAIN MODEL m without FROM: repeats the statement that created the default version.

The full request is run, recorded and shown, so that the version that it creates can be trained again, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlext.catalog.entry import ModelEntry
from sqlext.context import Context
from sqlext.errors import SqlExtError, error_at
from sqlext.text import identifier, literal
from sqlext.training.clauses import read_training
from sqlext.training.recreate import statement_of
from sqlext.training.request import TrainRequest

REPLACEABLE = ("OPTIONS", "COMMENT", "PROPERTIES")


@contextmanager
def full_training(context: Context, request: TrainRequest) -> Iterator[tuple[Context, TrainRequest]]:
    """The full request, and a context with the database that was current for the recorded statement.

    A request with a source is full already and is returned unchanged.

    :raises SqlExtError: MODEL_NOT_FOUND, PERMISSION_DENIED, CANNOT_TRAIN_AGAIN. An error of the block loses its position,
        which would be one in the recorded statement, and shows the text of SHOW CREATE MODEL instead.
    """
    if request.source is not None:
        yield context, request
        return
    entry, name = _entry(context, request), request.name
    right = "SELECT" if request.if_not_exists else "ALTER"
    with error_at(name.offset):  # first, because later errors show the recorded statement
        context.catalog.check(entry.name, right)
    manifest = context.catalog.read_manifest(entry.default)
    written = str(manifest.get("statement") or "")
    _check(context, request, entry, manifest)
    with _showing_statement(context, entry):
        sql = full_text(str(entry.name), request, written)
        full = replace(read_training(sql), if_not_exists=request.if_not_exists)
        yield context.beside(sql, manifest.get("namespace")), full


def full_text(name: str, request: TrainRequest, written: str) -> str:
    """TRAIN MODEL with every clause of ``written``; OPTIONS, COMMENT and PROPERTIES of ``request`` replace the same keys."""
    base = read_training(written)
    clauses = _clauses(base, written)
    options = {o.key: o.value for o in base.raw_options} | {o.key: o.value for o in request.raw_options}
    properties = {**base.properties, **request.properties}
    comment = request.comment if "COMMENT" in request.given else base.comment
    lists = {"OPTIONS": options, "PROPERTIES": properties}
    clauses |= {word: f"{word} ({_listed(values)})" for word, values in lists.items() if values}
    if comment is not None:
        clauses["COMMENT"] = f"COMMENT {literal(comment)}"
    quoted = ".".join(map(identifier, name.split(".")))
    verb = "TRAIN OR REPLACE MODEL" if request.replace else "TRAIN MODEL"
    return "\n".join([f"{verb} {quoted}", *clauses.values()])


def _clauses(base: TrainRequest, written: str) -> dict[str, str]:
    """Word -> the clause as written; AS query becomes FROM (query)."""
    assert base.source is not None
    starts = dict(base.given)
    ends = sorted([*starts.values(), base.clauses_end])
    clauses = {word: written[start : ends[ends.index(start) + 1]].strip() for word, start in starts.items()}
    return {"FROM": f"FROM {base.source.text}"} | {k: v for k, v in clauses.items() if k != "FROM"}


def _entry(context: Context, request: TrainRequest) -> ModelEntry:
    name = context.model_name(request.name)
    with error_at(request.name.offset):
        entry = context.catalog.find(name)
        if entry is None:
            context.catalog.metastore.database_location(name.namespace)
            near = context.catalog.instead_of(name)
            hint = f"TRAIN MODEL without FROM repeats the training of an existing model; a new model needs FROM. {near}"
            raise SqlExtError("MODEL_NOT_FOUND", model=name, hint=hint.strip())
    return entry


def _check(context: Context, request: TrainRequest, entry: ModelEntry, manifest: dict[str, Any]) -> None:
    others = {word: offset for word, offset in request.given.items() if word not in REPLACEABLE}
    if others:
        word, offset = min(others.items(), key=lambda item: item[1])
        problem = f"TRAIN MODEL without FROM takes OPTIONS, COMMENT and PROPERTIES, but not {word}"
        raise _cannot(context, entry, problem, offset)
    imported = manifest.get("imported") or manifest.get("source", {}).get("path")
    if imported or not manifest.get("statement"):
        problem = (
            "the model was imported, not trained here" if imported else "the statement that trained it was not stored"
        )
        raise _cannot(context, entry, problem, request.name.offset)


def _created_by(context: Context, entry: ModelEntry) -> str | None:
    """The text of SHOW CREATE MODEL for the default version; None if the version stores no statement."""
    try:
        return statement_of(context, entry, entry.default)
    except SqlExtError:
        return None


def _cannot(context: Context, entry: ModelEntry, problem: str, offset: int) -> SqlExtError:
    text = _created_by(context, entry)
    made = f"SHOW CREATE MODEL:\n{text}" if text else "TRAIN MODEL with FROM and another name creates a new model."
    return SqlExtError("CANNOT_TRAIN_AGAIN", model=entry.name, problem=problem, made=made, offset=offset)


@contextmanager
def _showing_statement(context: Context, entry: ModelEntry) -> Iterator[None]:
    """Errors of the recorded statement have no position in the one that was sent; they show the recorded one instead."""
    try:
        yield
    except SqlExtError as error:
        # These two are outcomes of the run, not errors in the recorded statement.
        if error.error_class not in ("TRAINING_CANCELLED", "TRAINING_DIVERGED"):
            error.offset = error.line = error.pos = None
            if text := _created_by(context, entry):
                error.args = (f"{error} SHOW CREATE MODEL:\n{text}",)
        raise


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{literal(key)} = {literal(value)}" for key, value in values.items())
