"""The models of a Hive metastore: what ``sqlext.catalog`` is for. One object per session; it keeps no state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlext.catalog import drafts, drop, versions
from sqlext.catalog.drafts import Draft
from sqlext.catalog.drop import Dropped
from sqlext.catalog.entry import ModelEntry, ModelVersion
from sqlext.catalog.names import ModelName
from sqlext.catalog.publish import Publication
from sqlext.catalog.reader import CatalogReader


class ModelCatalog(CatalogReader):
    """Reads and writes the models that the session ``spark`` can see."""

    # --- writing ----------------------------------------------------------------------------------------------

    def draft(
        self,
        name: ModelName,
        kind: str,
        comment: str | None = None,
        properties: Mapping[str, str] | None = None,
        run_id: str | None = None,
    ) -> Draft:
        """A version to be: fill its folder ``local``, then :meth:`publish`. A context manager.

        :raises SqlExtError: DATABASE_NOT_FOUND, NOT_A_MODEL, MODEL_KIND_MISMATCH, INVALID_MODEL_PROPERTY,
            PERMISSION_DENIED (ALTER of a model that is there, else CREATE).
        """
        return drafts.draft(self, name, kind, comment, properties, run_id)

    def publish(
        self,
        made: Draft,
        history: Iterable[Mapping[str, Any]] = (),
        manifest: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        promote: bool = True,
    ) -> ModelVersion:
        """Makes a draft the next version of its model.

        :param history: a row per epoch by the table's column names; ``run_id`` is filled in.
        :param manifest: goes into ``_model/manifest.json``, with ``model_id``, ``run_id``, ``kind``, ``format_version``
            and the size and sha256 of each of the ``files`` added.
        :param parameters: of the partition (``metric_name``, ``metric_value``, ``rows_trained``, ``backbone_id``, ...);
            the prefix ``sqlext.`` is added. Values up to 4,000 characters.
        :raises SqlExtError: as :meth:`draft`, PUBLISH_CONFLICT, FOLDER_ACCESS_DENIED. Nothing is published then.
        """
        number = Publication(self, made, manifest or {}, parameters or {}, promote).run(history)
        return self.get(made.name).version(number)

    def set_alias(self, name: ModelName, alias: str, version: int) -> None:
        """:raises SqlExtError: MODEL_VERSION_NOT_FOUND, INVALID_ALIAS, PERMISSION_DENIED."""
        self.check(name, "ALTER")
        versions.set_alias(self, name, alias, version)

    def unset_alias(self, name: ModelName, alias: str) -> None:
        """:raises SqlExtError: ALIAS_NOT_FOUND, PERMISSION_DENIED."""
        self.check(name, "ALTER")
        versions.unset_alias(self, name, alias)

    def pin(self, name: ModelName, version: int) -> None:
        """Keeps the default at a version, whatever is published later.

        :raises SqlExtError: MODEL_VERSION_NOT_FOUND, PERMISSION_DENIED.
        """
        self.check(name, "ALTER")
        versions.pin(self, name, version)

    def follow_latest(self, name: ModelName) -> ModelVersion:
        """Makes the newest version the default and ends a pin: later promoted versions follow.

        :raises SqlExtError: MODEL_NOT_FOUND, PERMISSION_DENIED.
        """
        self.check(name, "ALTER")
        return versions.follow_latest(self, name)

    def set_parameters(self, version: ModelVersion, values: Mapping[str, str], unset: Iterable[str] = ()) -> None:
        """Changes parameters of a version's partition (full keys).

        :raises SqlExtError: MODEL_VERSION_NOT_FOUND, VERSION_CONFLICT.
        """
        versions.set_parameters(self, version, values, unset)

    def replaceable(self, entry: ModelEntry) -> tuple[ModelVersion, ...]:
        """What OR REPLACE will remove with :meth:`drop_version`, once the new version is published.

        :raises SqlExtError: BACKBONE_IN_USE, PERMISSION_DENIED.
        """
        return drop.replaceable(self, entry)

    def drop_model(self, name: ModelName) -> Dropped:
        """Removes a model with all versions.

        :raises SqlExtError: MODEL_NOT_FOUND, NOT_A_MODEL, BACKBONE_IN_USE, PERMISSION_DENIED.
        """
        return drop.drop_model(self, name)

    def drop_version(self, name: ModelName, version: int) -> Dropped:
        """Removes one version; the last one takes the model with it.

        :raises SqlExtError: MODEL_VERSION_NOT_FOUND, DEFAULT_VERSION_DROP, ALIASED_VERSION, those of
            :meth:`drop_model`.
        """
        return drop.drop_version(self, name, version)
