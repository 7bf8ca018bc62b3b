"""``FORMAT f`` of IMPORT and EXPORT MODEL: the formats there are, and those that are known by name alone."""

from __future__ import annotations

from sqlext.errors import SqlExtError
from sqlext.tokens import TokenReader

FORMATS = ("ONNX", "BIGDL")
LATER = ("CAFFE", "TENSORFLOW", "KERAS", "TORCH")


def read_format(reader: TokenReader, verb: str) -> str:
    """The word behind FORMAT in upper case.

    :raises SqlExtError: FEATURE_NOT_AVAILABLE, UNKNOWN_FORMAT.
    """
    offset = reader.offset
    name = reader.identifier(f"a format: {' or '.join(FORMATS)}").upper()
    if name in LATER:
        raise SqlExtError("FEATURE_NOT_AVAILABLE", feature=f"{verb} .. FORMAT {name}", offset=offset)
    if name not in FORMATS:
        raise SqlExtError("UNKNOWN_FORMAT", format=name, formats=", ".join(FORMATS), offset=offset)
    return name
