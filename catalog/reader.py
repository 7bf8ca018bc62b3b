"""Reading the models of a Hive metastore."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sqlext.catalog.entry import FORMAT_VERSION, MODEL_ID, ModelEntry, ModelVersion, entry
from sqlext.catalog.files import Files
from sqlext.catalog.layout import MANIFEST, release
from sqlext.catalog.metastore import Metastore, Unread, noting
from sqlext.catalog.names import CATALOG, DEFAULT, LATEST, ModelName, ModelRef, name_pattern
from sqlext.errors import SqlExtError, nearest
from sqlext.text import identifier

_SEARCHED = 200  # databases that a proposal is looked for in


def _nothing(step: str) -> None:
    """The default of ``after``, which is called after each step of a publish or drop; tests interrupt the steps there."""


class CatalogReader:
    """The models that the session ``spark`` can see; it keeps no state. ``after`` is called after each step of a writer."""

    def __init__(self, spark: SparkSession, after: Callable[[str], None] = _nothing) -> None:
        self.spark = spark
        self.metastore = Metastore(spark)
        self.files = Files(spark)
        self.after = after

    # --- reading ----------------------------------------------------------------------------------------------

    def current_namespace(self) -> str:
        """The current database of the session catalog, where models are; `default` while another catalog is current."""
        return str(self.metastore.current_database())

    def current_place(self) -> str:
        """Where unqualified tables are looked up: a database of the session catalog, or SQL with the name of another catalog."""
        parts = self.metastore.current_place()
        return self.current_namespace() if parts[0] == CATALOG else ".".join(map(identifier, parts))

    def find(self, name: ModelName) -> ModelEntry | None:
        """The model, or None if no table has that name or the table has no version.

        :raises SqlExtError: NOT_A_MODEL for any other table or view, MODEL_FORMAT_TOO_NEW.
        """
        table = self.model_table(name)
        found = None if table is None else entry(name, table, self.metastore.partitions(name))
        if found is not None:
            _check_format(found.name, found.format_version, found.release)
        return found

    def get(self, name: ModelName) -> ModelEntry:
        """The model of that name.

        :raises SqlExtError: MODEL_NOT_FOUND with the nearest names, DATABASE_NOT_FOUND, and those of :meth:`find`.
        """
        found = self.find(name)
        if found is None:
            self.metastore.database_location(name.namespace)
            raise SqlExtError("MODEL_NOT_FOUND", model=name, hint=self.instead_of(name))
        return found

    def instead_of(self, name: ModelName) -> str:
        """What to write for a model that does not exist: its name in another database, or the names of its own database."""
        # Mostly a name without its database, while another database is current.
        if elsewhere := list(islice(self._elsewhere(name), 3)):
            return f"Did you mean {' or '.join(map(str, elsewhere))}?"
        return nearest(str(name), (str(ModelName(name.namespace, known)) for known in self.names(name.namespace)))

    def _elsewhere(self, name: ModelName) -> Iterator[ModelName]:
        """The models of that name in other databases that the caller may SELECT; one metastore call for each database."""
        for namespace in self.metastore.databases()[:_SEARCHED]:
            other = ModelName(namespace, name.name)
            with suppress(SqlExtError, Py4JJavaError, PySparkException):  # what cannot be read is no proposal
                if other != name and self.find(other) is not None:
                    self.check(other, "SELECT")
                    yield other

    def resolve(self, ref: ModelRef) -> ModelVersion:
        """The version that a reference means at this moment.

        :raises SqlExtError: MODEL_VERSION_NOT_FOUND, ALIAS_NOT_FOUND, MODEL_FORMAT_TOO_NEW, and those of :meth:`get`.
        """
        found = self.get(ref.name)
        if ref.version is not None:
            version = found.version(ref.version)
        elif ref.alias in (None, DEFAULT):
            version = found.default
        elif ref.alias == LATEST:
            version = found.latest
        elif ref.alias in found.aliases:
            version = found.aliases[ref.alias]
        else:
            hint = nearest(str(ref.alias), found.aliases)
            raise SqlExtError("ALIAS_NOT_FOUND", model=ref.name, alias=ref.alias, hint=hint)
        # The table has the format of the first version; a later release may have written this version in a newer one.
        _check_format(str(version), version.format_version, version.parameters.get("sqlext.release", "?"))
        return version

    def names(self, namespace: str, pattern: str | None = None) -> list[str]:
        """The names of a database's models, in two metastore calls; empty for a database that does not exist."""
        return sorted(table["identifier"]["table"] for table in self._model_tables(namespace, pattern))

    def list(self, namespace: str, pattern: str | None = None) -> list[ModelEntry]:
        """The models of a database, sorted by name, in two metastore calls and one more per model.

        :param pattern: a pattern as in Spark's SHOW TABLES, with ``*`` and ``|``; ``%`` means ``*``.
        :raises SqlExtError: DATABASE_NOT_FOUND.
        """
        self.metastore.database_location(namespace)
        found = []
        for table in self._model_tables(namespace, pattern):
            name = ModelName(namespace, table["identifier"]["table"])
            found.append(entry(name, table, self.metastore.partitions(name)))
        return sorted((e for e in found if e is not None), key=lambda e: e.name)

    def model_table(self, name: ModelName) -> dict[str, Any] | None:
        """The table of a model as JSON, even if the model has no version; None if no table has that name.

        :raises SqlExtError: NOT_A_MODEL for any other table or view.
        """
        table = self.metastore.table(name)
        if table is not None and MODEL_ID not in table["properties"]:
            kind = "view" if table["tableType"]["name"] == "VIEW" else "table"
            raise SqlExtError("NOT_A_MODEL", table=name, kind=kind)
        return table

    def _model_tables(self, namespace: str, pattern: str | None) -> Sequence[dict[str, Any]]:
        matches = name_pattern(pattern)
        names = [name for name in self.metastore.table_names(namespace) if matches(name)]
        tables = self.metastore.tables(namespace, names) if names else []
        return [table for table in tables if MODEL_ID in table["properties"]]

    # --- rights and references --------------------------------------------------------------------------------

    def check(self, name: ModelName, right: str) -> None:
        """Lets the session's authorization extensions refuse SELECT, ALTER, DROP or CREATE on a model's table.

        :raises SqlExtError: PERMISSION_DENIED.
        """
        location = self.metastore.database_location(name.namespace) if right == "CREATE" else ""
        self.metastore.check(name, right, f"{location}/{name.name}")

    def everywhere(self, unread: MutableSequence[Unread]) -> Iterator[ModelEntry]:
        """The models of all databases, without those that the metastore hides from the caller.

        :param unread: gets the databases and tables that cannot be read.
        """
        for name, table in self.model_tables_everywhere(unread):
            found = None
            with noting(unread, name):
                found = entry(name, table, self.metastore.partitions(name))
            if found is not None:
                yield found

    def find_version(self, version_id: str, hint: ModelName | None = None) -> ModelVersion | None:
        """The version with the id ``<model_id>@<version>``, whatever its model is called now; ``hint`` is tried first."""
        model_id, _, number = version_id.partition("@")
        # The name that was recorded is usually still right; a search reads the tables of all databases.
        table = self.metastore.table(hint) if hint else None
        if hint is None or table is None or table["properties"].get(MODEL_ID) != model_id:
            hint = next((name for name in self._holders(model_id)), None)
        found = None if hint is None else self.find(hint)
        return next((v for v in found.versions if v.version == int(number)), None) if found else None

    def _holders(self, model_id: str) -> Iterator[ModelName]:
        """The model with this id.

        :raises SqlExtError: PERMISSION_DENIED if it was not found and may be in a database or table that cannot be read.
        """
        unread: list[Unread] = []
        for name, table in self.model_tables_everywhere(unread):
            if table["properties"][MODEL_ID] == model_id:
                yield name
        if unread:
            raise unread[0].denied(f"the model with the id {model_id} was not found elsewhere")

    def model_tables_everywhere(self, unread: MutableSequence[Unread]) -> Iterator[tuple[ModelName, dict[str, Any]]]:
        """The model tables of all databases as JSON, including those without a version.

        :param unread: gets the databases and tables that cannot be read.
        """
        for namespace in self.metastore.databases():
            tables: Sequence[dict[str, Any]] = []
            with noting(unread, namespace):
                tables = self._tables(namespace, unread)
            for table in tables:
                if MODEL_ID in table["properties"]:
                    yield ModelName(namespace, table["identifier"]["table"]), table

    def _tables(self, namespace: str, unread: MutableSequence[Unread]) -> Sequence[dict[str, Any]]:
        """All tables of a database, sorted by name; ``unread`` gets those that are listed but not returned."""
        names = self.metastore.table_names(namespace)
        tables = self.metastore.tables(namespace, names) if names else []
        if missing := set(names) - {table["identifier"]["table"] for table in tables}:
            missing &= set(self.metastore.table_names(namespace))  # the others were dropped in the meantime
            unread.extend(Unread(f"{namespace}.{name}", "the metastore does not return it") for name in sorted(missing))
        return sorted(tables, key=lambda table: str(table["identifier"]["table"]))

    # --- files of a version -----------------------------------------------------------------------------------

    def read_manifest(self, version: ModelVersion) -> dict[str, Any]:
        """The content of the version's ``_model/manifest.json``.

        :raises SqlExtError: MODEL_FILES_MISSING, FOLDER_ACCESS_DENIED.
        """
        manifest: dict[str, Any] = json.loads(self.read_bytes(version, MANIFEST))
        return manifest

    def read_bytes(self, version: ModelVersion, file: str) -> bytes:
        """The whole content of a file in the version's ``_model/``.

        :raises SqlExtError: MODEL_FILES_MISSING, FOLDER_ACCESS_DENIED.
        """
        try:
            return self.files.read(f"{version.model_folder}/{file}")
        except FileNotFoundError as error:
            raise SqlExtError("MODEL_FILES_MISSING", model=version, path=str(error)) from None

    def local_copy(self, version: ModelVersion, file: str, folder: Path | None = None) -> Path:
        """A file of the version's ``_model/`` on this machine: the file itself if it is local, otherwise a copy.

        :param folder: where the copy goes; None: a new temporary folder.

        :raises SqlExtError: MODEL_FILES_MISSING, FOLDER_ACCESS_DENIED.
        """
        path = f"{version.model_folder}/{file}"
        if not self.files.exists(path):
            raise SqlExtError("MODEL_FILES_MISSING", model=version, path=path)
        return self.files.local_copy(path, folder)


def _check_format(what: object, found: int, writer: str) -> None:
    if found > FORMAT_VERSION:
        values: dict[str, Any] = {"format": found, "release": writer, "this": release(), "known": FORMAT_VERSION}
        raise SqlExtError("MODEL_FORMAT_TOO_NEW", model=what, **values)
