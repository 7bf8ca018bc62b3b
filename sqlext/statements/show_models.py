"""SHOW MODELS: the models of a database, one row for each."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from sqlext.catalog.entry import ModelEntry
from sqlext.catalog.names import ModelName
from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import TokenReader
from sqlext.statements.base import Statement


@dataclass(frozen=True)
class ShowModels(Statement):
    """``SHOW MODELS [(FROM | IN) db] [[LIKE] 'pattern']``; `*` and `|` as in SHOW TABLES, `%` also accepted."""

    namespace: Name | None
    pattern: str | None

    NAME = "SHOW MODELS"
    HEADS = (("SHOW", "MODELS"),)
    OUTPUT: ClassVar[dict[str, str]] = {
        "namespace": "STRING",
        "model": "STRING",
        "version": "INT",
        "versions": "INT",
        "kind": "STRING",
        "backbone": "STRING",
        "label_column": "STRING",
        "metric_name": "STRING",
        "metric_value": "DOUBLE",
        "created_at": "TIMESTAMP",
        "owner": "STRING",
        "comment": "STRING",
        "latest_version": "INT",
        "is_pinned": "BOOLEAN",
    }
    COMMENTS: ClassVar[dict[str, str]] = {
        "namespace": "the database",
        "model": "its name in the database",
        "version": "the default version",
        "versions": "number of versions",
        "kind": "backbone (imported), classifier or regressor (trained)",
        "backbone": "database.model@version of the network that computes the features, with its current name",
        "label_column": "the column of LABEL or TARGET",
        "metric_name": "the metric that the option metric names: by default accuracy, or rmse for a regression",
        "metric_value": "that metric on the validation rows",
        "created_at": "when the default version was published",
        "owner": "owner of the model's table",
        "comment": "the model's comment",
        "latest_version": "the highest version number",
        "is_pinned": "whether SET DEFAULT VERSION pinned the default",
    }

    @classmethod
    def parse(cls, reader: TokenReader) -> ShowModels:
        reader.need("SHOW", "MODELS")
        namespace = reader.database()
        pattern = None
        if reader.take("LIKE") or not reader.done:
            pattern = reader.string("a pattern in quotes")
        reader.end("the end of the statement")
        return cls(namespace, pattern)

    def run(self, context: Context) -> list[ResultRow]:
        return model_rows(context, context.namespace(self.namespace), self.pattern)


def model_rows(context: Context, namespace: str, pattern: str | None = None) -> list[ResultRow]:
    """The models of a database, sorted by name, with the values of their default versions.

    :raises SqlExtError: DATABASE_NOT_FOUND.
    """
    known: dict[str, str] = {}
    return [_row(entry, _backbone(context, entry, known)) for entry in context.catalog.list(namespace, pattern)]


def _backbone(context: Context, entry: ModelEntry, known: dict[str, str]) -> str | None:
    """The backbone of the default version as `database.model@version`, under its current name.

    If the backbone no longer exists, the name that was recorded. ``known`` caches the names by version id.
    """
    recorded, version_id = entry.default.parameters.get("sqlext.backbone"), entry.default.backbone_id
    if recorded is None or version_id is None:
        return recorded
    if version_id not in known:
        known[version_id] = recorded
        with suppress(SqlExtError):
            hint = ModelName.parse(recorded.partition("@")[0], entry.name.namespace)
            known[version_id] = str(context.catalog.find_version(version_id, hint) or recorded)
    return known[version_id]


def _row(entry: ModelEntry, backbone: str | None) -> ResultRow:
    default, parameters = entry.default, entry.default.parameters
    return {
        "namespace": entry.name.namespace,
        "model": entry.name.name,
        "version": default.version,
        "versions": len(entry.versions),
        "kind": entry.kind,
        "backbone": backbone,
        "label_column": parameters.get("sqlext.label_column"),
        "metric_name": default.metric_name,
        "metric_value": default.metric_value,
        "created_at": default.created_at,
        "owner": entry.owner,
        "comment": entry.comment,
        "latest_version": entry.latest.version,
        "is_pinned": default.pinned,
    }
