"""PURGE: removes old versions by rule, but never one that somebody may rely on. It reports those with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlext.catalog.drop import is_ours
from sqlext.catalog.entry import BACKBONE, ModelEntry, ModelVersion
from sqlext.catalog.facade import ModelCatalog
from sqlext.catalog.users import BackboneUsers
from sqlext.errors import SqlExtError

PURGED, KEPT, WOULD_PURGE = "PURGED", "KEPT", "WOULD PURGE"


@dataclass(frozen=True)
class Rule:
    """Which versions may be removed: all but the newest ``keep``, those older than ``days``, or with both what both allow."""

    keep: int | None = None
    days: int | None = None
    dry_run: bool = False

    def keeps(self, version: ModelVersion, newer: int, now: datetime) -> str | None:
        """Why a version that has ``newer`` newer ones must stay; None if it may be removed."""
        if self.keep is not None and newer < self.keep:
            return "the newest (KEEP 1)" if self.keep == 1 else f"one of the newest {self.keep}"
        if self.days is not None and now - version.created_at <= timedelta(days=self.days):
            return f"not older than {self.days} days"
        return None


@dataclass(frozen=True)
class Purged:
    """The outcome for one version, or, with ``version`` None, for a folder or for runs that belong to no version."""

    model: str
    version: int | None
    status: str
    message: str | None
    size_bytes: int | None


def purge_model(
    catalog: ModelCatalog,
    entry: ModelEntry,
    rule: Rule,
    users: BackboneUsers,
    now: datetime | None = None,
) -> list[Purged]:
    """Purges one model. Returns a row per version, newest first, then one per partition that is not a version.

    The caller has checked the right to DROP.
    """
    now = now or datetime.now(UTC)
    rows = []
    for newer, version in enumerate(reversed(entry.versions)):
        reasons = [*_protections(entry, version, users), rule.keeps(version, newer, now)]
        kept = [reason for reason in reasons if reason]
        rows.append(_kept(version, "; ".join(kept)) if kept else _purge(catalog, version, rule))
    own = str(entry.name)
    return rows + [Purged(own, None, KEPT, f"not a version of this model: {path}", None) for path in entry.foreign]


def _protections(entry: ModelEntry, version: ModelVersion, users: BackboneUsers) -> list[str]:
    reasons = ["the default"] if version is entry.default else []
    reasons += [f"alias {alias}" for alias in sorted(version.aliases)]
    if names := users.of(version):
        reasons.append(f"backbone of {', '.join(map(str, names))}")
    elif version.kind == BACKBONE and users.unread:
        reasons.append(f"unknown whether a model needs it: {users.unread[0]}")
    return reasons


def _purge(catalog: ModelCatalog, version: ModelVersion, rule: Rule) -> Purged:
    if not is_ours(catalog, version):
        return _kept(version, f"its folder was not written by this model: {version.location}")
    if rule.dry_run:
        return Purged(str(version.name), version.version, WOULD_PURGE, None, version.size_bytes)
    try:
        catalog.drop_version(version.name, version.version)
    except SqlExtError as error:
        # Since the check it got an alias or became the default, or its files may not be removed.
        return _kept(version, str(error))
    return Purged(str(version.name), version.version, PURGED, None, version.size_bytes)


def _kept(version: ModelVersion, reason: str) -> Purged:
    return Purged(str(version.name), version.version, KEPT, reason, version.size_bytes)


def keep_model(entry: ModelEntry, reason: str) -> list[Purged]:
    """A row per version, newest first, that says why none was removed."""
    return [_kept(version, reason) for version in reversed(entry.versions)]
