"""The interface of a format's module."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pyspark.sql import SparkSession

from sqlext.catalog.entry import ModelVersion
from sqlext.catalog.facade import ModelCatalog
from sqlext.transfer.graphs import Described

FOLDER = "FOLDER"  # the format of an exported folder in result rows


@dataclass(frozen=True)
class GraphFile:
    """``data`` is ONNX, ``sha256`` the checksum of the original file; ``folder`` may hold external weights.

    ``described`` is what EXPORT wrote, ``options`` are the options of IMPORT that the file contains.
    """

    data: bytes
    sha256: str
    folder: Path | None
    described: Described | None
    options: dict[str, Any]


@dataclass(frozen=True)
class Exported:
    """The files that a format wrote; ``message`` goes into the result row."""

    size_bytes: int
    sha256: str
    message: str | None


class Format(Protocol):
    """The module of a format. ``BESIDE`` has the endings of the files that belong to the named one; None for a folder."""

    BESIDE: tuple[str, ...] | None

    def stage(self, catalog: ModelCatalog, version: ModelVersion, staged: Path) -> Exported:
        """Writes the version to the local path ``staged``.

        :raises SqlExtError: EXPORT_NOT_POSSIBLE, BACKBONE_MISSING, MODEL_FILES_MISSING.
        """


class ReadableFormat(Format, Protocol):
    """A format whose single files IMPORT reads."""

    def open_graph(self, spark: SparkSession, path: str) -> AbstractContextManager[GraphFile]:
        """:raises SqlExtError: FILE_NOT_FOUND, IS_A_FOLDER, PATH_NOT_ALLOWED, INVALID_NETWORK."""


def format_of(name: str | None) -> Format:
    """Returns the format of an EXPORT; None stands for the folder."""
    module: Format = importlib.import_module(f"sqlext.transfer.formats.{(name or FOLDER).lower()}")  # type: ignore[assignment]
    return module


def readable_format(name: str) -> ReadableFormat:
    """Returns the format of an IMPORT from a file."""
    module: ReadableFormat = importlib.import_module(f"sqlext.transfer.formats.{name.lower()}")  # type: ignore[assignment]
    return module
