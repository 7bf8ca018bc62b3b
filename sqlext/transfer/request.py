"""A transfer as it was asked for: what IMPORT and EXPORT MODEL hand to their runners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlext.grammar.notes import Name
from sqlext.grammar.reader import WrittenModel


@dataclass(frozen=True)
class ImportRequest:
    """``format`` None: the folder of an EXPORT. ``given`` are the options that were written, with their offsets."""

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
    """``format`` None: a folder with all that the version has."""

    model: WrittenModel
    path: str
    path_offset: int
    format: str | None
    overwrite: bool
