"""The folder of an EXPORT, with everything that a version has.

IMPORT copies it to this machine, compares it with its list and reads it only as data.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyarrow import parquet

from sqlext.catalog.backbones import recorded_backbone
from sqlext.catalog.entry import PREFIX, ModelVersion
from sqlext.catalog.facade import ModelCatalog
from sqlext.catalog.files import Files
from sqlext.catalog.history import COLUMNS
from sqlext.catalog.layout import HEAD, HELD_OUT, HISTORY, MANIFEST, release
from sqlext.catalog.publish import sha256
from sqlext.errors import SqlExtError
from sqlext.networks.head import Head
from sqlext.networks.onnx_file import parse
from sqlext.text import parsed_json
from sqlext.transfer.formats import FORMATS
from sqlext.transfer.formats.base import Exported
from sqlext.transfer.formats.listing import BACKBONE, LISTING, MODEL, Listing, Part, Stored, damaged

BESIDE = None
# The parameters of a partition that depend on its catalog, not on the content of the version.
_OF_THE_PLACE = {
    *("run_id", "promoted", "pinned", "backbone", "backbone_id", "size_bytes"),
    *("format_version", "release", "created_at", "created_by"),
}


@dataclass(frozen=True)
class ExportFolder:
    """``root`` holds the files under the names in ``listing``; ``sha256`` is the checksum of the list itself, and
    ``path`` is what the user wrote.
    """

    path: str
    root: Path
    listing: Listing
    sha256: str

    def files(self, part: str) -> list[str]:
        """Returns the names of a part's files, except its manifest."""
        names = [name.partition("/")[2] for name in self.listing.files if name.startswith(f"{part}/")]
        return [name for name in names if name != MANIFEST]

    def read(self, part: str, name: str) -> bytes:
        file = self.root / part / name
        if not file.is_file():
            raise damaged(self.path, f"{part}/{name} is missing")
        return file.read_bytes()

    def manifest(self, part: str) -> dict[str, Any]:
        """Returns the manifest of a part after comparing its list of files with the folder's list."""
        try:
            manifest = parsed_json(self.read(part, MANIFEST))
            listed = {name: str(file["sha256"]) for name, file in manifest["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise damaged(self.path, f"{part}/{MANIFEST} is not the manifest of a model") from None
        stored = {name: self.listing.files[f"{part}/{name}"].sha256 for name in self.files(part)}
        if listed != stored:
            name = next(n for n in sorted(listed | stored) if listed.get(n) != stored.get(n))
            raise damaged(self.path, f"the checksum of {part}/{name} is not the one in {part}/{MANIFEST}")
        return dict(manifest)

    def head(self) -> Head:
        """Returns the trained layers: arrays of an ONNX graph, which is not run."""
        try:
            # ONNX's reader opens external weight files, so a graph that has any is refused first.
            data = self.read(MODEL, HEAD)
            parse(data, None)
            head = Head.from_onnx(data)
            if head.to_onnx() != data:
                raise ValueError("not as written")
            return head
        except (SqlExtError, ValueError, KeyError, IndexError, TypeError) as error:
            if isinstance(error, SqlExtError) and error.error_class == "EXPORT_DAMAGED":
                raise
            raise damaged(self.path, f"{MODEL}/{HEAD} is not a head as this release writes it") from None

    def history(self) -> list[dict[str, Any]]:
        """Returns one row per epoch, without run_id, which publishing sets to the new run."""
        if HISTORY not in self.listing.files:
            return []
        try:
            # Timestamps are INT96 for Hive; microseconds are the precision that they were written with.
            table = parquet.read_table(self.root / HISTORY, coerce_int96_timestamp_unit="us", columns=list(COLUMNS))
            rows: list[dict[str, Any]] = table.drop_columns(["run_id"]).to_pylist()
        except (OSError, ValueError, KeyError) as error:
            raise damaged(self.path, f"{HISTORY} cannot be read ({type(error).__name__})") from None
        for row in rows:
            if row["recorded_at"] is not None:
                row["recorded_at"] = row["recorded_at"].replace(tzinfo=UTC)
        return rows

    def check_held_out(self) -> None:
        """:raises SqlExtError: EXPORT_DAMAGED if the file of held-out rows cannot be read or lacks columns."""
        if f"{MODEL}/{HELD_OUT}" not in self.listing.files:
            return
        try:
            columns = set(parquet.read_schema(self.root / MODEL / HELD_OUT).names)
        except (OSError, ValueError):
            columns = set()
        if not {"split", "row_hash", "label", "predicted_label", "score"} <= columns:
            raise damaged(self.path, f"{MODEL}/{HELD_OUT} does not hold held-out rows")


@contextmanager
def open_folder(files: Files, location: str, path: str) -> Iterator[ExportFolder]:
    """Yields a checked copy of the folder at ``location``.

    :raises SqlExtError: FILE_NOT_FOUND, UNKNOWN_FORMAT if it is not an export, EXPORT_DAMAGED, MODEL_FORMAT_TOO_NEW.
    """
    info = files.info(location)
    if info is None:
        raise SqlExtError("FILE_NOT_FOUND", path=path, looked_up=location)
    formats = (
        f"{', '.join(FORMATS)}; without FORMAT, a folder that EXPORT MODEL wrote (with {LISTING}) or an .onnx file"
    )
    if not info.is_folder:
        raise SqlExtError("UNKNOWN_FORMAT", format=f"'{path}'", formats=formats)
    try:
        listed = files.read(f"{location}/{LISTING}")
    except FileNotFoundError:
        raise SqlExtError("UNKNOWN_FORMAT", format=f"the folder '{path}'", formats=formats) from None
    listing = Listing.from_bytes(listed, path)
    with TemporaryDirectory(prefix="sqlext-import-") as folder:
        root = Path(folder) / "export"
        for name in listing.files:
            _fetch(files, location, path, root, name, listing)
        yield ExportFolder(path, root, listing, hashlib.sha256(listed).hexdigest())


def _fetch(files: Files, location: str, path: str, root: Path, name: str, listing: Listing) -> None:
    """Copies one file and compares it with the list."""
    wanted, info = listing.files[name], files.info(f"{location}/{name}")
    if info is None or info.is_folder:
        raise damaged(path, f"{name} is missing")
    if info.size != wanted.size:
        raise damaged(path, f"{name} has {info.size} bytes, but {wanted.size} were exported")
    to = root / name
    to.parent.mkdir(parents=True, exist_ok=True)
    found = files.local_copy(f"{location}/{name}", to.parent)
    if found != to:
        shutil.copyfile(found, to)
    if sha256(to) != wanted.sha256:
        raise damaged(path, f"{name} was changed after it was exported: its checksum differs")


__all__ = ["BACKBONE", "MODEL", "ExportFolder", "open_folder"]


# --- writing ----------------------------------------------------------------------------------------------------------


def stage(catalog: ModelCatalog, version: ModelVersion, staged: Path) -> Exported:
    """Writes the version to a local folder; the message names the backbone that is included."""
    manifest = _copy(catalog, version, staged / MODEL)
    backbone = recorded_backbone(catalog, manifest["backbone"], version) if manifest.get("backbone") else None
    if backbone is not None:
        _copy(catalog, backbone, staged / BACKBONE)
    if any(file.name == HISTORY for file in catalog.files.list(version.location)):
        _copy_file(catalog, f"{version.location}/{HISTORY}", staged / HISTORY)
    files = {p.relative_to(staged).as_posix(): p for p in sorted(staged.rglob("*")) if p.is_file()}
    stored = {name: Stored(p.stat().st_size, sha256(p)) for name, p in files.items()}
    listing = Listing(release(), _part(catalog, version), _part(catalog, backbone) if backbone else None, stored)
    (staged / LISTING).write_bytes(listing.to_bytes())
    size = listing.size_bytes + (staged / LISTING).stat().st_size
    message = f"with its backbone {backbone.name} version {backbone.version}" if backbone else None
    return Exported(size, sha256(staged / LISTING), message)


def _copy(catalog: ModelCatalog, version: ModelVersion, folder: Path) -> dict[str, Any]:
    """Copies the manifest and all files that it lists; returns the manifest.

    :raises SqlExtError: MODEL_FILES_MISSING.
    """
    manifest = catalog.read_manifest(version)
    for name in [MANIFEST, *manifest.get("files", {})]:
        if not catalog.files.exists(f"{version.model_folder}/{name}"):
            raise SqlExtError("MODEL_FILES_MISSING", model=version, path=f"{version.model_folder}/{name}")
        _copy_file(catalog, f"{version.model_folder}/{name}", folder / name)
    return manifest


def _copy_file(catalog: ModelCatalog, path: str, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    found = catalog.files.local_copy(path, to.parent)
    if found != to:
        shutil.copyfile(found, to)


def _part(catalog: ModelCatalog, version: ModelVersion) -> Part:
    entry = catalog.get(version.name)
    own = {k.removeprefix(PREFIX): v for k, v in version.parameters.items() if k.startswith(PREFIX)}
    parameters = {k: v for k, v in own.items() if k not in _OF_THE_PLACE and not k.startswith("alias.")}
    return Part(str(version.name), version.version, version.kind, entry.comment, entry.properties, parameters)
