"""The text of SHOW CREATE MODEL: a statement that creates a version again, built from what the version stores."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlext.bigdl.optimizers import OF_SOME_OPTIMIZERS, OPTIMIZERS
from sqlext.catalog.entry import ModelEntry, ModelVersion
from sqlext.catalog.names import ModelName
from sqlext.context import Context
from sqlext.errors import SqlExtError
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import Source
from sqlext.text import literal, quote_if_needed
from sqlext.training.clauses import read_training
from sqlext.training.options import OPTIONS
from sqlext.training.request import TrainRequest, Validation
from sqlext.transfer.formats import FORMATS

_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SINGLE = re.compile(r"`((?:[^`]|``)+)`(?!\.)")  # a table's name without a database
_DEFAULTS = {option.name: option.default for option in OPTIONS}
_OF_THE_RUN = {option.name for option in OPTIONS if option.of_the_run}
_SPELLED_OUT = {option.name for option in OPTIONS if option.spelled_out}


def statement_of(context: Context, entry: ModelEntry, version: ModelVersion) -> str:
    """The TRAIN or IMPORT statement that creates the version again; if the model exists, it adds a version.

    :raises SqlExtError: STATEMENT_NOT_KEPT if the version stores no statement.
    """
    manifest = context.catalog.read_manifest(version)
    if manifest.get("statement"):
        return _trained(context, entry, version, manifest)
    if manifest.get("source", {}).get("path"):
        return _imported(entry, version, manifest)
    raise SqlExtError("STATEMENT_NOT_KEPT", model=version)


# --- TRAIN ------------------------------------------------------------------------------------------------------------


def _trained(context: Context, entry: ModelEntry, version: ModelVersion, manifest: Mapping[str, Any]) -> str:
    written = read_training(manifest["statement"])
    predicted = written.target or written.label
    assert written.source is not None, "a recorded training has a source"
    assert predicted is not None
    namespace = str(manifest.get("namespace") or entry.name.namespace)
    word = "TARGET" if written.target is not None else "LABEL"
    clauses = [
        f"FROM {_source(context, written.source, namespace)}",
        f"FEATURES ({', '.join(_features(written, manifest))})",
        f"{word} {predicted}",
        f"USING {written.architecture}",
        _backbone(context, version, manifest),
        f"VALIDATE {_validation(context, written.validation, manifest, namespace)}",
        *_comment(entry, version, manifest["training"].get("clauses", {}).get("comment")),
        _listed("OPTIONS", _options(manifest)),
        _listed("PROPERTIES", {**entry.properties, **(manifest.get("properties") or {})}),
    ]
    text = _statement(f"TRAIN MODEL {_dotted(version)}", clauses)
    queries = [s for s in (written.source, written.validation.source) if s is not None and s.is_query]
    note = f"-- unqualified names in the query belong to database {namespace}\n" if queries else ""
    return note + text


def _source(context: Context, source: Source, namespace: str) -> str:
    """The source of FROM; the name of a table without a database gets it, but not that of a temporary view."""
    single = None if source.is_query else _SINGLE.match(source.sql)
    if single is None:
        return source.text
    if namespace.startswith("`"):  # of another catalog
        return f"{namespace}.{source.text}"
    known = context.catalog.metastore.table(ModelName(namespace, single[1].replace("``", "`").lower()))
    return f"{quote_if_needed(namespace)}.{source.text}" if known is not None else source.text


def _features(written: TrainRequest, manifest: Mapping[str, Any]) -> list[str]:
    """The columns of FEATURES; if the statement had none, the columns that were chosen by rule."""
    if written.features:
        return [str(name) for name in written.features]
    recorded = manifest["input"]
    columns = [column["name"] for column in recorded.get("columns") or [{"name": recorded["column"]}]]
    # The rule never chooses a field of a struct, so a dot belongs to the column's name, also if it was recorded without back-ticks.
    return [quote_if_needed(Name.recorded(column, 0).plain) for column in columns]


def _backbone(context: Context, version: ModelVersion, manifest: Mapping[str, Any]) -> str | None:
    """BACKBONE with the exact version, under its current name."""
    from sqlext.catalog.backbones import recorded_backbone

    recorded = manifest.get("backbone")
    if not recorded:
        return None
    try:
        name: Any = recorded_backbone(context.catalog, recorded, version).name
    except SqlExtError:  # dropped, or not visible to this user: the name that it had
        name = recorded["model"]
    return f"BACKBONE {'.'.join(map(quote_if_needed, str(name).split('.')))} VERSION {recorded['version']}"


def _validation(context: Context, validation: Validation, manifest: Mapping[str, Any], namespace: str) -> str:
    if validation.kind == "none":
        return "NONE"
    if validation.column is not None:
        return f"BY {validation.column}"
    if validation.source is not None:
        return f"FROM {_source(context, validation.source, namespace)}"
    parts = [f"SPLIT {validation.fraction!r}"]
    if validation.test_fraction:
        parts.append(f"TEST {validation.test_fraction!r}")
    if validation.group is not None:
        parts.append(f"GROUP {validation.group}")
    return " ".join([*parts, f"SEED {manifest['training']['split_seed']}"])


def _options(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The options, written or chosen by rule, that differ from fixed defaults; after TUNE, those of the best trial."""
    training = manifest["training"]
    options, figures = dict(training["options"]), training["figures"]
    if options.get("max_runtime") is not None:
        # The published epoch, independently of the clock; with early_stop it may be earlier than the last one.
        options |= {"epochs": figures["best_epoch"], "early_stop": False}
    # The default depends on where training runs, so the statement shows the size that was used.
    options["batch_size"] = figures["batch_size"]
    left_out = _OF_THE_RUN | (OF_SOME_OPTIMIZERS - OPTIMIZERS[options["optimizer"]])
    shown = {k: v for k, v in options.items() if k in _SPELLED_OUT or (v != _DEFAULTS.get(k) and k not in left_out)}
    return {k: json.dumps(v) if isinstance(v, dict) else v for k, v in sorted(shown.items())}


# --- IMPORT -----------------------------------------------------------------------------------------------------------


def _imported(entry: ModelEntry, version: ModelVersion, manifest: Mapping[str, Any]) -> str:
    source, labels = manifest["source"], manifest.get("labels")
    if source.get("format") not in FORMATS:  # the folder of an EXPORT contains labels and options
        return _statement(
            f"IMPORT MODEL {_dotted(version)}", [f"FROM {literal(source['path'])}", *_comment(entry, version)]
        )
    preprocessing = manifest["input"].get("preprocessing") or {}
    options = {k: " ".join(map(repr, v)) if isinstance(v, list) else v for k, v in preprocessing.items()}
    options |= {k: v for k, v in source.get("options", {}).items() if v is not None}
    clauses = [
        f"FROM {literal(source['path'])}",
        f"FORMAT {source['format']}",
        f"LABELS ({', '.join(map(literal, labels))})" if labels else None,
        *_comment(entry, version),
        _listed("OPTIONS", options),
    ]
    return _statement(f"IMPORT MODEL {_dotted(version)}", clauses)


# --- text -------------------------------------------------------------------------------------------------------------


def _statement(head: str, clauses: Iterable[str | None]) -> str:
    return "\n  ".join([head, *(clause for clause in clauses if clause)])


def _comment(entry: ModelEntry, version: ModelVersion, written: str | None = None) -> list[str]:
    """COMMENT with the version's comment, otherwise with the model's."""
    comment = written or version.parameters.get("sqlext.comment") or entry.comment
    return [f"COMMENT {literal(comment)}"] if comment else []


def _listed(word: str, values: Mapping[str, Any]) -> str | None:
    entries = [f"{_key(key)} = {literal(value)}" for key, value in values.items()]
    return f"{word} (\n    " + ",\n    ".join(entries) + ")" if entries else None


def _dotted(version: ModelVersion) -> str:
    return f"{quote_if_needed(version.name.namespace)}.{quote_if_needed(version.name.name)}"


def _key(text: str) -> str:
    return text if _WORD.fullmatch(text) else literal(text)
