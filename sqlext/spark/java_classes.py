"""The driver JVM's classes by name, each looked up once.

Py4J asks the JVM for every part of ``jvm.org.apache.hadoop.fs.Path`` at every use, and each time the JVM looks for a
class called ``org`` in every jar of the class path, then for ``org.apache``: 1 ms of processor time and more.
"""

from __future__ import annotations

from typing import Any

from py4j.java_gateway import JavaPackage
from pyspark.sql import SparkSession

_known: list[tuple[Any, Names]] = []  # of the JVM that runs: a process has one at a time


class Names:
    """A package: its attributes are packages and classes, as of ``spark._jvm``."""

    def __init__(self, package: Any) -> None:
        self._package = package

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._package, name)
        if isinstance(found, JavaPackage):
            found = Names(found)
        self.__dict__[name] = found
        return found


def java_classes(spark: SparkSession) -> Any:
    """The root of all packages, in the place of ``spark._jvm`` and for classes that are on the class path alone."""
    jvm: Any = spark._jvm
    if not _known or _known[0][0] is not jvm:
        _known[:] = [(jvm, Names(jvm))]
    return _known[0][1]
