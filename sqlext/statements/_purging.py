"""What PURGE MODELS and ALTER MODEL .. PURGE have in common: the clauses and the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlext.grammar.options import MAX_INT
from sqlext.grammar.reader import TokenReader
from sqlext.statements.base import Context, ResultRow, changed

if TYPE_CHECKING:
    from sqlext.catalog.purge import Purged, Rule

MAX_DAYS = timedelta.max.days


@dataclass(frozen=True)
class PurgeClauses:
    """``[KEEP n VERSIONS] [OLDER THAN n DAYS]``"""

    keep: int | None
    days: int | None

    @classmethod
    def read(cls, reader: TokenReader, *flags: str) -> tuple[PurgeClauses, set[str]]:
        """The clauses in any order, each at most once, and which of ``flags`` (clauses of words alone) stand among them."""
        found: dict[str, int] = {}
        readers: dict[str, Callable[[TokenReader], object]] = {
            "KEEP": lambda r: found.update(keep=_count(r, "how many of the newest versions to keep", "VERSIONS")),
            "OLDER THAN": lambda r: found.update(days=_count(r, "a number of days", "DAYS", MAX_DAYS)),
            **{flag: lambda _: None for flag in flags},
        }
        given = reader.clauses(readers)
        return cls(found.get("keep"), found.get("days")), set(given) & set(flags)

    @property
    def is_empty(self) -> bool:
        return self.keep is None and self.days is None

    def rule(self, *, dry_run: bool = False) -> Rule:
        from sqlext.catalog.purge import Rule

        return Rule(self.keep, self.days, dry_run)


def _count(reader: TokenReader, what: str, unit: str, most: int = MAX_INT) -> int:
    offset = reader.offset
    number = reader.integer(what)
    if number < 0:
        reader.fail(f"{what}: 0 or more", offset)
    if number > most:
        reader.fail(f"{what}: at most {most}", offset)
    reader.need(unit)
    return number


def purge_rows(found: Iterable[Purged]) -> list[ResultRow]:
    return [changed(p.model, p.status, p.message, version=p.version, size_bytes=p.size_bytes) for p in found]


def purge_runs(context: Context, namespace: str, matches: Callable[[str], bool], *, dry_run: bool) -> list[Purged]:
    """Forgets runs that are older than ``spark.sqlext.runs.keep``.

    :raises SqlExtError: INVALID_SETTING, FOLDER_ACCESS_DENIED.
    """
    from sqlext.catalog.orphans import purge_runs
    from sqlext.errors import SqlExtError
    from sqlext.settings import duration_seconds

    text = context.setting("runs.keep") or "90d"
    try:
        keep = timedelta(seconds=duration_seconds(text))
    except (KeyError, ValueError, OverflowError):
        accepted = "a duration such as 90d or 12h"
        raise SqlExtError("INVALID_SETTING", setting="spark.sqlext.runs.keep", value=text, accepted=accepted) from None
    return purge_runs(context.catalog, namespace, matches, keep, dry_run=dry_run)
