"""Small models for the tests of the catalog."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from sqlext.catalog import ModelCatalog, ModelName, ModelVersion

RECORDED = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)


def epochs(count: int) -> list[dict[str, Any]]:
    return [{"epoch": i, "iteration": 10 * i, "loss": 1 / i, "recorded_at": RECORDED} for i in range(1, count + 1)]


def publish(
    catalog: ModelCatalog,
    name: ModelName,
    *,
    kind: str = "classifier",
    history: list[dict[str, Any]] | None = None,
    promote: bool = True,
    **parameters: str,
) -> ModelVersion:
    """Publishes a version whose ``_model/`` contains two files; its history has two epochs unless ``history`` is passed."""
    with catalog.draft(name, kind, comment="a comment") as draft:
        (draft.local / "head.onnx").write_bytes(b"weights")
        (draft.local / "deep").mkdir()
        (draft.local / "deep" / "decoy.parquet").write_bytes(b"no parquet")
        rows = epochs(2) if history is None else history
        return catalog.publish(draft, rows, {"labels": ["ant", "bee"]}, parameters, promote)


def local(location: str) -> Path:
    """The folder behind a Hadoop path on this machine."""
    return Path(urlparse(location).path)


def folders(location: str) -> set[str]:
    """The names of all files and folders in a folder."""
    path = local(location)
    return {child.name for child in path.iterdir()} if path.exists() else set()
