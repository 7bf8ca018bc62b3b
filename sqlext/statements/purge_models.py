"""PURGE MODELS: removes old versions of many models by rule, and folders that crashes left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from sqlext.catalog.names import name_pattern
from sqlext.context import Context, ResultRow
from sqlext.errors import SqlExtError
from sqlext.grammar.notes import Name
from sqlext.grammar.options import MAX_INT
from sqlext.grammar.reader import TokenReader
from sqlext.settings import duration_seconds
from sqlext.statements.base import CHANGED, Statement, changed

if TYPE_CHECKING:
    from sqlext.catalog.purge import Purged, Rule

MAX_DAYS = timedelta.max.days
_ORPHANS, _DRY_RUN = "ORPHANS", "DRY RUN"


@dataclass(frozen=True)
class PurgeClauses:
    """``[KEEP n VERSIONS] [OLDER THAN n DAYS]``"""

    keep: int | None
    days: int | None

    @classmethod
    def read(cls, reader: TokenReader, *flags: str) -> tuple[PurgeClauses, set[str]]:
        """Reads the clauses in any order, each at most once.

        :param flags: clauses without a value.
        :returns: the clauses, and those of ``flags`` that were written.
        """
        found: dict[str, int] = {}
        readers: dict[str, Callable[[TokenReader], object]] = {
            "KEEP": lambda r: found.update(keep=_count(r, "the number of newest versions to keep", "VERSIONS")),
            "OLDER THAN": lambda r: found.update(days=_count(r, "a number of days", "DAYS", MAX_DAYS)),
            **{flag: lambda _: None for flag in flags},
        }
        written = reader.clauses(readers)
        return cls(found.get("keep"), found.get("days")), set(written) & set(flags)

    @property
    def is_empty(self) -> bool:
        return self.keep is None and self.days is None

    def rule(self, *, dry_run: bool = False) -> Rule:
        from sqlext.catalog.purge import Rule

        return Rule(self.keep, self.days, dry_run)


@dataclass(frozen=True)
class PurgeModels(Statement):
    """``PURGE MODELS [(FROM | IN) db] [[LIKE] 'pattern'] [KEEP n VERSIONS] [OLDER THAN n DAYS] [ORPHANS] [DRY RUN]``

    A version that is in use does not cause an error: the default version, versions with an alias and backbones that models
    use are kept, and the result says why.
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
            reader.fail("KEEP n VERSIONS, OLDER THAN n DAYS or ORPHANS", offset)
        return cls(namespace, pattern, versions, _ORPHANS in flags, _DRY_RUN in flags)

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.catalog.orphans import purge_orphans

        namespace, matches = context.namespace(self.namespace), name_pattern(self.pattern)
        found = [] if self.versions.is_empty else self._versions(context, namespace)
        if self.orphans:
            found += purge_orphans(context.catalog, namespace, matches, dry_run=self.dry_run)
        return purge_rows([*found, *purge_runs(context, namespace, matches, dry_run=self.dry_run)])

    def _versions(self, context: Context, namespace: str) -> list[Purged]:
        from sqlext.catalog.purge import backbones_in_use, keep_model, purge_model

        catalog, found = context.catalog, []
        # Once for all models, since it reads the models of all databases.
        users = backbones_in_use(catalog)
        for entry in catalog.list(namespace, self.pattern):
            try:
                catalog.check(entry.name, "DROP")
            except SqlExtError as error:
                # PURGE of many models does not end at the first one that the user may not drop.
                found += keep_model(entry, str(error))
            else:
                found += purge_model(catalog, entry, self.versions.rule(dry_run=self.dry_run), users)
        return found


def _count(reader: TokenReader, what: str, unit: str, most: int = MAX_INT) -> int:
    offset = reader.offset
    number = reader.integer(what)
    if number < 0:
        reader.fail(f"{what} (0 or more)", offset)
    if number > most:
        reader.fail(f"{what} (at most {most})", offset)
    reader.need(unit)
    return number


def purge_rows(found: Iterable[Purged]) -> list[ResultRow]:
    return [changed(p.model, p.status, p.message, version=p.version, size_bytes=p.size_bytes) for p in found]


def purge_runs(context: Context, namespace: str, matches: Callable[[str], bool], *, dry_run: bool) -> list[Purged]:
    """Deletes the records of runs that ended longer ago than ``spark.sqlext.runs.keep``.

    :raises SqlExtError: INVALID_SETTING, FOLDER_ACCESS_DENIED.
    """
    from sqlext.catalog import orphans

    text = context.setting("runs.keep") or "90d"
    try:
        keep = timedelta(seconds=duration_seconds(text))
    except (KeyError, ValueError, OverflowError):
        accepted = "a duration such as 90d or 12h"
        raise SqlExtError("INVALID_SETTING", setting="spark.sqlext.runs.keep", value=text, accepted=accepted) from None
    return orphans.purge_runs(context.catalog, namespace, matches, keep, dry_run=dry_run)
