"""Publishes a new version of a model: files first, then one createPartitions call.

A crash before that call leaves a folder that nobody reads; after it, the version is complete. A version's number is 1 + the
highest number among the table's partitions, its ``v<N>-*`` folders and its ``_dropped/<N>`` marks; no number is used twice.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyspark.errors.exceptions.base import PySparkException

from sqlext.catalog.drafts import MAX_VALUE, Draft, check_properties, folder_of, identity, new_id
from sqlext.catalog.entry import (
    FORMAT,
    FORMAT_VERSION,
    KIND,
    MODEL_ID,
    PREFIX,
    PROMOTED,
    PROPERTY,
    RELEASE,
    RUN_ID,
    path_of,
    version_number,
)
from sqlext.catalog.history import write_history
from sqlext.catalog.layout import DROPPED, HISTORY, MANIFEST, MODEL_FOLDER, release
from sqlext.catalog.reader import CatalogReader
from sqlext.catalog.versions import retrying
from sqlext.errors import SqlExtError

_FOLDER = re.compile(r"v(\d+)-(.+)")
_ATTEMPTS = 60


class _RacedError(Exception):
    """Another session took the name or the number first: look again."""


class Publication:
    """One publish, with its retries. Each step has a name, so that tests can interrupt after it."""

    def __init__(
        self,
        catalog: CatalogReader,
        draft: Draft,
        manifest: Mapping[str, Any],
        parameters: Mapping[str, str],
        promote: bool,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.catalog = catalog
        self.files = catalog.files
        self.metastore = catalog.metastore
        self.draft = draft
        self.manifest = manifest
        self.parameters = check_properties(parameters)
        self.promote = promote
        self.check = check
        self.created_at = datetime.now(UTC).isoformat()
        self.created_by = catalog.metastore.user()
        self.database_folder = catalog.metastore.database_location(draft.name.namespace)
        self.folder: str | None = None  # where the files are now
        self.written_for: str | None = None  # the model_id in the manifest in that folder
        self.committing = False

    def run(self, history: Iterable[Mapping[str, Any]]) -> int:
        """Publishes the version and returns its number.

        :raises SqlExtError: PUBLISH_CONFLICT, NOT_A_MODEL, FOLDER_ACCESS_DENIED. Nothing is published then.
        """
        rows = list(history)
        if rows:
            write_history(rows, self.draft.run_id, self.draft.version_folder / HISTORY)
        try:
            return retrying(_RacedError, _ATTEMPTS)(self._attempt)
        except Exception as error:
            # If the metastore was asked, the partition may exist although the answer was lost, and its files must stay.
            if not self.committing:
                self._discard()
            if isinstance(error, _RacedError):
                raise SqlExtError("PUBLISH_CONFLICT", model=self.draft.name, attempts=_ATTEMPTS) from None
            raise

    def _attempt(self) -> int:
        name = self.draft.name
        table = self._adopt()
        # After _adopt: if the model is dropped later than this check, the commit fails, and the next attempt checks again.
        self.check()
        # Folders of unfinished publishes count as well, so that two trainings that upload at once rarely want the same number.
        number = 1 + max(self._taken() | self._begun(), default=0)
        self._place(number)
        self.catalog.after("publish.uploaded")
        if table is None and not self.metastore.create_table(
            name, self.draft.folder, self._table_properties(), self.draft.comment
        ):
            raise _RacedError  # another session has just created this model: use its table
        self.catalog.after("publish.table")
        if max(self._taken(), default=0) >= number:
            raise _RacedError  # the number was published, or even dropped, during our upload
        self._commit(number)
        self.catalog.after("publish.partition")
        return number

    def _adopt(self) -> dict[str, Any] | None:
        """The model's table, or None if it does not exist yet; the draft takes over the table's model_id and folder."""
        table = self.catalog.model_table(self.draft.name)
        found = identity(self.draft.name, self.draft.kind, table)
        if table is not None and found is not None:
            self.draft.model_id, self.draft.folder, self.draft.existing = found, path_of(table), True
        elif self.draft.existing:
            # The model was dropped in the meantime. It gets a new id: '<model_id>@<version>' must never mean two versions.
            self.draft.model_id, self.draft.existing = new_id(), False
            self.draft.folder = folder_of(self.database_folder, self.draft.name, self.draft.model_id)
        return table

    def _taken(self) -> set[int]:
        """Numbers of partitions, including those that others created, and of dropped versions."""
        partitions = {version_number(p) or 0 for p in self.metastore.partitions(self.draft.name)}
        marks = {int(f.name) for f in self.files.list(f"{self.draft.folder}/{DROPPED}") if f.name.isdecimal()}
        return partitions | marks

    def _begun(self) -> set[int]:
        """Numbers in the folder names of other versions, published or not."""
        folders = (_FOLDER.fullmatch(f.name) for f in self.files.list(self.draft.folder))
        return {int(m[1]) for m in folders if m and m[2] != self.draft.run_id}

    def _place(self, number: int) -> None:
        """Puts the files into the folder of that number: an upload the first time, a rename after a lost race."""
        target = f"{self.draft.folder}/v{number}-{self.draft.run_id}"
        if self.folder != target:
            self.files.make_folder(self.draft.folder, self.database_folder)
        if self.folder is None:
            # Set before the upload, so that a part of it is removed if it fails.
            self.folder = target
            self.files.upload(self.draft.version_folder, target)
            self.files.share_all(target, self.database_folder)
            self.catalog.after("publish.uploading")
        elif self.folder != target:
            before, self.folder = self.folder, target
            self.files.rename(before, target)
            # If the race was for the model's name, our folder for the model is now empty. Otherwise this has no effect.
            self.files.delete(posixpath.dirname(before))
        # Last: a folder without a manifest is recognised as an upload that did not end (orphans.py).
        if self.written_for != self.draft.model_id:
            self.files.write(f"{target}/{MODEL_FOLDER}/{MANIFEST}", self._manifest())
            self.written_for = self.draft.model_id

    def _commit(self, number: int) -> None:
        assert self.folder is not None
        self.committing = True
        try:
            created = self.metastore.create_partition(
                self.draft.name, number, self.folder, self._partition_parameters()
            )
        except PySparkException:
            # The model was dropped during the upload: the next attempt creates it again, under a new id.
            if self.metastore.table(self.draft.name) is not None:
                raise
            created = False
        # A metastore client that retries after a lost connection finds the partition that it has created itself.
        if not created and self.folder not in map(path_of, self.metastore.partitions(self.draft.name)):
            self.committing = False
            raise _RacedError

    def _discard(self) -> None:
        """Removes the uploaded files, which nobody can have read."""
        if self.folder is not None:
            with suppress(Exception):
                self.files.delete(self.folder, recursive=True)
                self.files.delete(posixpath.dirname(self.folder))

    def _table_properties(self) -> dict[str, str]:
        own = {KIND: self.draft.kind, MODEL_ID: self.draft.model_id, FORMAT: str(FORMAT_VERSION), RELEASE: release()}
        return own | {PROPERTY + key: value for key, value in self.draft.properties.items()}

    def _partition_parameters(self) -> dict[str, str]:
        texts = {PREFIX + "comment": self.draft.comment, PREFIX + "statement": self.manifest.get("statement")}
        short_enough = {key: text for key, text in texts.items() if text and len(text) <= MAX_VALUE}
        requested = {PREFIX + key.removeprefix(PREFIX): value for key, value in self.parameters.items()}
        return {
            **short_enough,
            **requested,
            # After the requested ones, so that no caller can replace what the catalog relies on.
            RUN_ID: self.draft.run_id,
            PROMOTED: "true" if self.promote else "false",
            FORMAT: str(FORMAT_VERSION),
            RELEASE: release(),
            PREFIX + "created_by": self.created_by,
            PREFIX + "created_at": self.created_at,
            PREFIX + "size_bytes": str(sum(f["size"] for f in self._described().values())),
        }

    def _manifest(self) -> bytes:
        """The manifest. It contains neither the model's name nor the version's number: RENAME and lost races change them."""
        own = {
            "format_version": FORMAT_VERSION,
            "release": release(),
            "model_id": self.draft.model_id,
            "run_id": self.draft.run_id,
            "kind": self.draft.kind,
            "created_by": self.created_by,
            "created_at": self.created_at,
            "files": self._described(),
        }
        return json.dumps({**self.manifest, **own}, indent=1, ensure_ascii=False).encode()

    def _described(self) -> dict[str, dict[str, Any]]:
        """Size and SHA-256 of each file in ``_model/``, keyed by its path below that folder; computed once."""
        if not hasattr(self, "_files"):
            paths = sorted(p for p in self.draft.local.rglob("*") if p.is_file())
            self._files = {
                p.relative_to(self.draft.local).as_posix(): {"size": p.stat().st_size, "sha256": sha256(p)}
                for p in paths
            }
        return self._files


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
