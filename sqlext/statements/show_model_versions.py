"""SHOW MODEL VERSIONS: the versions of a model, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlext.catalog.entry import ModelEntry, ModelVersion
from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError, error_at
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import TokenReader
from sqlext.statements.base import Statement


@dataclass(frozen=True)
class ShowModelVersions(Statement):
    """``SHOW MODEL VERSIONS name``: one row per version with its aliases, metrics and the statement that created it."""

    model: Name

    NAME = "SHOW MODEL VERSIONS"
    HEADS = (("SHOW", "MODEL", "VERSIONS"),)
    OUTPUT: ClassVar[dict[str, str]] = {
        "namespace": "STRING",
        "model": "STRING",
        "version": "INT",
        "aliases": "ARRAY<STRING>",
        "is_default": "BOOLEAN",
        "is_pinned": "BOOLEAN",
        "run_id": "STRING",
        "source": "STRING",
        "validated_on": "STRING",
        "rows_trained": "BIGINT",
        "rows_validated": "BIGINT",
        "rows_skipped": "BIGINT",
        "classes": "INT",
        "metric_name": "STRING",
        "metric_value": "DOUBLE",
        "baseline_value": "DOUBLE",
        "size_bytes": "BIGINT",
        "created_at": "TIMESTAMP",
        "created_by": "STRING",
        "comment": "STRING",
        "statement": "STRING",
    }
    COMMENTS: ClassVar[dict[str, str]] = {
        "namespace": "the database",
        "model": "its name in the database",
        "version": "the version number; never reused",
        "aliases": "the aliases that ALTER MODEL .. SET ALIAS gave to the version",
        "is_default": "whether queries that name no version use this one",
        "is_pinned": "whether SET DEFAULT VERSION pinned this version as the default",
        "run_id": "the run that created it, as in SHOW TRAINING RUNS",
        "source": "the FROM clause",
        "validated_on": "source and VALIDATE clause; compare metric_value only between versions for which this column "
        "is equal",
        "rows_trained": "rows used for training",
        "rows_validated": "rows used for validation",
        "rows_skipped": "rows that could not be used",
        "classes": "number of labels",
        "metric_name": "the metric that the option metric names: by default accuracy, or rmse for a regression",
        "metric_value": "that metric on the validation rows",
        "baseline_value": "the metric of always predicting the most frequent label (for a regression, the mean)",
        "size_bytes": "bytes of its files",
        "created_at": "time of publication",
        "created_by": "the user who created it",
        "comment": "COMMENT of the statement that created it; SHOW MODELS shows the model's own comment",
        "statement": "the statement that created it, as written",
    }

    @classmethod
    def parse(cls, reader: TokenReader) -> ShowModelVersions:
        reader.need("SHOW", "MODEL", "VERSIONS")
        model = reader.name("a model name")
        reader.end("the end of the statement")
        return cls(model)

    def run(self, context: Context) -> list[ResultRow]:
        name = context.model_name(self.model)
        with error_at(self.model.offset):
            entry = context.catalog.get(name)
            context.catalog.check(name, "SELECT")
        return version_rows(context, entry)


def version_rows(context: Context, entry: ModelEntry) -> list[ResultRow]:
    """The versions of a model, newest first. The caller has checked the permission SELECT.

    Only for a very long statement is a file opened; all other values come from the metastore.
    """
    return [_row(context, entry, version) for version in reversed(entry.versions)]


def _row(context: Context, entry: ModelEntry, version: ModelVersion) -> ResultRow:
    return {
        "namespace": version.name.namespace,
        "model": version.name.name,
        "version": version.version,
        "aliases": sorted(version.aliases),
        "is_default": version is entry.default,
        "is_pinned": version.pinned,
        "run_id": version.run_id,
        "source": _parameter(version, "source"),
        "validated_on": _parameter(version, "validated_on"),
        "rows_trained": version.rows_trained,
        "rows_validated": _parameter(version, "rows_validated", int),
        "rows_skipped": _parameter(version, "rows_skipped", int),
        "classes": _parameter(version, "classes", int),
        "metric_name": version.metric_name,
        "metric_value": version.metric_value,
        "baseline_value": _parameter(version, "baseline_value", float),
        "size_bytes": version.size_bytes,
        "created_at": version.created_at,
        "created_by": version.created_by,
        "comment": _parameter(version, "comment"),
        "statement": _statement(context, version),
    }


def _parameter(version: ModelVersion, name: str, kind: type[Any] = str) -> Any:
    value = version.parameters.get(f"sqlext.{name}")
    return None if value is None else kind(value)


def _statement(context: Context, version: ModelVersion) -> str | None:
    """The statement from the metastore, or from the manifest if it is too long for the metastore; None if that is unreadable."""
    recorded: str | None = _parameter(version, "statement")
    if recorded is not None:
        return recorded
    try:
        statement = context.catalog.read_manifest(version).get("statement")
    except SqlExtError:  # one version with missing or unreadable files must not hide the other versions
        return None
    return None if statement is None else str(statement)
