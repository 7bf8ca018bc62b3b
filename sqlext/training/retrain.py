"""TRAIN MODEL m without FROM: the statement that made the default version, put together anew and carried out.

What is carried out, recorded and shown is the full request, so that the version it makes can be trained again as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlext.catalog.entry import ModelEntry
from sqlext.context import Context
from sqlext.errors import SqlExtError, error_at, nearest
from sqlext.text import identifier, literal
from sqlext.training.clauses import read_training
from sqlext.training.recreate import statement_of
from sqlext.training.request import TrainRequest

REPLACEABLE = ("OPTIONS", "COMMENT", "PROPERTIES")


@contextmanager
def full_training(context: Context, request: TrainRequest) -> Iterator[tuple[Context, TrainRequest]]:
    """The full request, and a context whose current database is the one that the recorded statement was written in.

    A request that has a source is full: it comes back as it is.

    :raises SqlExtError: MODEL_NOT_FOUND, PERMISSION_DENIED, CANNOT_TRAIN_AGAIN. What the block raises gets SHOW CREATE
        MODEL's text in place of a position, since the text that was sent has no such place.
    """
    if request.source is not None:
        yield context, request
        return
    entry, name = _entry(context, request), request.name
    right = "SELECT" if request.if_not_exists else "ALTER"  # before any word of the old statement is shown
    with error_at(name.offset):
        context.catalog.check(entry.name, right)
    manifest = context.catalog.read_manifest(entry.default)
    written = str(manifest.get("statement") or "")
    _check(context, request, entry, manifest)
    with _showing(context, entry):
        sql = full_text(str(entry.name), request, written)
        full = replace(read_training(sql), if_not_exists=request.if_not_exists)
        yield context.beside(sql, manifest.get("namespace")), full


def full_text(name: str, request: TrainRequest, written: str) -> str:
    """TRAIN MODEL with every clause of ``written``; OPTIONS, COMMENT and PROPERTIES of ``request`` replace what they name."""
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
    """Word -> the clause as it was written; AS query is FROM (query)."""
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
            near = nearest(name.name, [e.name.name for e in context.catalog.list(name.namespace)])
            hint = f"TRAIN MODEL without FROM trains a model that is there again; a new one needs FROM. {near}"
            raise SqlExtError("MODEL_NOT_FOUND", model=name, hint=hint.strip())
    return entry


def _check(context: Context, request: TrainRequest, entry: ModelEntry, manifest: dict[str, Any]) -> None:
    others = {word: offset for word, offset in request.given.items() if word not in REPLACEABLE}
    if others:
        word, offset = min(others.items(), key=lambda item: item[1])
        problem = f"without FROM only OPTIONS, COMMENT and PROPERTIES may be written, and {word} is none of them"
        raise _cannot(context, entry, problem, offset)
    imported = manifest.get("imported") or manifest.get("source", {}).get("path")
    if imported or not manifest.get("statement"):
        problem = "it was imported, not trained here" if imported else "its statement was not kept"
        raise _cannot(context, entry, problem, request.name.offset)


def _created_by(context: Context, entry: ModelEntry) -> str | None:
    """What SHOW CREATE MODEL shows of the default version; None where it keeps no request."""
    try:
        return statement_of(context, entry, entry.default)
    except SqlExtError:
        return None


def _cannot(context: Context, entry: ModelEntry, problem: str, offset: int) -> SqlExtError:
    text = _created_by(context, entry)
    made = f"SHOW CREATE MODEL:\n{text}" if text else "TRAIN MODEL with FROM and a name of its own makes a new model."
    return SqlExtError("CANNOT_TRAIN_AGAIN", model=entry.name, problem=problem, made=made, offset=offset)


@contextmanager
def _showing(context: Context, entry: ModelEntry) -> Iterator[None]:
    """Errors of the old statement name no place in the new one, but show the old one."""
    try:
        yield
    except SqlExtError as error:
        if error.error_class not in ("TRAINING_CANCELLED", "TRAINING_DIVERGED"):
            error.offset = error.line = error.pos = None
            if text := _created_by(context, entry):
                error.args = (f"{error} SHOW CREATE MODEL:\n{text}",)
        raise


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{literal(key)} = {literal(value)}" for key, value in values.items())
