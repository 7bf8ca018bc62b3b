"""PURGE MODELS: removes old versions of many models by rule, and what crashes have left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sqlext.errors import SqlExtError
from sqlext.grammar.reader import Name, TokenReader
from sqlext.statements._purging import PurgeClauses, purge_rows, purge_runs
from sqlext.statements.base import CHANGED, Context, ResultRow, Statement

if TYPE_CHECKING:
    from sqlext.catalog.purge import Purged

_ORPHANS, _DRY_RUN = "ORPHANS", "DRY RUN"


@dataclass(frozen=True)
class PurgeModels(Statement):
    """``PURGE MODELS [(FROM | IN) db] [[LIKE] 'pattern'] [KEEP n VERSIONS] [OLDER THAN n DAYS] [ORPHANS] [DRY RUN]``

    Never fails on a version that is in use: the default, aliased ones and backbones of models stay, with the reason.
    """

    namespace: Name | None
    pattern: str | None
    versions: PurgeClauses
    orphans: bool
    dry_run: bool

    NAME = "PURGE MODELS"
    HEADS = (("PURGE", "MODELS"),)
    OUTPUT: ClassVar[Mapping[str, str]] = CHANGED

    @classmethod
    def parse(cls, reader: TokenReader) -> PurgeModels:
        reader.need("PURGE", "MODELS")
        namespace = reader.database()
        pattern = None
        if reader.take("LIKE") or not (reader.done or reader.at_any({"KEEP", "OLDER", "ORPHANS", "DRY"})):
            pattern = reader.string("a pattern in quotes, KEEP, OLDER THAN, ORPHANS or DRY RUN")
        offset = reader.offset
        versions, flags = PurgeClauses.read(reader, _ORPHANS, _DRY_RUN)
        if versions.is_empty and _ORPHANS not in flags:
            reader.fail("KEEP n VERSIONS, OLDER THAN n DAYS or ORPHANS: what is to be purged", offset)
        return cls(namespace, pattern, versions, _ORPHANS in flags, _DRY_RUN in flags)

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.catalog.names import name_pattern
        from sqlext.catalog.orphans import purge_orphans

        namespace, matches = context.namespace(self.namespace), name_pattern(self.pattern)
        found = [] if self.versions.is_empty else self._versions(context, namespace)
        if self.orphans:
            found += purge_orphans(context.catalog, namespace, matches, dry_run=self.dry_run)
        return purge_rows([*found, *purge_runs(context, namespace, matches, dry_run=self.dry_run)])

    def _versions(self, context: Context, namespace: str) -> list[Purged]:
        from sqlext.catalog.purge import backbones_in_use, keep_model, purge_model

        catalog, found = context.catalog, []
        users = backbones_in_use(catalog)
        for entry in catalog.list(namespace, self.pattern):
            try:
                catalog.check(entry.name, "DROP")
            except SqlExtError as refused:
                found += keep_model(entry, str(refused))
            else:
                found += purge_model(catalog, entry, self.versions.rule(dry_run=self.dry_run), users)
        return found
