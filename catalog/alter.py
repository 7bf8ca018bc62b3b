"""Changes to a model as a whole: its name, its comment and the user's properties, all stored in its metastore table.

The metastore can only replace all properties of a table at once. They are therefore read, changed, written and read back,
and the change is repeated if another session's write came in between. Within the process a lock per model serialises changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlext.catalog.drafts import check_properties
from sqlext.catalog.entry import MODEL_ID, PROPERTY
from sqlext.catalog.names import ModelName
from sqlext.catalog.reader import CatalogReader
from sqlext.catalog.runs import RunStore
from sqlext.catalog.versions import ATTEMPTS, lock_of
from sqlext.errors import SqlExtError, nearest


def rename(catalog: CatalogReader, name: ModelName, to: ModelName) -> None:
    """Renames a model within its database. Its folders, versions, aliases and the models that use it do not change.

    The records of its ended runs get the new name, too.

    :raises SqlExtError: NAME_IN_USE, PERMISSION_DENIED.
    """
    catalog.check(name, "ALTER")
    existing = catalog.metastore.table(to)
    if existing is not None:
        kind = (
            "model" if MODEL_ID in existing["properties"] else existing["tableType"]["name"].lower().replace("_", " ")
        )
        raise SqlExtError("NAME_IN_USE", name=to, kind=kind if kind in ("model", "view") else "table")
    catalog.metastore.rename_table(name, to)
    RunStore(catalog.spark).rename(name, to.name)


def set_comment(catalog: CatalogReader, name: ModelName, comment: str | None) -> str | None:
    """Replaces a model's comment and returns the previous one.

    :raises SqlExtError: INVALID_MODEL_PROPERTY for more than 4,000 characters, PERMISSION_DENIED.
    """
    check_properties({}, comment)
    catalog.check(name, "ALTER")
    before = _table(catalog, name)["comment"]
    _change(catalog, name, lambda properties: properties, comment=comment)
    return None if before is None else str(before)


def set_properties(catalog: CatalogReader, name: ModelName, values: Mapping[str, str]) -> None:
    """Sets user-defined properties; the others do not change.

    :raises SqlExtError: INVALID_MODEL_PROPERTY, PERMISSION_DENIED, VERSION_CONFLICT.
    """
    wanted = {PROPERTY + key: value for key, value in check_properties(values).items()}
    catalog.check(name, "ALTER")
    _change(catalog, name, lambda properties: properties | wanted)


def unset_properties(catalog: CatalogReader, name: ModelName, keys: Iterable[str], *, if_exists: bool) -> list[str]:
    """Removes user-defined properties and returns the keys that existed.

    :raises SqlExtError: PROPERTY_NOT_FOUND unless ``if_exists``, PERMISSION_DENIED, VERSION_CONFLICT.
    """
    known = catalog.get(name).properties
    keys = list(keys)
    for key in keys:
        if key not in known and not if_exists:
            raise SqlExtError("PROPERTY_NOT_FOUND", model=name, key=key, hint=nearest(key, known))
    catalog.check(name, "ALTER")
    removed = {PROPERTY + key for key in keys}
    _change(catalog, name, lambda properties: {k: v for k, v in properties.items() if k not in removed})
    return [key for key in keys if key in known]


_UNCHANGED = object()  # None is a value that a comment can be changed to


def _change(
    catalog: CatalogReader,
    name: ModelName,
    change: Callable[[dict[str, str]], dict[str, str]],
    comment: Any = _UNCHANGED,
) -> None:
    with lock_of(_table(catalog, name)["properties"][MODEL_ID]):
        for _ in range(ATTEMPTS):
            table = _table(catalog, name)
            wanted = change(dict(table["properties"]))
            wanted_comment = table["comment"] if comment is _UNCHANGED else comment
            if wanted == table["properties"] and wanted_comment == table["comment"]:
                return
            # The next round reads it back: the loop ends only when the table has what was wanted.
            catalog.metastore.alter_table(name, wanted, wanted_comment)
    raise SqlExtError("VERSION_CONFLICT", version=name, attempts=ATTEMPTS)


def _table(catalog: CatalogReader, name: ModelName) -> dict[str, Any]:
    table = catalog.model_table(name)
    if table is None:
        raise SqlExtError("MODEL_NOT_FOUND", model=name, hint="It was dropped.")
    return table
