"""Finds the network that turns images into features, and says what to do if it does not exist."""

from __future__ import annotations

from typing import Any

from sqlext.catalog.entry import ModelVersion
from sqlext.catalog.names import ModelName, ModelRef
from sqlext.catalog.reader import CatalogReader
from sqlext.errors import SqlExtError


def require_backbone(
    catalog: CatalogReader, reference: ModelRef, *, place: str | None = None, setting: str | None = None
) -> ModelVersion:
    """The version that a BACKBONE clause, embed() or a setting names; the caller needs SELECT on it.

    :param place: where the statement or function can name a backbone.
    :param setting: the key of the setting that ``reference`` comes from, if it comes from one.
    :raises SqlExtError: BACKBONE_NOT_FOUND with the existing backbones (or the IMPORT to run), NOT_A_BACKBONE,
        PERMISSION_DENIED.
    """
    entry = catalog.find(reference.name)
    if entry is None or entry.kind != "backbone":
        hint = _what_to_do(catalog, reference.name, place, setting)
        if entry is None:
            raise SqlExtError("BACKBONE_NOT_FOUND", model=reference.name, hint=hint)
        raise SqlExtError("NOT_A_BACKBONE", model=reference.name, kind=entry.kind, hint=hint)
    version = catalog.resolve(reference)
    catalog.check(version.name, "SELECT")
    return version


def _what_to_do(catalog: CatalogReader, wanted: ModelName, place: str | None, setting: str | None) -> str:
    existing = [str(entry.name) for entry in catalog.everywhere([]) if entry.kind == "backbone"]
    same = [name for name in existing if name.rpartition(".")[2] == wanted.name]
    if same and setting is None:
        return f"Did you mean {' or '.join(sorted(same)[:3])}?"
    if existing:
        places = " or in ".join(filter(None, (place, setting)))
        return f"Available backbones: {', '.join(sorted(existing)[:10])}; name one in {places}."
    origin = f" The name {wanted} comes from {setting}." if setting else ""
    return (
        f"No backbone has been imported yet. Run IMPORT MODEL {wanted} FROM 'file:/path/to/resnet50.onnx' FORMAT ONNX "
        "(docs/backbones.md describes where to get one) or, to try things out, "
        f"IMPORT MODEL {wanted} FROM 'sqlext:small' FORMAT ONNX.{origin}"
    )


def record_of(backbone: ModelVersion) -> dict[str, Any]:
    """What the manifest of a head says about its backbone; :func:`recorded_backbone` reads it."""
    return {
        "model": str(backbone.name),
        "model_id": backbone.model_id,
        "version": backbone.version,
        "location": backbone.location,
    }


def recorded_backbone(catalog: CatalogReader, recorded: dict[str, Any], model: ModelVersion) -> ModelVersion:
    """The exact backbone version that a head was trained on, found by its id, so that a rename does not matter.

    :raises SqlExtError: BACKBONE_MISSING; another version is never used in its place.
    """
    # SELECT on the backbone is not checked: whoever may use the head may use it with its backbone.
    hint = ModelName.of(recorded["model"].split("."), model.name.namespace)
    found = catalog.find_version(f"{recorded['model_id']}@{recorded['version']}", hint=hint)
    if found is not None:
        return found
    raise SqlExtError(
        "BACKBONE_MISSING",
        model=model.name,
        version=recorded["version"],
        backbone=recorded["model"],
        model_id=recorded["model_id"],
    )
