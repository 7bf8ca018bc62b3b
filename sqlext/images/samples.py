"""From the samples that a file stores, of any type and any colour system, to 8-bit RGB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sqlext.images.reasons import ImageError

Samples = NDArray[Any]
Bytes = NDArray[np.uint8]
# Converting this many samples at a time bounds the memory of temporary arrays.
_AT_ONCE = 1 << 20
# CIE L*a*b* of TIFF has the white point D50; this matrix leads from its XYZ to linear sRGB (Bradford adaptation to D65).
_D50 = np.array([0.9642, 1.0, 0.8249])
_XYZ_TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)


def in_bytes(samples: Samples, bits: int, missing: float | None = None) -> Bytes:
    """Reduces samples to 8 bits.

    Unsigned integers of up to 16 bits fill their range, so black and white are known: they lose their low bits. Numbers
    with a fraction that lie between 0 and 1 are multiplied by 255. For all others nobody says which value is black: the
    smallest one becomes 0, and the largest one 255.

    :param bits: of an unsigned integer, because 12 bits are stored in 16.
    :param missing: the value that marks a pixel without data, which becomes black.
    :raises ImageError: if no sample is a number.
    """
    if samples.dtype.kind == "u" and bits <= 16:
        return _of_full_range(samples, bits)
    low, high = _range(samples, missing)
    if samples.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    out = np.empty(samples.shape, np.uint8)
    flat, target = samples.reshape(-1), out.reshape(-1)
    for start in range(0, flat.size, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        values = _numbers(flat[part], missing, low)
        target[part] = np.rint((values.clip(low, high) - low) * (255 / ((high - low) or 1)))
    return out


def _of_full_range(samples: Samples, bits: int) -> Bytes:
    if bits == 8:
        return samples.astype(np.uint8, copy=False)
    if bits > 8:
        return (samples >> (bits - 8)).astype(np.uint8)
    greys: Bytes = np.rint(np.arange(1 << bits) * (255 / ((1 << bits) - 1))).astype(np.uint8)
    return greys[samples]


def _range(samples: Samples, missing: float | None) -> tuple[float, float]:
    """The smallest and the largest number among the samples."""
    flat, found = samples.reshape(-1), []
    for start in range(0, flat.size, _AT_ONCE):
        values = _numbers(flat[start : start + _AT_ONCE], missing, np.nan)
        values = values[np.isfinite(values)]
        if values.size:
            found += [float(values.min()), float(values.max())]
    if not found:
        raise ImageError("no pixel has a number (all are NaN, infinite or marked as missing)")
    return min(found), max(found)


def _numbers(samples: Samples, missing: float | None, instead: float) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # NaN of some kinds warns, and nobody reads a worker's console
        values = samples.astype(np.float64)
    gone = np.isnan(values)
    if missing is not None:
        # The mark is written as text; a float32 sample equals it only after the same rounding.
        gone |= samples == (np.array(missing, samples.dtype) if samples.dtype.kind == "f" else missing)
    values[gone] = instead
    return values


def without_alpha(colours: Bytes, alpha: Bytes) -> Bytes:
    """The colours of pixels that were multiplied by their opacity."""
    opacity = np.maximum(alpha, 1).astype(np.uint16)[..., None]
    plain: Bytes = np.minimum((colours.astype(np.uint16) * 255 + opacity // 2) // opacity, 255).astype(np.uint8)
    return plain


def from_lab(samples: Samples, bits: int, signed: bool) -> Bytes:
    """CIE L*a*b* (white point D50) as sRGB.

    :param signed: a* and b* are signed numbers; otherwise the middle of their range is 0.
    """
    top = (1 << bits) - 1 if signed or bits == 8 else 0xFF00
    out = np.empty(samples.shape, np.uint8)
    for rows in _row_groups(samples):
        light = samples[rows, :, 0] * (100 / top)
        across = samples[rows, :, 1:].astype(f"i{bits // 8}" if signed else np.float64) - (
            0 if signed else 1 << bits - 1
        )
        a, b = np.moveaxis(across / (1 << bits - 8), -1, 0)
        y = (light + 16) / 116
        f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
        xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _D50
        linear = (xyz @ _XYZ_TO_SRGB.T).clip(0, 1)
        curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        out[rows] = np.rint(curved * 255)
    return out


def from_ycbcr(ycc: Bytes, coefficients: NDArray[np.float64], black_white: NDArray[np.float64]) -> Bytes:
    """Luminance and colour differences as RGB, by the weights of red, green and blue in the luminance."""
    scale = np.array([255, 127, 127]) / np.maximum(black_white[1::2] - black_white[::2], 1e-9)
    red, green, blue = coefficients
    out = np.empty(ycc.shape, np.uint8)
    for rows in _row_groups(ycc):
        y, cb, cr = np.moveaxis((ycc[rows] - black_white[::2]) * scale, -1, 0)
        r, b = y + cr * (2 - 2 * red), y + cb * (2 - 2 * blue)
        g = (y - red * r - blue * b) / green
        out[rows] = np.rint(np.stack([r, g, b], axis=-1).clip(0, 255))
    return out


def _row_groups(samples: Samples) -> Iterator[slice]:
    """Groups of rows that together have about _AT_ONCE samples."""
    rows = max(1, _AT_ONCE // max(1, samples[0].size))
    return (slice(top, top + rows) for top in range(0, len(samples), rows))
