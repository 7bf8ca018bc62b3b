"""Deep learning on the images in Hive tables, in SQL alone (README.md)."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlext.session import attach, configure, session

__all__ = ["attach", "configure", "session"]


def _lazy(name: str) -> Any:
    # The setter ignores Python's own: importing the module sqlext.session binds it to the name of the function.
    return property(lambda _: getattr(import_module("sqlext.session"), name), lambda _, value: None)


class _Package(ModuleType):
    """The three functions, imported when they are asked for: the command line's help and the set-up need no Spark."""

    attach, configure, session = (_lazy(name) for name in __all__)


sys.modules[__name__].__class__ = _Package
