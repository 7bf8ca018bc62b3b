"""Deep learning on the images in Hive tables, using only SQL (README.md)."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlext.session import attach, configure, session

__all__ = ["attach", "configure", "session"]


def _lazy(name: str) -> Any:
    # On import, Python binds the module sqlext.session to the function's name `session`; the setter ignores this.
    return property(lambda _: getattr(import_module("sqlext.session"), name), lambda _, value: None)


class _Package(ModuleType):
    """Imports the three functions on first use, because the command line's help and the build need no Spark."""

    attach, configure, session = (_lazy(name) for name in __all__)


sys.modules[__name__].__class__ = _Package
