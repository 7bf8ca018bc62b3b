"""The samples in the unpacked bytes of a strip or tile of a TIFF: undoes predictors and divides bytes into samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sqlext.images import tiff_tags as tags
from sqlext.images.reasons import ImageError
from sqlext.images.samples import Bytes, Samples
from sqlext.images.tiff_tags import Page

# The types of NumPy that hold whole numbers of so many bits.
WHOLE = {8: "u1", 16: "u2", 32: "u4", 64: "u8"}
# Bytes of temporary arrays.
_PIECE = 1 << 24


def unpacked_values(rows: Bytes, page: Page, width: int, depth: int) -> Samples:
    """The samples (rows, width, depth) in rows of bytes."""
    rows = np.ascontiguousarray(rows)
    bits, count = page.bits, width * depth
    predictor = page.number(tags.PREDICTOR, 1) if page.compression not in (1, 32773) else 1
    if predictor == 3 and page.kind != "f":
        raise ImageError("corrupt TIFF: whole numbers with the predictor for floating-point numbers")
    if predictor == 2 and page.photometric == tags.YCBCR and depth != 3:
        raise ImageError("unsupported image: TIFF with differences of subsampled YCbCr colours")
    if predictor == 3:
        return _undone_bytes(rows, bits, width, depth).view(f">f{bits // 8}").reshape(len(rows), width, depth)
    if bits not in WHOLE:
        if predictor == 2:
            raise ImageError(f"unsupported image: TIFF with differences of {bits}-bit samples")
        return _of_odd_bits(rows, bits, count, page.order).reshape(len(rows), width, depth)
    whole = rows.view(page.order + WHOLE[bits]).reshape(len(rows), width, depth)
    if predictor == 2:
        whole = np.cumsum(whole, axis=1, dtype=whole.dtype.newbyteorder("="))
    return whole.view(whole.dtype.str.replace("u", page.kind))


def _undone_bytes(rows: Bytes, bits: int, width: int, depth: int) -> Bytes:
    """Undoes the predictor for floating-point numbers: all first bytes of a row, then all second bytes, as differences."""
    summed = np.cumsum(rows.reshape(len(rows), -1, depth), axis=1, dtype=np.uint8)
    split = summed.reshape(len(rows), bits // 8, width * depth)
    return np.ascontiguousarray(split.transpose(0, 2, 1)).reshape(len(rows), -1)


def _of_odd_bits(rows: Bytes, bits: int, count: int, order: str) -> NDArray[Any]:
    """Unsigned numbers of any number of bits, as the next larger type of NumPy."""
    whole = next(size for size in WHOLE if size >= bits)
    out = np.empty((len(rows), count), WHOLE[whole])
    # Eight samples begin and end between two bytes, so pieces of a multiple of eight are independent.
    wide = min(count, max(8, _PIECE // whole // 8 * 8))
    high = max(1, _PIECE // (wide * whole))
    for top in range(0, len(rows), high):
        for left in range(0, count, wide):
            number = min(wide, count - left)
            part = rows[top : top + high, left * bits // 8 : -(-(left + number) * bits // 8)]
            out[top : top + high, left : left + number] = _piece_of_odd_bits(part, bits, number, order, whole)
    return out


def _piece_of_odd_bits(part: Bytes, bits: int, count: int, order: str, whole: int) -> NDArray[Any]:
    """The same of so few samples that one byte for each of their bits fits into memory."""
    digits = np.unpackbits(part, axis=1)[:, : count * bits].reshape(len(part), count, bits)
    if bits == 24 and order == "<":
        digits = digits.reshape(len(part), count, 3, 8)[:, :, ::-1].reshape(len(part), count, bits)
    wide = np.zeros((len(part), count, whole), np.uint8)
    wide[..., whole - bits :] = digits
    return np.packbits(wide, axis=-1).view(f">u{whole // 8}")[..., 0]
