"""The tags of a TIFF file: what its first page stores and where. Pillow's reader refuses or misreads many of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sqlext.images.reasons import ImageError, check_size

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR = 273, 274, 277, 278, 279, 284
PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 317, 320, 322, 323, 324, 325
SUB_PAGES, INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT = 330, 332, 338, 339
YCBCR_COEFFICIENTS, YCBCR_SUBSAMPLING, BLACK_WHITE, NO_DATA, DNG_VERSION = 529, 530, 532, 42113, 50706
# PhotometricInterpretation
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIE_LAB, ICC_LAB = 0, 1, 2, 3, 5, 6, 8, 9
SENSOR = {32803: "the sensor's values of a camera (CFA)", 34892: "the sensor's linear values of a camera"}
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, CIE_LAB: 3, ICC_LAB: 3}
OTHER_COLOURS = SENSOR | {
    4: "a transparency mask",
    10: "ITU L*a*b* colours",
    32844: "LogL values",
    32845: "LogLuv colours",
}
# Compressions that give back the bytes of the samples, and those whose data are pictures of their own kind.
OF_BYTES = {1, 5, 8, 32773, 32946, 34925, 50000}
FAX, JPEG = {2, 3, 4, 32771}, {6, 7}
OTHER_COMPRESSIONS = {
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv",
    **dict.fromkeys((33003, 33004, 33005, 34712), "JPEG 2000"),
    34887: "LERC",
    34892: "lossy JPEG (DNG)",
    50001: "WebP",
    **dict.fromkeys((50002, 52546), "JPEG XL"),
    32809: "ThunderScan",
}
_TYPES = {1: "u1", 2: "S1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4"} | {
    11: "f4",
    12: "f8",
    13: "u4",
    16: "u8",
    17: "i8",
    18: "u8",
}
_RATIONALS = (5, 10)
# Other tags are not read: each may claim to be as long as the file.
_READ = {
    *(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP),
    *(
        STRIP_BYTES,
        PLANAR,
        PREDICTOR,
        COLOUR_MAP,
        TILE_WIDTH,
        TILE_HEIGHT,
        TILE_OFFSETS,
        TILE_BYTES,
        SUB_PAGES,
        INK_SET,
    ),
    *(EXTRA_SAMPLES, SAMPLE_FORMAT, YCBCR_COEFFICIENTS, YCBCR_SUBSAMPLING, BLACK_WHITE, NO_DATA, DNG_VERSION),
}
_MOST_RATIONALS = 6  # the longest of the tags that are read
_CR2 = b"\x10\0\0\0CR\2\0"


@dataclass(frozen=True)
class Page:
    """The tags of a page. ``order``: '<' or '>', the byte order of the file."""

    order: str
    tags: dict[int, NDArray[Any]]

    def number(self, tag: int, default: int) -> int:
        values = self.tags.get(tag)
        return default if values is None or not len(values) or values.dtype.kind == "S" else int(values[0])

    def numbers(self, tag: int, default: list[float]) -> NDArray[np.float64]:
        values = self.tags.get(tag)
        known = values is not None and len(values) == len(default) and values.dtype.kind != "S"
        return np.asarray(values if known else default, np.float64)

    @property
    def size(self) -> tuple[int, int]:
        return self.number(WIDTH, 0), self.number(HEIGHT, 0)

    @property
    def depth(self) -> int:
        """Samples per pixel."""
        return self.number(SAMPLES, 1)

    @property
    def bits(self) -> int:
        return self.number(BITS, 1)

    @property
    def compression(self) -> int:
        return self.number(COMPRESSION, 1)

    @property
    def kind(self) -> str:
        """'u', 'i' or 'f', as in NumPy; '' for numbers that are not supported."""
        return {1: "u", 2: "i", 3: "f", 4: "u"}.get(self.number(SAMPLE_FORMAT, 1), "")

    @property
    def photometric(self) -> int:
        guess = WHITE_IS_ZERO if self.compression in FAX else RGB if self.depth in (3, 4) else BLACK_IS_ZERO
        return self.number(PHOTOMETRIC, guess)

    @property
    def planes(self) -> int:
        """1 if the samples of a pixel are stored together, otherwise one for each sample."""
        return self.depth if self.number(PLANAR, 1) == 2 else 1

    @property
    def missing(self) -> float | None:
        """The value that GDAL's tag says marks a pixel without data."""
        try:
            return float(b"".join(self.tags[NO_DATA][:64]).split(b"\0")[0].strip())
        except (KeyError, ValueError, TypeError):
            return None


def first_page(data: bytes) -> Page:
    """Reads the tags of the first page.

    :raises ImageError: with a reason for a file that cannot be decoded.
    """
    page = _page(data, None)
    for tags in [page, *_sub_pages(data, page)]:
        # The first page of a camera's raw file is a thumbnail; decoding it would look like success.
        if DNG_VERSION in tags.tags or tags.photometric in SENSOR or data[4:12] == _CR2:
            raise ImageError("unsupported image: a camera's raw file (CR2, DNG, NEF, ..); convert it to JPEG or TIFF")
    check_size(*page.size)
    _check(page)
    return page


def _page(data: bytes, start: int | None) -> Page:
    order, big = ("<" if data[:2] == b"II" else ">"), data[2:4] in (b"+\0", b"\0+")
    word, wide = ("Q", 8) if big else ("I", 4)
    try:
        (start,) = (start,) if start else struct.unpack_from(order + word, data, wide)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
        start += 8 if big else 2
        if count > 4096 or start + count * (12 + 2 * wide - 8) > len(data):
            raise ImageError("truncated TIFF")
        rows = [struct.unpack_from(f"{order}HH{word}", data, start + i * (4 + 2 * wide)) for i in range(count)]
    except (struct.error, OverflowError):
        raise ImageError("truncated TIFF") from None
    places = {
        tag: (kind, number, start + i * (4 + 2 * wide) + 4 + wide)
        for i, (tag, kind, number) in enumerate(rows)
        if tag in _READ and kind in _TYPES
    }
    return Page(order, {tag: _values(data, order, word, *place) for tag, place in places.items()})


def _values(data: bytes, order: str, word: str, kind: int, count: int, start: int) -> NDArray[Any]:
    """The values of a tag, as a view into the file; fewer than ``count`` if the file ends before.

    :param start: where the tag's entry has the values or, if they are too long for it, their place.
    """
    item = np.dtype(order + _TYPES[kind])
    count *= 2 if kind in _RATIONALS else 1
    if count * item.itemsize > struct.calcsize(order + word):
        (start,) = struct.unpack_from(order + word, data, start)
    there = max(0, len(data) - start) // item.itemsize
    values: NDArray[Any] = np.frombuffer(data, item, min(count, there), start) if there else np.empty(0, item)
    if kind in _RATIONALS:
        pairs = values[: min(len(values) // 2, _MOST_RATIONALS) * 2].astype(np.float64)
        fractions: NDArray[Any] = pairs[::2] / np.where(pairs[1::2] == 0, 1, pairs[1::2])
        return fractions
    return values


def _sub_pages(data: bytes, page: Page) -> list[Page]:
    found = []
    for start in page.tags.get(SUB_PAGES, np.empty(0, np.int64))[:8].tolist():
        try:
            found.append(_page(data, int(start)))
        except (ImageError, ValueError):  # the first page may be fine
            continue
    return found


def _check(page: Page) -> None:
    """Refuses what has no meaning as a picture, or one that is not known."""
    bits, formats = page.tags.get(BITS, np.array([1])), page.tags.get(SAMPLE_FORMAT, np.array([1]))
    if any((values != values[:1]).any() for values in (bits, formats)):
        raise _unsupported(f"samples of different sizes or types ({', '.join(map(str, bits[:5].tolist()))} bits)")
    if not page.kind:
        raise _unsupported(f"complex numbers of {page.bits} bits as samples")
    if page.photometric not in COLOURS:
        raise _unsupported(OTHER_COLOURS.get(page.photometric, f"PhotometricInterpretation {page.photometric}"))
    _check_compression(page)
    _check_bits(page)
    _check_channels(page)


def _check_compression(page: Page) -> None:
    if page.compression in OF_BYTES or page.compression in FAX:
        return
    if page.compression in JPEG:
        if page.bits != 8:
            raise _unsupported(f"JPEG compression of {page.bits}-bit samples")
        return
    raise _unsupported(f"{OTHER_COMPRESSIONS.get(page.compression, page.compression)} compression")


def _check_bits(page: Page) -> None:
    bits, kind = page.bits, page.kind
    if kind == "f" and bits not in (16, 32, 64):
        raise _unsupported(f"{bits}-bit floating-point samples")
    if kind == "i" and bits not in (8, 16, 32, 64):
        raise _unsupported(f"{bits}-bit signed samples")
    if kind == "u" and not (1 <= bits <= 32 or bits == 64):
        raise _unsupported(f"{bits}-bit samples")
    coded = page.photometric in (PALETTE, CMYK, YCBCR, CIE_LAB, ICC_LAB)
    eight = page.photometric in (YCBCR, CIE_LAB, ICC_LAB)
    if coded and (kind != "u" or bits > 16 or (eight and bits not in ((8,) if page.photometric == YCBCR else (8, 16)))):
        raise _unsupported(
            f"{bits}-bit {'' if kind == 'u' else 'signed or floating-point '}samples in this colour system"
        )


def _check_channels(page: Page) -> None:
    colours = COLOURS[page.photometric]
    if page.depth < colours:
        raise ImageError(f"corrupt TIFF: {page.depth} samples per pixel instead of {colours}")
    if colours == 1 and page.depth > 2:
        raise _unsupported(
            f"{page.depth} channels that are not marked as red, green and blue; choose three of them first"
        )
    if page.photometric == CMYK and page.number(INK_SET, 1) != 1:
        raise _unsupported("inks other than CMYK")


def _unsupported(what: str) -> ImageError:
    return ImageError(f"unsupported image: TIFF with {what}")
