"""Quotes names and texts for SQL that we generate, which both Spark's parser and ours read."""

from __future__ import annotations


def identifier(text: str) -> str:
    """Quotes a name with back-ticks."""
    return "`" + text.replace("`", "``") + "`"


def string_literal(text: str) -> str:
    """Quotes a string with Spark's escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
