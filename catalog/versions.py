"""Changes to a published version: the parameters of its partition, which hold its aliases and the pin.

The parameters of one partition are read, changed and written back as a whole. Within the process a lock per model serialises
this; across processes the result is read back, and the change is repeated if another session's write came in between.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import tenacity

from sqlext.catalog.entry import ALIAS, PINNED, PROMOTED, RUN_ID, ModelVersion
from sqlext.catalog.names import ModelName, alias_name
from sqlext.catalog.reader import CatalogReader
from sqlext.errors import SqlExtError, nearest

_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # by model_id: a RENAME does not change it
ATTEMPTS = 20


def lock_of(model_id: str) -> threading.Lock:
    """The lock that serialises changes to one model within this process."""
    return _locks[model_id]


def retrying(lost: type[Exception], attempts: int) -> tenacity.Retrying:
    """Calls a function again, after a short random wait, while it raises ``lost``; the last of these errors is raised."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(lost),
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_random(0, 0.1),
        reraise=True,
    )


class _LostError(Exception):
    """The parameters read back are not those that were written."""


def set_parameters(
    catalog: CatalogReader, version: ModelVersion, values: Mapping[str, str], unset: Iterable[str] = ()
) -> None:
    """Sets and removes parameters of one version's partition; its other parameters do not change.

    :raises SqlExtError: MODEL_VERSION_NOT_FOUND if it was dropped, VERSION_CONFLICT after many lost races.
    """
    removed = set(unset)

    def attempt() -> None:
        before = _parameters(catalog, version)
        wanted = {key: value for key, value in before.items() if key not in removed} | dict(values)
        if wanted == before:
            return
        catalog.metastore.alter_partition(version.name, version.version, wanted)
        after = _parameters(catalog, version)
        if any(after.get(k) != v for k, v in values.items()) or removed & after.keys():
            raise _LostError

    with _locks[version.model_id]:
        try:
            retrying(_LostError, ATTEMPTS)(attempt)
        except _LostError:
            raise SqlExtError("VERSION_CONFLICT", version=version, attempts=ATTEMPTS) from None


def set_alias(catalog: CatalogReader, name: ModelName, alias: str, number: int) -> None:
    """Makes an alias refer to a version. The new holder is written first, so that the alias always refers to a version.

    :raises SqlExtError: MODEL_VERSION_NOT_FOUND, INVALID_ALIAS.
    """
    key = ALIAS + alias_name(alias)
    target = catalog.get(name).version(number)
    set_parameters(catalog, target, {key: _now()})
    _remove(catalog, name, key, besides=number)


def unset_alias(catalog: CatalogReader, name: ModelName, alias: str) -> None:
    """Removes an alias from the version that holds it.

    :raises SqlExtError: ALIAS_NOT_FOUND.
    """
    entry = catalog.get(name)
    if alias.lower() not in entry.aliases:
        raise SqlExtError("ALIAS_NOT_FOUND", model=name, alias=alias, hint=nearest(alias, entry.aliases))
    _remove(catalog, name, ALIAS + alias.lower())


def pin(catalog: CatalogReader, name: ModelName, number: int) -> None:
    """SET DEFAULT VERSION n: the default stays at that version, whatever is published later."""
    set_parameters(catalog, catalog.get(name).version(number), {PINNED: _now()})
    _remove(catalog, name, PINNED, besides=number)


def follow_latest(catalog: CatalogReader, name: ModelName) -> ModelVersion:
    """SET DEFAULT VERSION LATEST: the newest version becomes the default, until a later one is promoted."""
    latest = catalog.get(name).latest
    # In this order the default never moves to an older version in between.
    set_parameters(catalog, latest, {PROMOTED: "true"})
    _remove(catalog, name, PINNED)
    return latest


def _remove(catalog: CatalogReader, name: ModelName, key: str, besides: int | None = None) -> None:
    for version in catalog.get(name).versions:
        if key in version.parameters and version.version != besides:
            set_parameters(catalog, version, {}, [key])


def _parameters(catalog: CatalogReader, version: ModelVersion) -> dict[str, str]:
    for partition in catalog.metastore.partitions(version.name):
        if partition["parameters"].get(RUN_ID) == version.run_id:
            # Hive changes this parameter with each write, so that what is read back would never equal what was written.
            return {k: v for k, v in partition["parameters"].items() if k != "transient_lastDdlTime"}
    raise SqlExtError("MODEL_VERSION_NOT_FOUND", model=version.name, version=version.version, hint="It was dropped.")


def _now() -> str:
    # Always with microseconds: entry.py compares these texts, which must have the same length.
    return datetime.now(UTC).isoformat(timespec="microseconds")
