"""Names and texts as they stand in SQL that we write: for Spark's parser and for ours."""

from __future__ import annotations


def identifier(text: str) -> str:
    """In back-ticks."""
    return "`" + text.replace("`", "``") + "`"


def string_literal(text: str) -> str:
    """In quotes, with Spark's escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
