"""Which models need a backbone. DROP and PURGE ask, and remove no backbone while the answer is not known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlext.catalog.entry import BACKBONE, ModelVersion
from sqlext.catalog.metastore import Unread
from sqlext.catalog.names import ModelName
from sqlext.catalog.reader import CatalogReader


@dataclass(frozen=True)
class BackboneUsers:
    """The models that need each backbone version, by the version's id. Models in ``unread`` may need any of them.

    A metastore that leaves a database or table out of its lists for a caller does not say so: models there are unknown.
    """

    models: Mapping[str, set[ModelName]] = field(default_factory=dict)
    unread: Sequence[Unread] = ()

    def of(self, version: ModelVersion) -> list[ModelName]:
        return sorted(self.models.get(version.id, ())) if version.kind == BACKBONE else []


def backbone_users(catalog: CatalogReader) -> BackboneUsers:
    models: defaultdict[str, set[ModelName]] = defaultdict(set)
    unread: list[Unread] = []
    for entry in catalog.everywhere(unread):
        for version in entry.versions:
            if version.backbone_id:
                models[version.backbone_id].add(entry.name)
    return BackboneUsers(models, unread)
