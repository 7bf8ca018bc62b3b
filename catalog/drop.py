"""DROP: the metastore first, then the files, so that a crash leaves a complete model or none, and at worst orphaned files.

A folder is deleted only if it is the location of one of the model's partitions and its manifest contains the model_id.
All other folders, such as that of a user's INSERT, are listed and left in place.
"""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass

from sqlext.catalog.entry import BACKBONE, ModelEntry, ModelVersion
from sqlext.catalog.layout import DROPPED, MANIFEST
from sqlext.catalog.names import ModelName
from sqlext.catalog.reader import CatalogReader
from sqlext.catalog.runs import RunStore
from sqlext.catalog.users import backbone_users
from sqlext.errors import SqlExtError


@dataclass(frozen=True)
class Dropped:
    """What was removed; ``kept`` lists the folders of the model's table that no training or import of ours wrote.

    ``cancelled``: the ids of the runs that were to add a version.
    """

    name: ModelName
    versions: tuple[int, ...]
    size_bytes: int
    kept: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()


def drop_model(catalog: CatalogReader, name: ModelName) -> Dropped:
    entry = catalog.get(name)
    catalog.check(name, "DROP")
    _refuse_in_use(catalog, entry, entry.versions)
    # Before the table is dropped: a folder that cannot be read is an error while nothing has changed yet.
    ours = [v for v in entry.versions if is_ours(catalog, v)]
    kept = [v.location for v in entry.versions if v not in ours]
    # Also before: a run looks for the request when it publishes, and would otherwise create the model again.
    cancelled = RunStore(catalog.spark).cancel_all(name)
    catalog.metastore.drop_table(name)
    catalog.after("drop_model.table")
    for version in ours:
        catalog.files.delete(version.location, recursive=True)
        catalog.after("drop_model.folder")
    delete_model_folder(catalog, entry.location)
    numbers = tuple(v.version for v in entry.versions)
    return Dropped(name, numbers, sum(v.size_bytes for v in ours), (*kept, *entry.foreign), cancelled)


def delete_model_folder(catalog: CatalogReader, folder: str) -> None:
    """Deletes a model's folder and the marks of its dropped versions, if nothing else is in it."""
    for mark in catalog.files.list(f"{folder}/{DROPPED}"):
        if mark.name.isdecimal():
            catalog.files.delete(f"{folder}/{DROPPED}/{mark.name}")
    catalog.files.delete(f"{folder}/{DROPPED}")
    catalog.files.delete(folder)  # without effect if other files are in it


def drop_version(catalog: CatalogReader, name: ModelName, number: int) -> Dropped:
    entry = catalog.get(name)
    version = entry.version(number)
    catalog.check(name, "DROP")
    others = [v for v in entry.versions if v is not version]
    if not others and not entry.foreign:
        return drop_model(catalog, name)
    _refuse_in_use(catalog, entry, (version,))
    # If only partitions of a user's INSERT remain, no version exists to which the alias or the default could move.
    if version.aliases and others:
        aliases = ", ".join(sorted(version.aliases))
        raise SqlExtError("ALIASED_VERSION", model=name, version=number, aliases=aliases)
    if version is entry.default and others:
        raise SqlExtError("DEFAULT_VERSION_DROP", model=name, version=number)
    ours = is_ours(catalog, version)
    # The mark comes first: a number that users have seen must not be used again, even if the rest of the drop fails.
    catalog.files.make_folder(f"{entry.location}/{DROPPED}", entry.location)
    catalog.files.write(f"{entry.location}/{DROPPED}/{number}", version.run_id.encode())
    catalog.after("drop_version.marked")
    catalog.metastore.drop_partition(name, number)
    catalog.after("drop_version.partition")
    if ours:
        catalog.files.delete(version.location, recursive=True)
    catalog.after("drop_version.folder")
    return Dropped(name, (number,), version.size_bytes if ours else 0, () if ours else (version.location,))


def replaceable(catalog: CatalogReader, entry: ModelEntry) -> tuple[ModelVersion, ...]:
    """The versions that OR REPLACE removes once the new one is published: all but those with an alias or the pin.

    :raises SqlExtError: BACKBONE_IN_USE, PERMISSION_DENIED; nothing has been removed then.
    """
    versions = tuple(v for v in entry.versions if not v.aliases and not v.pinned)
    if versions:
        catalog.check(entry.name, "DROP")
    _refuse_in_use(catalog, entry, versions)
    return versions


def is_ours(catalog: CatalogReader, version: ModelVersion) -> bool:
    """Whether the partition's folder was written by this version of this model, according to its name and manifest."""
    try:
        manifest = json.loads(catalog.files.read(f"{version.model_folder}/{MANIFEST}"))
    except (FileNotFoundError, ValueError):
        return False
    # ALTER TABLE can point a partition to any folder; what another version or another model wrote is not deleted.
    own_name = posixpath.basename(version.location).endswith(f"-{version.run_id}")
    return own_name and (manifest.get("model_id"), manifest.get("run_id")) == (version.model_id, version.run_id)


def _refuse_in_use(catalog: CatalogReader, entry: ModelEntry, versions: tuple[ModelVersion, ...]) -> None:
    if entry.kind != BACKBONE or not versions:
        return
    users = backbone_users(catalog)
    if names := {user for v in versions for user in users.of(v) if user != entry.name}:
        raise SqlExtError("BACKBONE_IN_USE", model=entry.name, users=", ".join(map(str, sorted(names))))
    if users.unread:
        unknown = f"whether a model needs the backbone {entry.name} is therefore unknown, and it was not dropped"
        raise users.unread[0].denied(unknown)
