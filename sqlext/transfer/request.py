"""The requests that IMPORT MODEL and EXPORT MODEL pass to their runners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlext.grammar.notes import Name
from sqlext.grammar.reader import WrittenModel


@dataclass(frozen=True)
class ImportRequest:
    """``format`` is None for the folder of an EXPORT; ``given`` maps the options that the user wrote to their offsets."""

    name: Name
    replace: bool
    if_not_exists: bool
    path: str
    path_offset: int
    format: str | None
    labels: tuple[str, ...] | None
    labels_from: Name | None
    labels_offset: int
    comment: str | None
    options: dict[str, Any]
    given: dict[str, int]


@dataclass(frozen=True)
class ExportRequest:
    """``format`` is None for a folder with everything that the version has."""

    model: WrittenModel
    path: str
    path_offset: int
    format: str | None
    overwrite: bool
