"""The classes of the driver's JVM by name, each looked up only once.

At every use of ``jvm.org.apache.hadoop.fs.Path``, Py4J asks the JVM about every part of the name. Each time the JVM searches
all jars of the class path for a class called ``org``, then for ``org.apache``, which costs 1 ms of CPU or more.
"""

from __future__ import annotations

from typing import Any

from py4j.java_gateway import JavaPackage
from pyspark.sql import SparkSession

_known: list[tuple[Any, Names]] = []  # at most one entry, for the current JVM: a process has one at a time


class Names:
    """A package. Its attributes are packages and classes, like those of ``spark._jvm``."""

    def __init__(self, package: Any) -> None:
        self._package = package

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._package, name)
        if isinstance(found, JavaPackage):
            found = Names(found)
        # Python calls __getattr__ only for names that are not in __dict__, so each one is looked up once.
        self.__dict__[name] = found
        return found


def java_classes(spark: SparkSession) -> Any:
    """The root of all packages, to use in place of ``spark._jvm`` for classes that are on the driver's class path."""
    jvm: Any = spark._jvm
    if not _known or _known[0][0] is not jvm:
        _known[:] = [(jvm, Names(jvm))]
    return _known[0][1]
