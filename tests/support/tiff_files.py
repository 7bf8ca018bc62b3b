"""Writes TIFF files of every layout from an array of samples, so that tests know each pixel. No image library is used."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]
# Compression -> how one strip or tile is packed. LZW: a clear code after every 200 bytes keeps all codes at 9 bits.
PACK: dict[int, Callable[[bytes], bytes]] = {
    1: lambda block: block,
    5: lambda block: _lzw(block),
    8: zlib.compress,
    32773: lambda block: b"".join(
        bytes([len(block[i : i + 128]) - 1]) + block[i : i + 128] for i in range(0, len(block), 128)
    ),
    34925: lambda block: lzma.compress(block, format=lzma.FORMAT_XZ),
    50000: lambda block: _zstd(block),
}
FORMATS = {"u": 1, "i": 2, "f": 3}


def tiff(
    samples: Samples,
    photometric: int = 1,
    *,
    bits: int | None = None,
    order: str = "<",
    planar: bool = False,
    tile: int = 0,
    rows: int = 0,
    compression: int = 1,
    predictor: int = 1,
    big: bool = False,
    tags: dict[int, tuple[int, Any]] | None = None,
    pages: int = 1,
) -> bytes:
    """Returns a TIFF file.

    :param samples: (height, width) or (height, width, samples per pixel).
    :param bits: per sample, if not those of the array: 1 to 15, packed.
    :param tile: side of the tiles; 0 writes strips of ``rows`` rows (0: one strip).
    :param tags: tag -> (type, values), added to the others or replacing them; None as values leaves the tag out.
    :param pages: later pages are inverted copies of the first one.
    """
    samples = samples[..., None] if samples.ndim == 2 else samples
    height, width, depth = samples.shape
    bits = bits or samples.dtype.itemsize * 8
    out, pointer = _header(order, big), None
    for page in range(pages):
        planes = [samples[..., [i]] for i in range(depth)] if planar else [samples]
        if page:
            planes = [np.invert(plane) for plane in planes]
        blocks = [
            PACK[compression](_bytes(_predicted(block, predictor, order), bits, order, predictor))
            for plane in planes
            for block in _blocks(plane, tile, rows or height)
        ]
        where = [len(out) + sum(map(len, blocks[:i])) for i in range(len(blocks))]
        out += b"".join(blocks)
        entries = {
            256: (4, width),
            257: (4, height),
            258: (3, [bits] * depth),
            259: (3, compression),
            262: (3, photometric),
            277: (3, depth),
            284: (3, 2 if planar else 1),
            317: (3, predictor),
            339: (3, [FORMATS[samples.dtype.kind]] * depth),
        }
        sizes = [len(block) for block in blocks]
        entries |= (
            {322: (4, tile), 323: (4, tile), 324: (4, where), 325: (4, sizes)}
            if tile
            else {273: (4, where), 278: (4, rows or height), 279: (4, sizes)}
        )
        entries |= tags or {}
        out, pointer = _with_page(out, entries, order, big, pointer)
    return bytes(out)


def _header(order: str, big: bool) -> bytes:
    mark = b"II" if order == "<" else b"MM"
    return mark + (struct.pack(order + "HHHQ", 43, 8, 0, 0) if big else struct.pack(order + "HI", 42, 0))


def _with_page(
    out: bytes, entries: dict[int, tuple[int, Any]], order: str, big: bool, pointer: int | None
) -> tuple[bytes, int]:
    """Appends a page's tags, and links them at ``pointer``; returns the file and the next pointer."""
    word, inline = ("Q", 8) if big else ("I", 4)
    code = {1: "B", 2: "s", 3: "H", 4: "I", 5: "I", 7: "s", 12: "d", 13: "I", 16: "Q"}
    extra, rows = bytearray(out), b""
    for tag, (kind, values) in sorted(entries.items()):
        if values is None:
            continue
        if isinstance(values, bytes):
            count, raw = len(values), values
        else:
            listed = list(np.atleast_1d(values).tolist())
            count, raw = (
                len(listed) // (2 if kind == 5 else 1),
                struct.pack(f"{order}{len(listed)}{code[kind]}", *listed),
            )
        if len(raw) > inline:
            extra += b"\0" * (len(extra) % 2)
            where = struct.pack(order + word, len(extra))
            extra += raw
            raw = where
        rows += struct.pack(order + "HH" + word, tag, kind, count) + raw.ljust(inline, b"\0")
    start, number = len(extra), len(rows) // (12 if not big else 20)
    extra += struct.pack(order + ("Q" if big else "H"), number) + rows
    following = len(extra)
    extra += struct.pack(order + word, 0)
    struct.pack_into(order + word, extra, pointer or inline, start)
    return bytes(extra), following


def _blocks(plane: Samples, tile: int, rows: int) -> Iterator[Samples]:
    height, width, _ = plane.shape
    if not tile:
        yield from (plane[top : top + rows] for top in range(0, height, rows))
        return
    padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)), mode="edge")
    for top in range(0, height, tile):
        yield from (padded[top : top + tile, left : left + tile] for left in range(0, width, tile))


def _predicted(block: Samples, predictor: int, order: str) -> Samples:
    """Replaces each sample by its difference to the sample on its left (2), or each byte as TIFF's Technical Note 3 says (3)."""
    if predictor == 2:
        whole = block.view(f"u{block.dtype.itemsize}")
        return np.concatenate([whole[:, :1], whole[:, 1:] - whole[:, :-1]], axis=1)
    if predictor == 3:
        height, width, depth = block.shape
        split = block.astype(block.dtype.newbyteorder(">")).reshape(height, width * depth, 1).view(np.uint8)
        flat = split.transpose(0, 2, 1).reshape(height, -1)
        flat[:, depth:] = flat[:, depth:] - flat[:, :-depth]
        return flat
    return block


def _bytes(block: Samples, bits: int, order: str, predictor: int) -> bytes:
    if bits % 8 == 0 or predictor == 3:
        return block.astype(block.dtype.newbyteorder("<" if order == "<" else ">")).tobytes()
    flat = block.reshape(len(block), -1, 1)
    digits = (flat >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(digits.reshape(len(block), -1).astype(np.uint8), axis=1).tobytes()


def _lzw(block: bytes) -> bytes:
    codes = [code for i in range(0, len(block), 200) for code in (256, *block[i : i + 200])] + [257]
    digits = (np.array(codes)[:, None] >> np.arange(8, -1, -1)) & 1
    return np.packbits(digits.astype(np.uint8).ravel()).tobytes()


def _zstd(block: bytes) -> bytes:
    """A Zstandard frame of raw blocks."""
    raw = [block[i : i + 100_000] for i in range(0, len(block), 100_000)]
    heads = [((len(part) << 3) | (i == len(raw) - 1)).to_bytes(3, "little") for i, part in enumerate(raw)]
    body = b"".join(head + part for head, part in zip(heads, raw, strict=True))
    return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(block)) + body
