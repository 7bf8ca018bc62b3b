"""The formats of IMPORT and EXPORT MODEL, including the folder of an EXPORT: one module per format.

The module of a format has ``BESIDE``, ``stage`` and, if IMPORT reads its files, ``open_graph``: see ``base.Format``.
"""

from __future__ import annotations

from sqlext.errors import SqlExtError
from sqlext.grammar import planned
from sqlext.grammar.reader import TokenReader

FORMATS = ("ONNX", "BIGDL")


def read_format(reader: TokenReader, verb: str) -> str:
    """Reads the word after FORMAT and returns it in upper case.

    :raises SqlExtError: UNKNOWN_FORMAT.
    """
    offset = reader.offset
    name = reader.identifier(f"a format: {' or '.join(FORMATS)}").upper()
    if name in planned.FORMATS:
        reader.later(f"{verb} .. FORMAT {name}", offset)
    elif name not in FORMATS:
        raise SqlExtError("UNKNOWN_FORMAT", format=name, formats=", ".join(FORMATS), offset=offset)
    return name
