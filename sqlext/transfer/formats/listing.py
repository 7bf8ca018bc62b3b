"""``sqlext-export.json``: the list of files in the folder of an EXPORT, with their sizes and checksums.

    sqlext-export.json   this list
    history.parquet      the training history, if there is one
    model/               the files of the version, including manifest.json
    backbone/            the files of the backbone, if the model has one

IMPORT trusts nothing in a folder: it checks names before it opens a file, and contents against the list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sqlext.catalog.entry import FORMAT_VERSION
from sqlext.catalog.layout import HISTORY, MANIFEST, release
from sqlext.errors import SqlExtError
from sqlext.text import parsed_json

LISTING = "sqlext-export.json"
MODEL, BACKBONE = "model", "backbone"


@dataclass(frozen=True)
class Part:
    """A version, by its name in the catalog that exported it; ``parameters`` are those of its partition without the prefix."""

    name: str
    version: int
    kind: str
    comment: str | None = None
    properties: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Listing:
    """``files`` maps paths in the folder to what is stored there; it does not contain the list itself."""

    release: str
    model: Part
    backbone: Part | None
    files: dict[str, Stored]

    @property
    def size_bytes(self) -> int:
        return sum(file.size for file in self.files.values())

    def to_bytes(self) -> bytes:
        """Returns the same bytes for the same version."""
        values = {"sqlext_export": FORMAT_VERSION, **asdict(self)}
        return json.dumps(values, indent=1, ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes, path: str) -> Listing:
        """:raises SqlExtError: EXPORT_DAMAGED, MODEL_FORMAT_TOO_NEW."""
        try:
            values = parsed_json(data)
            if values["sqlext_export"] > FORMAT_VERSION:
                raise _too_new(path, values)
            files = {str(name): Stored(int(f["size"]), str(f["sha256"])) for name, f in values["files"].items()}
            backbone = _part(values["backbone"]) if values["backbone"] else None
            listing = cls(str(values["release"]), _part(values["model"]), backbone, files)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise damaged(path, f"its {LISTING} was not written by EXPORT MODEL") from None
        for name in files:
            _check_name(path, name)
        for needed in [MODEL] + ([BACKBONE] if backbone else []):
            if f"{needed}/{MANIFEST}" not in files:
                raise damaged(path, f"its {LISTING} lists no {needed}/{MANIFEST}")
        return listing


def damaged(path: str, reason: str) -> SqlExtError:
    return SqlExtError("EXPORT_DAMAGED", path=path, reason=reason)


def is_listing(data: bytes) -> bool:
    """Whether EXPORT MODEL wrote this ``sqlext-export.json``."""
    try:
        return "sqlext_export" in parsed_json(data)
    except (ValueError, TypeError):
        return False


def is_input(value: Any, *kinds: str) -> bool:
    """Whether ``value`` can be the `input` of a manifest: of one of these kinds, with the names of its columns."""
    if not isinstance(value, dict) or value.get("kind") not in kinds:
        return False
    columns = value.get("columns") or []
    named = isinstance(columns, list) and all(isinstance(c, dict) and isinstance(c.get("name"), str) for c in columns)
    return named and isinstance(value.get("column"), str)


def _check_name(path: str, name: str) -> None:
    """Refuses a name that could lead out of the folder, and one that no export contains."""
    parts = PurePosixPath(name).parts
    fine = name == HISTORY or (len(parts) > 1 and parts[0] in (MODEL, BACKBONE))
    if not fine or ".." in parts or "\\" in name or "\0" in name or "/".join(parts) != name:
        raise damaged(path, f"its {LISTING} names '{name}', which is not a file of an export; nothing was read")


def _part(values: Mapping[str, Any]) -> Part:
    return Part(
        name=str(values["name"]),
        version=int(values["version"]),
        kind=str(values["kind"]),
        comment=None if values.get("comment") is None else str(values["comment"]),
        properties={str(k): str(v) for k, v in values.get("properties", {}).items()},
        parameters={str(k): str(v) for k, v in values.get("parameters", {}).items()},
    )


def _too_new(path: str, values: Mapping[str, Any]) -> SqlExtError:
    return SqlExtError(
        "MODEL_FORMAT_TOO_NEW",
        model=f"'{path}'",
        format=values["sqlext_export"],
        release=values.get("release", "?"),
        this=release(),
        known=FORMAT_VERSION,
    )
