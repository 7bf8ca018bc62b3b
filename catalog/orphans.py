"""Removes what crashes leave behind: folders that no partition owns, and records of runs that nobody needs any more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlext.catalog.drop import delete_model_folder
from sqlext.catalog.entry import path_of
from sqlext.catalog.files import FileInfo
from sqlext.catalog.layout import DROPPED, HISTORY, MANIFEST, MODEL_FOLDER
from sqlext.catalog.purge import KEPT, PURGED, WOULD_PURGE, Purged
from sqlext.catalog.reader import CatalogReader
from sqlext.catalog.runs import READY, RunStore

_MODEL = re.compile(r"(\w+)-([0-9a-f]{12})")
_VERSION = re.compile(r"v(\d+)-(\w+)")
_OURS = {HISTORY, MODEL_FOLDER}
# A publish that is still running owns no partition yet; no upload takes a day.
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class _Folder:
    """A version's folder that no partition owns; ``model_id`` comes from the name of its parent folder."""

    path: str
    name: str
    number: int
    model_id: str
    info: FileInfo


def purge_orphans(
    catalog: CatalogReader,
    namespace: str,
    matches: Callable[[str], bool],
    *,
    dry_run: bool,
    now: datetime | None = None,
) -> list[Purged]:
    """Removes version folders of a database that no partition owns and that nobody has written to for a day.

    A folder is removed only if it and its parent have names as we choose them, it contains only files that we write, and its
    manifest has the same model_id as its parent's name. A manifest may be missing: a crash during the upload leaves none.
    Other folders are listed and stay.
    """
    database_folder = catalog.metastore.database_location(namespace)
    now, owned = now or datetime.now(UTC), _owned(catalog)
    rows = []
    for folder in _unowned(catalog, database_folder, owned):
        if not matches(folder.name) or now - _touched(catalog, folder) < _DAY:
            continue
        reason = _not_ours(catalog, folder)
        status = KEPT if reason else WOULD_PURGE if dry_run else PURGED
        message = f"{reason}: {folder.path}" if reason else f"no partition owns {folder.path}"
        size = catalog.files.size(folder.path)
        if status == PURGED:
            catalog.files.delete(folder.path, recursive=True)
            _remove_model_folder(catalog, folder.path.rpartition("/")[0], owned)
        rows.append(Purged(f"{namespace}.{folder.name}", folder.number, status, message, size))
    return rows


def _owned(catalog: CatalogReader) -> set[str]:
    """The folders of all model tables and their partitions, in all databases, without scheme and host."""
    found: set[str] = set()
    for name, table in catalog.model_tables_everywhere():
        found |= {_path_only(path_of(thing)) for thing in (table, *catalog.metastore.partitions(name))}
    return found


def _path_only(path: str) -> str:
    # The metastore and the file system may write the same place differently (file:/ and file:///, a host with and without its
    # port). To compare only paths can at worst keep a folder.
    return re.sub(r"^[A-Za-z][\w+.-]*:(//[^/]*)?", "", path)


def _unowned(catalog: CatalogReader, database_folder: str, owned: set[str]) -> Iterator[_Folder]:
    for model in catalog.files.list(database_folder):
        named = _MODEL.fullmatch(model.name)
        if not (named and model.is_folder):
            continue
        for info in catalog.files.list(f"{database_folder}/{model.name}"):
            numbered = _VERSION.fullmatch(info.name)
            path = f"{database_folder}/{model.name}/{info.name}"
            if numbered and info.is_folder and _path_only(path) not in owned:
                yield _Folder(path, named[1], int(numbered[1]), named[2], info)


def _touched(catalog: CatalogReader, folder: _Folder) -> datetime:
    """The last time at which anything in the folder was written."""
    inside = [*catalog.files.list(folder.path), *catalog.files.list(f"{folder.path}/{MODEL_FOLDER}")]
    return datetime.fromtimestamp(max(info.modified_ms for info in [folder.info, *inside]) / 1000, UTC)


def _not_ours(catalog: CatalogReader, folder: _Folder) -> str | None:
    """Why a folder may not come from an interrupted publish or drop of ours; None if it does."""
    # A leading dot marks temporary files of ours (files.py) and Hadoop's checksums.
    others = {i.name for i in catalog.files.list(folder.path) if not i.name.startswith(".")} - _OURS
    if others:
        return f"it contains {', '.join(sorted(others)[:3])}, which no training writes"
    try:
        manifest = json.loads(catalog.files.read(f"{folder.path}/{MODEL_FOLDER}/{MANIFEST}"))
    except (FileNotFoundError, ValueError):
        return None  # the crash came before the manifest
    return None if manifest.get("model_id") == folder.model_id else "its manifest belongs to another model"


def _remove_model_folder(catalog: CatalogReader, folder: str, owned: set[str]) -> None:
    """Removes the empty folder of a model whose table does not exist, with its marks of dropped versions."""
    if _path_only(folder) not in owned and all(info.name == DROPPED for info in catalog.files.list(folder)):
        delete_model_folder(catalog, folder)


def purge_runs(
    catalog: CatalogReader, namespace: str, matches: Callable[[str], bool], keep: timedelta, *, dry_run: bool
) -> list[Purged]:
    """Removes records of runs that ended longer ago than ``keep``, but not of a READY run whose version still exists.

    Returns one row per model.
    """
    store, now = RunStore(catalog.spark), datetime.now(UTC)
    published = {v.run_id for entry in catalog.list(namespace) for v in entry.versions}
    old = [
        run
        for run in store.list(namespace)
        if not run.is_live
        and matches(run.model)
        and now - (run.finished_at or run.updated_at or now) > keep
        and not (run.status == READY and run.run_id in published)
    ]
    if not dry_run:
        for run in old:
            store.forget(run)
    return _counted(namespace, [run.model for run in old], keep, WOULD_PURGE if dry_run else PURGED)


def _counted(namespace: str, models: Iterable[str], keep: timedelta, status: str) -> list[Purged]:
    counts: dict[str, int] = {}
    for model in models:
        counts[model] = counts.get(model, 0) + 1
    return [
        Purged(
            f"{namespace}.{model}", None, status, f"training runs that ended more than {_age(keep)} ago: {count}", None
        )
        for model, count in sorted(counts.items())
    ]


def _age(keep: timedelta) -> str:
    return f"{keep.days} days" if keep >= _DAY else f"{int(keep.total_seconds())} s"
