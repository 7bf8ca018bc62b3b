"""Decodes the Netpbm formats that Pillow refuses or returns without a scale: PAM (P7) and PFM, whose samples are floats."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from sqlext.images.picture import ImageInfo
from sqlext.images.reasons import ImageError, check_size
from sqlext.images.samples import Samples, in_bytes

SIGNATURES = (b"P7\n", b"PF\n", b"Pf\n", b"PF\r", b"Pf\r", b"PF ", b"Pf ")
_PFM = re.compile(rb"P[Ff]\s+(\d{1,9})\s+(\d{1,9})\s+([-+\d.eE]{1,30})(?:\r\n|\s)")
_PAM_END = re.compile(rb"\nENDHDR\r?\n")


def decode(data: bytes) -> Image.Image:
    """The picture as RGB, without transparency."""
    samples, bits = _pam_samples(data) if data[:2] == b"P7" else (_pfm_samples(data), 32)
    colours = in_bytes(samples[..., : 3 if samples.shape[2] > 2 else 1], bits)
    return Image.fromarray(colours if colours.shape[2] == 3 else colours[..., 0]).convert("RGB")


def info(data: bytes) -> ImageInfo:
    """The header."""
    if data[:2] == b"P7":
        return ImageInfo(*_pam(data)[:3], "PAM")
    return ImageInfo(*_pfm(data)[:3], "PFM")


def _pfm(data: bytes) -> tuple[int, int, int, str, int]:
    """Width, height, channels, the byte order, and where the samples begin."""
    found = _PFM.match(data)
    if not found:
        raise ImageError(
            "truncated PFM" if len(data) < 32 else "corrupt PFM: its header needs a width, a height and a scale"
        )
    width, height = int(found[1]), int(found[2])
    check_size(width, height)
    # The sign of the scale is the byte order. Its amount is the unit of the numbers, which does not change the picture.
    return width, height, 3 if data[1:2] == b"F" else 1, "<" if found[3].startswith(b"-") else ">", found.end()


def _pfm_samples(data: bytes) -> Samples:
    width, height, depth, order, start = _pfm(data)
    rows = _array(data, start, order + "f4", (height, width, depth), "PFM")
    return rows[::-1]  # the last row comes first


def _pam(data: bytes) -> tuple[int, int, int, int, int]:
    """Width, height, channels, the largest value, and where the samples begin."""
    found = _PAM_END.search(data[:4096])
    if not found:
        raise ImageError("truncated PAM: no ENDHDR")
    lines = [line.split(None, 1) for line in data[3 : found.start()].decode("latin-1").splitlines()]
    fields = {line[0]: line[1] for line in lines if len(line) == 2}
    try:
        width, height, depth, largest = (int(fields[name]) for name in ("WIDTH", "HEIGHT", "DEPTH", "MAXVAL"))
    except (KeyError, ValueError):
        raise ImageError("corrupt PAM: WIDTH, HEIGHT, DEPTH and MAXVAL must be numbers") from None
    check_size(width, height)
    kind = fields.get("TUPLTYPE", "").strip().upper().removesuffix("_ALPHA")
    colours = {"BLACKANDWHITE": 1, "GRAYSCALE": 1, "RGB": 3, "": 3 if depth > 2 else 1}.get(kind, 0)
    if not 1 <= depth <= 4 or not 1 <= largest <= 65535 or not colours or not colours <= depth <= colours + 1:
        raise ImageError(f"unsupported image: PAM of type {kind or 'unknown'} with {depth} channels up to {largest}")
    return width, height, depth, largest, found.end()


def _pam_samples(data: bytes) -> tuple[Samples, int]:
    width, height, depth, largest, start = _pam(data)
    samples = _array(data, start, ">u2" if largest > 255 else "u1", (height, width, depth), "PAM")
    if largest == 65535:
        return samples, 16
    return np.rint(np.minimum(samples, largest) * np.float32(255 / largest)).astype(np.uint8), 8


def _array(data: bytes, start: int, kind: str, shape: tuple[int, int, int], name: str) -> Samples:
    count = shape[0] * shape[1] * shape[2]
    if len(data) - start < count * np.dtype(kind).itemsize:
        raise ImageError(f"truncated {name}")
    return np.frombuffer(data, kind, count, start).reshape(shape)
