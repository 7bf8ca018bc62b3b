"""SHOW MODELS: the models of a database, one row each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlext.statements.base import Context, ResultRow, Statement
from sqlext.tokens import Name, TokenReader


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

    @classmethod
    def parse(cls, reader: TokenReader) -> ShowModels:
        reader.need("SHOW", "MODELS")
        namespace = reader.name("a database") if reader.take("FROM") or reader.take("IN") else None
        pattern = None
        if reader.take("LIKE") or not reader.done:
            pattern = reader.string("a pattern in quotes")
        reader.end("the end of the statement")
        return cls(namespace, pattern)

    def run(self, context: Context) -> list[ResultRow]:
        catalog = context.catalog
        namespace = str(self.namespace) if self.namespace else catalog.current_namespace()
        rows = []
        for entry in catalog.list(namespace, self.pattern):
            default, parameters = entry.default, entry.default.parameters
            rows.append(
                {
                    "namespace": entry.name.namespace,
                    "model": entry.name.name,
                    "version": default.version,
                    "versions": len(entry.versions),
                    "kind": entry.kind,
                    "backbone": parameters.get("sqlext.backbone"),
                    "label_column": parameters.get("sqlext.label_column"),
                    "metric_name": default.metric_name,
                    "metric_value": default.metric_value,
                    "created_at": default.created_at,
                    "owner": entry.owner,
                    "comment": entry.comment,
                    "latest_version": entry.latest.version,
                    "is_pinned": default.pinned,
                }
            )
        return rows
