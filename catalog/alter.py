"""What may change of a model as a whole: its name, its comment and the user's own properties, all kept by its table.

The metastore replaces the properties of a table all at once. So they are read, changed, written and read back, and that again
when somebody else's change came in between; within the process a lock per model keeps changes apart.
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
    """Gives a model another name in its database; folders, versions, aliases and what uses it stay as they are.

    Runs that have ended go with it.

    :raises SqlExtError: NAME_IN_USE, PERMISSION_DENIED.
    """
    catalog.check(name, "ALTER")
    there = catalog.metastore.table(to)
    if there is not None:
        kind = "model" if MODEL_ID in there["properties"] else there["tableType"]["name"].lower().replace("_", " ")
        raise SqlExtError("NAME_IN_USE", name=to, kind=kind if kind in ("model", "view") else "table")
    catalog.metastore.rename_table(name, to)
    RunStore(catalog.spark).rename(name, to.name)


def set_comment(catalog: CatalogReader, name: ModelName, comment: str | None) -> str | None:
    """Replaces a model's comment, and returns what it was.

    :raises SqlExtError: INVALID_MODEL_PROPERTY for more than 4,000 characters, PERMISSION_DENIED.
    """
    check_properties({}, comment)
    catalog.check(name, "ALTER")
    before = _table(catalog, name)["comment"]
    _change(catalog, name, lambda properties: properties, comment=comment)
    return None if before is None else str(before)


def set_properties(catalog: CatalogReader, name: ModelName, values: Mapping[str, str]) -> None:
    """Sets properties of the user's own; the others stay.

    :raises SqlExtError: INVALID_MODEL_PROPERTY, PERMISSION_DENIED, VERSION_CONFLICT.
    """
    wanted = {PROPERTY + key: value for key, value in check_properties(values).items()}
    catalog.check(name, "ALTER")
    _change(catalog, name, lambda properties: properties | wanted)


def unset_properties(catalog: CatalogReader, name: ModelName, keys: Iterable[str], *, if_exists: bool) -> list[str]:
    """Removes properties of the user's own; returns those that were there.

    :raises SqlExtError: PROPERTY_NOT_FOUND unless ``if_exists``, PERMISSION_DENIED, VERSION_CONFLICT.
    """
    known = catalog.get(name).properties
    keys = list(keys)
    for key in keys:
        if key not in known and not if_exists:
            raise SqlExtError("PROPERTY_NOT_FOUND", model=name, key=key, hint=nearest(key, known))
    catalog.check(name, "ALTER")
    gone = {PROPERTY + key for key in keys}
    _change(catalog, name, lambda properties: {k: v for k, v in properties.items() if k not in gone})
    return [key for key in keys if key in known]


_KEEP = object()


def _change(
    catalog: CatalogReader,
    name: ModelName,
    change: Callable[[dict[str, str]], dict[str, str]],
    comment: Any = _KEEP,
) -> None:
    with lock_of(_table(catalog, name)["properties"][MODEL_ID]):
        for _ in range(ATTEMPTS):
            table = _table(catalog, name)
            wanted = change(dict(table["properties"]))
            said = table["comment"] if comment is _KEEP else comment
            if wanted == table["properties"] and said == table["comment"]:
                return
            catalog.metastore.alter_table(name, wanted, said)
    raise SqlExtError("VERSION_CONFLICT", version=name, attempts=ATTEMPTS)


def _table(catalog: CatalogReader, name: ModelName) -> dict[str, Any]:
    table = catalog.model_table(name)
    if table is None:
        raise SqlExtError("MODEL_NOT_FOUND", model=name, hint="It was dropped.")
    return table
