"""Decodes TIFF files by their tags.

Pillow unpacks the compressed bytes, but it knows only some layouts of samples: it clips, wraps or refuses the others. So
each strip or tile is given to Pillow as if it were a grey picture whose pixels are the bytes, and NumPy makes the samples.
Fax and JPEG data are pictures of their own kind, which Pillow decodes itself.

The package tifffile would not make this simpler. It needs only NumPy, but then it does not unpack LZW, the compression of
most programs, nor Zstandard: these need imagecodecs, a package of some fifty compiled codecs that every host would have to
install. And it returns the samples as they are stored: colours, palettes, inks, the white point and the conversion to 8 bits
would remain here, and so would the limits below, since a file of a stranger must not occupy a worker.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sqlext.images import pillow_files
from sqlext.images import tiff_tags as tags
from sqlext.images.picture import ImageInfo, turned, turned_size
from sqlext.images.reasons import MAX_PIXELS, ImageError, reason
from sqlext.images.samples import Bytes, Samples, from_lab, from_ycbcr, in_bytes, without_alpha
from sqlext.images.tiff_samples import WHOLE, unpacked_values
from sqlext.images.tiff_tags import Page, first_page

# Bytes of a piece that is unpacked at once.
_PIECE = 1 << 24
# Each strip or tile takes some microseconds: so many take a few seconds, and no program writes so many.
_MOST_BLOCKS = 200_000
# Tiles may reach over the edge of the picture, by this many bytes and, all together, by three times the picture's own bytes.
_MARGIN, _MOST_TIMES = 1 << 26, 4
# A compressed block is not longer than this many times its content, except for a header.
_PACKED_TIMES, _PACKED_HEADER = 2, 1024
_DEFLATE = {32946: 8}


@dataclass(frozen=True)
class Blocks:
    """The strips or tiles of one page: ``width`` x ``height`` units each, of ``row`` bytes a row.

    A unit is a pixel; in a page with subsampled colours it is a group of pixels that share one colour.
    """

    width: int
    height: int
    across: int
    row: int
    offsets: NDArray[Any]
    sizes: NDArray[Any] | None
    page_height: int
    tiled: bool

    @property
    def bytes(self) -> int:
        """The size of a whole block."""
        return self.height * self.row

    def rows(self, index: int) -> int:
        """The rows in one block: the last strip may be lower than the others, a tile is always complete."""
        down = self.page_height - index * self.height
        return self.height if self.tiled else min(self.height, down)


def decode(data: bytes) -> Image.Image:
    """The first page as an upright RGB image."""
    try:
        page = first_page(data)
        if page.compression not in tags.OF_BYTES:
            return pillow_files.decode(data)
        return turned(_pixels(data, page), page.number(tags.ORIENTATION, 1))
    except Exception as error:  # a hostile file can make Pillow raise almost any exception
        raise reason(error, "TIFF") from None


def info(data: bytes) -> ImageInfo:
    """The header of the first page."""
    try:
        page = first_page(data)
    except Exception as error:
        raise reason(error, "TIFF") from None
    width, height = turned_size(page.size, page.number(tags.ORIENTATION, 1))
    return ImageInfo(width, height, 3 if page.photometric == tags.PALETTE else page.depth, "TIFF")


def _pixels(data: bytes, page: Page) -> Image.Image:
    if page.photometric == tags.YCBCR:
        return Image.fromarray(_of_ycbcr(data, page))
    picture = Image.fromarray(_coloured(_samples(data, page), page))
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _coloured(samples: Samples, page: Page) -> Bytes:
    """8-bit grey or RGB from samples (height, width, depth)."""
    kind, bits = page.photometric, page.bits
    stored = samples[..., : tags.COLOURS[kind]]
    if kind in (tags.CIE_LAB, tags.ICC_LAB):
        return from_lab(stored, bits, kind == tags.CIE_LAB)
    if kind == tags.PALETTE:
        return _of_palette(stored[..., 0], page)
    colours: Bytes = in_bytes(stored, bits, page.missing)
    if kind == tags.CMYK:
        inks = Image.frombytes("CMYK", (colours.shape[1], colours.shape[0]), np.ascontiguousarray(colours).tobytes())
        return np.asarray(inks.convert("RGB"))
    if kind == tags.WHITE_IS_ZERO:
        colours = np.invert(colours)
    if samples.shape[2] > colours.shape[2] and page.number(tags.EXTRA_SAMPLES, 0) == 1:
        colours = without_alpha(colours, in_bytes(samples[..., colours.shape[2]], bits, page.missing))
    return colours if kind == tags.RGB else colours[..., 0]


def _of_palette(index: Samples, page: Page) -> Bytes:
    table = page.tags.get(tags.COLOUR_MAP, np.empty(0, np.uint16))
    if len(table) != 3 << page.bits:
        raise ImageError(f"corrupt TIFF: a palette of {len(table)} numbers instead of {3 << page.bits}")
    # Some writers store 8-bit colours, though the standard has 16 bits.
    colours = (table >> 8 if table.max() > 255 else table).astype(np.uint8)
    return np.ascontiguousarray(colours.reshape(3, -1).T)[index]


def _of_ycbcr(data: bytes, page: Page) -> Bytes:
    """RGB of luminance and colour differences; the differences are often stored once for 2 x 1 or 2 x 2 pixels."""
    sub = page.tags.get(tags.YCBCR_SUBSAMPLING, np.array([2, 2]))[:3].tolist()
    if len(sub) != 2 or not set(sub) <= {1, 2, 4} or page.planes > 1 or page.depth != 3:
        raise ImageError("unsupported image: TIFF with YCbCr colours in separate planes or with more channels")
    across, down = sub
    width, height = page.size
    units = _samples(data, page, (-(-width // across), -(-height // down), across * down + 2, down))
    out = np.empty((units.shape[0] * down, units.shape[1] * across, 3), np.uint8)
    for y in range(down):
        for x in range(across):
            out[y::down, x::across, 0] = units[..., y * across + x]
            out[y::down, x::across, 1:] = units[..., -2:]
    weights = page.numbers(tags.YCBCR_COEFFICIENTS, [0.299, 0.587, 0.114])
    return from_ycbcr(out[:height, :width], weights, page.numbers(tags.BLACK_WHITE, [0, 255, 128, 255, 128, 255]))


def _samples(data: bytes, page: Page, units: tuple[int, int, int, int] | None = None) -> Samples:
    """All samples of a page: (height, width, samples per pixel).

    :param units: width, height, samples per unit and rows of pixels per unit, if a unit is not one pixel.
    """
    width, height, depth, down = units or (*page.size, page.depth, 1)
    each = depth // page.planes
    stored = page.bits if page.bits in WHOLE else next(whole for whole in WHOLE if whole > page.bits)
    if width * height * depth * stored // 8 > 3 * MAX_PIXELS:
        raise ImageError(f"too large: {width} x {height} with {depth} samples of {page.bits} bits")
    out = np.empty((height, width, depth), f"{page.kind}{stored // 8}")
    for plane in range(page.planes):
        blocks = _blocks(page, plane, (width, height, each, down))
        for index, block in _unpacked(data, page, blocks):
            top, left = index // blocks.across * blocks.height, index % blocks.across * blocks.width
            values = unpacked_values(block, page, blocks.width, each)
            place = out[top : top + len(values), left : left + blocks.width, plane * each : (plane + 1) * each]
            place[:] = values[: place.shape[0], : place.shape[1]]
    return out


def _blocks(page: Page, plane: int, units: tuple[int, int, int, int]) -> Blocks:
    """Where the strips or tiles of one plane are."""
    width, height, depth, _ = units
    tiled = tags.TILE_OFFSETS in page.tags or tags.TILE_WIDTH in page.tags
    block = _block_size(page, units, tiled)
    across, row = -(-width // block[0]), -(-block[0] * depth * page.bits // 8)
    count = across * -(-height // block[1])
    _check_work(page, block, (count, block[1] * row), -(-width * depth * page.bits // 8) * height)
    offsets = page.tags.get(tags.TILE_OFFSETS if tiled else tags.STRIP_OFFSETS)
    offsets = page.tags.get(tags.STRIP_OFFSETS) if offsets is None else offsets
    sizes = page.tags.get(tags.TILE_BYTES if tiled else tags.STRIP_BYTES)
    if offsets is None or len(offsets) < (plane + 1) * count:
        raise ImageError(f"truncated TIFF: {0 if offsets is None else len(offsets)} of {page.planes * count} blocks")
    own = slice(plane * count, (plane + 1) * count)
    listed = sizes[own] if sizes is not None and len(sizes) >= own.stop else None
    if listed is None and page.compression != 1 and count > 1:
        raise ImageError("corrupt TIFF: the sizes of its compressed blocks are missing")
    return Blocks(*block, across, row, offsets[own], listed, height, tiled)


def _block_size(page: Page, units: tuple[int, int, int, int], tiled: bool) -> tuple[int, int]:
    """Width and height of a strip or tile."""
    width, height, _, down = units
    block = (page.number(tags.TILE_WIDTH, 0), page.number(tags.TILE_HEIGHT, 0))
    if tiled and down > 1:
        raise ImageError("unsupported image: TIFF with YCbCr colours in tiles")
    if not tiled:
        block = (width, min(height, -(-page.number(tags.ROWS_PER_STRIP, height * down) // down)))
    if min(block) < 1:
        raise ImageError(f"corrupt TIFF: blocks of {block[0]} x {block[1]} pixels")
    return block


def _check_work(page: Page, block: tuple[int, int], blocks: tuple[int, int], own: int) -> None:
    """Refuses blocks that would take much more time or memory than the picture.

    :param blocks: the number of blocks, and the bytes of each.
    :param own: the bytes of the picture without what its blocks have beyond its edges.
    """
    count, size = blocks
    if count * page.planes > _MOST_BLOCKS:
        raise ImageError(f"too large: {count * page.planes:,} strips or tiles are more than {_MOST_BLOCKS:,}")
    if size > own + _MARGIN or count * size > _MOST_TIMES * own + _MARGIN:
        width, height = page.size
        raise ImageError(f"too large: tiles of {block[0]} x {block[1]} pixels for a picture of {width} x {height}")


def _unpacked(data: bytes, page: Page, blocks: Blocks) -> Iterator[tuple[int, Bytes]]:
    """The bytes of each strip or tile, as rows."""
    at_once = max(1, _PIECE // max(1, blocks.bytes))
    for first in range(0, len(blocks.offsets), at_once):
        part = range(first, min(first + at_once, len(blocks.offsets)))
        packed = [_packed(data, page, blocks, index) for index in part]
        heights = [blocks.rows(index) for index in part]
        plain = page.compression == 1 and page.number(tags.FILL_ORDER, 1) == 1
        rows = _joined(packed, blocks) if plain else _with_pillow(packed, blocks, sum(heights), page)
        ends = np.cumsum(heights).tolist()
        yield from ((index, rows[end - high : end]) for index, end, high in zip(part, ends, heights, strict=True))


def _packed(data: bytes, page: Page, blocks: Blocks, index: int) -> bytes:
    start, left = int(blocks.offsets[index]), len(data) - int(blocks.offsets[index])
    size = left if blocks.sizes is None else int(blocks.sizes[index])
    if page.compression == 1:
        size = blocks.rows(index) * blocks.row  # the stored size of uncompressed data is often wrong
    if left < max(1, size) or not size:
        raise ImageError("truncated TIFF")
    return data[start : start + min(size, _PACKED_TIMES * blocks.bytes + _PACKED_HEADER)]


def _joined(packed: list[bytes], blocks: Blocks) -> Bytes:
    return np.frombuffer(packed[0] if len(packed) == 1 else b"".join(packed), np.uint8).reshape(-1, blocks.row)


def _with_pillow(packed: list[bytes], blocks: Blocks, height: int, page: Page) -> Bytes:
    """Unpacks blocks as the strips of a grey picture of ``blocks.row`` x ``height`` pixels, one for each byte."""
    count = len(packed)
    tail = 8 + 2 + 9 * 12 + 4  # the header, and the tags below
    listed = [tail + 8 * count + where for where in _starts(packed)]
    sizes = [len(block) for block in packed]
    rows = {
        tags.WIDTH: blocks.row,
        tags.HEIGHT: height,
        tags.BITS: 8,
        tags.COMPRESSION: _DEFLATE.get(page.compression, page.compression),
        tags.PHOTOMETRIC: tags.BLACK_IS_ZERO,
        tags.FILL_ORDER: page.number(tags.FILL_ORDER, 1),
        tags.STRIP_OFFSETS: (count, listed[0] if count == 1 else tail),
        tags.ROWS_PER_STRIP: blocks.height,
        tags.STRIP_BYTES: (count, sizes[0] if count == 1 else tail + 4 * count),
    }
    entries = [struct.pack("<HHII", t, 4, *(v if isinstance(v, tuple) else (1, v))) for t, v in rows.items()]
    lists = np.array([listed, sizes], "<u4").tobytes()
    file = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4) + lists + b"".join(packed)
    with Image.open(io.BytesIO(file), formats=("TIFF",)) as image:
        return np.asarray(image)


def _starts(parts: list[bytes]) -> list[int]:
    return [0, *np.cumsum([len(part) for part in parts])[:-1].tolist()]
