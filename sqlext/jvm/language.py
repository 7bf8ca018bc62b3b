"""All that the shim knows of the language: the first words of statements, functions, settings and its own errors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from sqlext import did_you_mean
from sqlext.errors import ERROR_CLASSES, RAISED_BY_JVM
from sqlext.grammar.pasted import ZERO_WIDTH
from sqlext.settings import SETTINGS
from sqlext.statements import STATEMENTS
from sqlext.udfs import FUNCTIONS, TABLE_FUNCTIONS

# Not part of the language: bindings call these functions in their steps, with keys that only the bindings know.
INTERNAL: tuple[dict[str, Any], ...] = (
    {
        "name": "sqlext_vector_to_array",
        "usage": "_FUNC_(vector) - The values of an ML vector; internal to bigdl-sqlext.",
        "arguments": "",
        "examples": "",
        "native": "org.apache.spark.sql.sqlext.VectorToArray",
    },
    {
        "name": "sqlext_bigdl_forward",
        "usage": "_FUNC_(key, features) - The forward pass of a BigDL module; internal to bigdl-sqlext.",
        "arguments": "",
        "examples": "",
        "native": "org.apache.spark.sql.sqlext.BigDLForward",
    },
)


def language() -> dict[str, Any]:
    """The contents of ``META-INF/sqlext/language.json``, from the Python lists; ``digest`` is their hash."""
    content: dict[str, Any] = {
        "version": _version(),
        "heads": [list(head) for statement in STATEMENTS for head in statement.HEADS],
        "near_misses": {"first": did_you_mean.FIRST_WORDS, "inside": did_you_mean.INSIDE},
        "zero_width": ZERO_WIDTH,
        "functions": [*(_function(f) for f in FUNCTIONS), *INTERNAL],
        "table_functions": [{**_function(f), "schema": schema(f.OUTPUT)} for f in TABLE_FUNCTIONS],
        "settings": [_setting(s) for s in SETTINGS],
        "errors": {name: ERROR_CLASSES[name] for name in RAISED_BY_JVM},
    }
    return {**content, "digest": digest(content)}


def digest(content: dict[str, Any]) -> str:
    """SHA-256 of everything except the digest itself and the version."""
    hashed = {k: v for k, v in content.items() if k not in ("digest", "version")}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def _function(function: Any) -> dict[str, Any]:
    return {
        "name": function.name,
        "signature": function.signature,
        "usage": getattr(function, "usage", ""),
        "arguments": _section("Arguments", getattr(function, "arguments", "")),
        "examples": _section("Examples", getattr(function, "examples", "")),
        "native": getattr(function, "native", None),
    }


def schema(columns: Mapping[str, str]) -> str:
    """Result columns as DDL."""
    return ", ".join(f"`{name}` {kind}" for name, kind in columns.items())


def _section(title: str, lines: str | list[str] | tuple[str, ...]) -> str:
    """A section in the form that Spark's ExpressionInfo requires: the title on a separate line, everything indented."""
    text = [line.strip() for line in (lines.splitlines() if isinstance(lines, str) else lines)]
    body = [line for line in text if line and line != f"{title}:"]
    return f"\n    {title}:\n" + "".join(f"      {line}\n" for line in body) + "  " if body else ""


def _setting(setting: Any) -> dict[str, Any]:
    return {k: getattr(setting, k) for k in ("name", "type", "default", "static", "doc")}


def _version() -> str:
    try:
        return metadata.version("bigdl-sqlext")
    except metadata.PackageNotFoundError:  # during the build of the package itself
        return "0.1.0"
