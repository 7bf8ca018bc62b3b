"""A version before it is published: a local folder to fill, and the name, id and folder that it will get."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlext.catalog.entry import KIND, MODEL_ID, path_of
from sqlext.catalog.layout import MODEL_FOLDER
from sqlext.catalog.names import ModelName
from sqlext.catalog.reader import CatalogReader
from sqlext.errors import SqlExtError

_MAX_KEY, MAX_VALUE = 200, 4000  # characters that the metastore's own tables have room for


@dataclass
class Draft:
    """A version before it is published. The content of the folder ``local`` becomes the version's ``_model/``.

    ``model_id`` and ``folder`` change if, in the meantime, another session publishes the model's first version or drops
    the model.
    """

    name: ModelName
    kind: str
    comment: str | None
    properties: dict[str, str]
    run_id: str
    model_id: str
    folder: str
    existing: bool
    staging: tempfile.TemporaryDirectory[str] = field(repr=False)

    @property
    def version_folder(self) -> Path:
        return Path(self.staging.name, "version")

    @property
    def local(self) -> Path:
        return self.version_folder / MODEL_FOLDER

    def close(self) -> None:
        self.staging.cleanup()

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def new_id() -> str:
    # orphans.py recognises the folders of models by these 12 hexadecimal digits.
    return uuid.uuid4().hex[:12]


def draft(
    catalog: CatalogReader,
    name: ModelName,
    kind: str,
    comment: str | None,
    properties: Mapping[str, str] | None,
    run_id: str | None,
) -> Draft:
    checked = check_properties(properties or {}, comment)
    location = catalog.metastore.database_location(name.namespace)
    table = catalog.model_table(name)
    catalog.check(name, "ALTER" if table else "CREATE")
    model_id = identity(name, kind, table) or new_id()
    folder = path_of(table) if table else folder_of(location, name, model_id)
    staging = tempfile.TemporaryDirectory(prefix="sqlext-draft-")
    result = Draft(name, kind, comment, checked, run_id or new_id(), model_id, folder, table is not None, staging)
    result.local.mkdir(parents=True)
    return result


def folder_of(database_folder: str, name: ModelName, model_id: str) -> str:
    """The folder of a model. The id is part of it because RENAME leaves the folder, which a new model must not share."""
    return f"{database_folder}/{name.name}-{model_id}"


def identity(name: ModelName, kind: str, table: Mapping[str, Any] | None) -> str | None:
    """The model_id in a model's table; None if ``table`` is None.

    :raises SqlExtError: MODEL_KIND_MISMATCH.
    """
    if table is None:
        return None
    existing = table["properties"].get(KIND)
    if existing != kind:
        raise SqlExtError("MODEL_KIND_MISMATCH", model=name, kind=existing, wanted=kind)
    return str(table["properties"][MODEL_ID])


def check_properties(properties: Mapping[str, str], comment: str | None = None) -> dict[str, str]:
    """Checks the properties of a model or the parameters of a version, and returns a copy.

    The metastore itself retries a value that is too long for 20 seconds before it fails.

    :raises SqlExtError: INVALID_MODEL_PROPERTY.
    """
    for key, value in [*properties.items(), ("comment", comment or "")]:
        if not 0 < len(key) <= _MAX_KEY:
            raise SqlExtError(
                "INVALID_MODEL_PROPERTY",
                key=key[:40],
                reason=f"has a key of {len(key)} characters, but only 1 to {_MAX_KEY} are allowed",
            )
        if len(value) > MAX_VALUE:
            raise SqlExtError(
                "INVALID_MODEL_PROPERTY",
                key=key,
                reason=f"has a value of {len(value)} characters, but at most {MAX_VALUE} are allowed",
            )
    return dict(properties)
