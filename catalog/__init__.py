"""The model register: models are tables of the Hive metastore, versions are their partitions."""

from __future__ import annotations

from sqlext.catalog.drafts import Draft, new_id
from sqlext.catalog.drop import Dropped
from sqlext.catalog.entry import ModelEntry, ModelVersion
from sqlext.catalog.facade import ModelCatalog
from sqlext.catalog.names import ModelName, ModelRef, alias_name
from sqlext.catalog.runs import Run, RunStore

__all__ = [
    "Draft",
    "Dropped",
    "ModelCatalog",
    "ModelEntry",
    "ModelName",
    "ModelRef",
    "ModelVersion",
    "Run",
    "RunStore",
    "alias_name",
    "new_id",
]
