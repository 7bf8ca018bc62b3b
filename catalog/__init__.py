"""The model register: models are tables of the Hive metastore, versions are their partitions.

The package itself loads no Spark: ``sqlext.catalog.names`` and ``.entry`` are plain values that tools without it use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sqlext.catalog.entry import ModelEntry, ModelVersion
from sqlext.catalog.names import ModelName, ModelRef, alias_name

if TYPE_CHECKING:
    from sqlext.catalog.drafts import Draft, new_id
    from sqlext.catalog.drop import Dropped
    from sqlext.catalog.facade import ModelCatalog
    from sqlext.catalog.runs import Run, RunStore

_MODULES = {
    "Draft": "drafts",
    "Dropped": "drop",
    "ModelCatalog": "facade",
    "Run": "runs",
    "RunStore": "runs",
    "new_id": "drafts",
}
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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
