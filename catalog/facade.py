"""The models of a Hive metastore, as the rest of the package sees them. One object per session; it holds no state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
        """Starts a new version: fill the draft's folder ``local``, then :meth:`publish` it. The draft is a context manager.

        :raises SqlExtError: DATABASE_NOT_FOUND, NOT_A_MODEL, MODEL_KIND_MISMATCH, INVALID_MODEL_PROPERTY,
            PERMISSION_DENIED (for ALTER if the model exists, otherwise for CREATE).
        """
        return drafts.draft(self, name, kind, comment, properties, run_id)

    def publish(
        self,
        draft: Draft,
        history: Iterable[Mapping[str, Any]] = (),
        manifest: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        promote: bool = True,
        check: Callable[[], None] = lambda: None,
    ) -> ModelVersion:
        """Publishes a draft as the next version of its model.

        :param history: one row per epoch, keyed by the table's column names; ``run_id`` is added.
        :param manifest: the content of ``_model/manifest.json``; ``model_id``, ``run_id``, ``kind``, ``format_version``
            and, under ``files``, the size and SHA-256 of each file are added.
        :param parameters: parameters of the partition (``metric_name``, ``metric_value``, ``rows_trained``,
            ``backbone_id``, ...), each of at most 4,000 characters; the prefix ``sqlext.`` is added.
        :param promote: whether the version becomes the default unless another one is pinned.
        :param check: called at each attempt; what it raises is raised here, and nothing is published.
        :raises SqlExtError: those of :meth:`draft`, PUBLISH_CONFLICT, FOLDER_ACCESS_DENIED. Nothing is published then.
        """
        number = Publication(self, draft, manifest or {}, parameters or {}, promote, check).run(history)
        return self.get(draft.name).version(number)

    def set_alias(self, name: ModelName, alias: str, version: int) -> None:
        """:raises SqlExtError: MODEL_VERSION_NOT_FOUND, INVALID_ALIAS, PERMISSION_DENIED."""
        self.check(name, "ALTER")
        versions.set_alias(self, name, alias, version)

    def unset_alias(self, name: ModelName, alias: str) -> None:
        """:raises SqlExtError: ALIAS_NOT_FOUND, PERMISSION_DENIED."""
        self.check(name, "ALTER")
        versions.unset_alias(self, name, alias)

    def pin(self, name: ModelName, version: int) -> None:
        """Pins the default to a version, whatever is published later.

        :raises SqlExtError: MODEL_VERSION_NOT_FOUND, PERMISSION_DENIED.
        """
        self.check(name, "ALTER")
        versions.pin(self, name, version)

    def follow_latest(self, name: ModelName) -> ModelVersion:
        """Makes the newest version the default and removes the pin, so that later promoted versions become the default.

        :raises SqlExtError: MODEL_NOT_FOUND, PERMISSION_DENIED.
        """
        self.check(name, "ALTER")
        return versions.follow_latest(self, name)

    def set_parameters(self, version: ModelVersion, values: Mapping[str, str], unset: Iterable[str] = ()) -> None:
        """Sets and removes parameters of a version's partition; keys include their prefix.

        :raises SqlExtError: MODEL_VERSION_NOT_FOUND, VERSION_CONFLICT.
        """
        versions.set_parameters(self, version, values, unset)

    def replaceable(self, entry: ModelEntry) -> tuple[ModelVersion, ...]:
        """The versions that OR REPLACE removes with :meth:`drop_version` once the new version is published.

        :raises SqlExtError: BACKBONE_IN_USE, PERMISSION_DENIED.
        """
        return drop.replaceable(self, entry)

    def drop_model(self, name: ModelName) -> Dropped:
        """Removes a model with all its versions.

        :raises SqlExtError: MODEL_NOT_FOUND, NOT_A_MODEL, BACKBONE_IN_USE, PERMISSION_DENIED.
        """
        return drop.drop_model(self, name)

    def drop_version(self, name: ModelName, version: int) -> Dropped:
        """Removes one version, and the whole model with its last version.

        :raises SqlExtError: MODEL_VERSION_NOT_FOUND, DEFAULT_VERSION_DROP, ALIASED_VERSION, and those of
            :meth:`drop_model`.
        """
        return drop.drop_version(self, name, version)
