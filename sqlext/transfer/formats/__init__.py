"""What IMPORT and EXPORT MODEL have in common: ``FORMAT f`` and the result columns."""

from __future__ import annotations

from collections.abc import Mapping

from sqlext.errors import SqlExtError
from sqlext.grammar.reader import TokenReader

FORMATS = ("ONNX", "BIGDL")
LATER = ("CAFFE", "TENSORFLOW", "KERAS", "TORCH")  # known by name alone

MOVED: Mapping[str, str] = {
    "model": "STRING",
    "version": "INT",
    "format": "STRING",
    "location": "STRING",
    "size_bytes": "BIGINT",
    "sha256": "STRING",
    "status": "STRING",
    "message": "STRING",
    "is_default": "BOOLEAN",
}
"""Result columns."""


def read_format(reader: TokenReader, verb: str) -> str:
    """The word behind FORMAT in upper case.

    :raises SqlExtError: UNKNOWN_FORMAT.
    """
    offset = reader.offset
    name = reader.identifier(f"a format: {' or '.join(FORMATS)}").upper()
    if name in LATER:
        reader.later(f"{verb} .. FORMAT {name}", offset)
    elif name not in FORMATS:
        raise SqlExtError("UNKNOWN_FORMAT", format=name, formats=", ".join(FORMATS), offset=offset)
    return name
