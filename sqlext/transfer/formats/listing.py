"""``sqlext-export.json``: what is in the folder of an EXPORT, with size and checksum of each file.

    sqlext-export.json   this list
    history.parquet      the training history, where there is one
    model/               the version's own files, manifest.json among them
    backbone/            those of the backbone that a head needs

Whoever reads a folder trusts nothing in it: names are checked before a file is touched, and contents against the list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sqlext.catalog.entry import FORMAT_VERSION
from sqlext.catalog.layout import release
from sqlext.errors import SqlExtError

LISTING = "sqlext-export.json"
HISTORY = "history.parquet"
MODEL, BACKBONE = "model", "backbone"


@dataclass(frozen=True)
class Part:
    """A version as it was called where it comes from. ``parameters``: of its partition, without the prefix."""

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
    """``files`` are by their path in the folder, the list itself left out."""

    release: str
    model: Part
    backbone: Part | None
    files: dict[str, Stored]

    @property
    def size_bytes(self) -> int:
        return sum(file.size for file in self.files.values())

    def to_bytes(self) -> bytes:
        """The same bytes for the same version."""
        values = {"sqlext_export": FORMAT_VERSION, **asdict(self)}
        return json.dumps(values, indent=1, ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes, path: str) -> Listing:
        """:raises SqlExtError: EXPORT_DAMAGED, MODEL_FORMAT_TOO_NEW."""
        try:
            values = json.loads(data)
            if values["sqlext_export"] > FORMAT_VERSION:
                raise _too_new(path, values)
            files = {str(name): Stored(int(f["size"]), str(f["sha256"])) for name, f in values["files"].items()}
            backbone = _part(values["backbone"]) if values["backbone"] else None
            listing = cls(str(values["release"]), _part(values["model"]), backbone, files)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise damaged(path, f"its {LISTING} is not one that EXPORT MODEL wrote") from None
        for name in files:
            _check_name(path, name)
        for needed in [MODEL] + ([BACKBONE] if backbone else []):
            if f"{needed}/manifest.json" not in files:
                raise damaged(path, f"its {LISTING} lists no {needed}/manifest.json")
        return listing


def damaged(path: str, reason: str) -> SqlExtError:
    return SqlExtError("EXPORT_DAMAGED", path=path, reason=reason)


def is_listing(data: bytes) -> bool:
    """Whether a file of that name was written by EXPORT MODEL."""
    try:
        return "sqlext_export" in json.loads(data)
    except (ValueError, TypeError):
        return False


def is_input(given: Any, *kinds: str) -> bool:
    """Whether a manifest's `input` names one of these kinds and its columns as text."""
    if not isinstance(given, dict) or given.get("kind") not in kinds:
        return False
    columns = given.get("columns") or []
    named = isinstance(columns, list) and all(isinstance(c, dict) and isinstance(c.get("name"), str) for c in columns)
    return named and isinstance(given.get("column"), str)


def _check_name(path: str, name: str) -> None:
    """A file of one of our folders, wherever ``..`` and the like would lead."""
    parts = PurePosixPath(name).parts
    fine = name == HISTORY or (len(parts) > 1 and parts[0] in (MODEL, BACKBONE))
    if not fine or ".." in parts or "\\" in name or "\0" in name or "/".join(parts) != name:
        raise damaged(path, f"its {LISTING} names '{name}', which is no file of an export; nothing was read")


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
