"""Names of the files and folders of models, and the release that writes them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version as version_of

MANIFEST = "manifest.json"  # in a version's _model/
DROPPED = "_dropped"  # in a model's folder: a mark per dropped version


@cache
def release() -> str:
    """The version of this package. Not a constant: the build imports this module before the package is installed."""
    return version_of("bigdl-sqlext")
