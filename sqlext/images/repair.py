"""Files that Pillow refuses although all their pixels are there: the same file without what is not needed for the pixels.

Pillow could be told to read on, but only for the whole process: a user's own functions in the same Python worker would then
see other pictures. A text that unpacks to gigabytes is left out here, so it takes no memory.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from sqlext.images import jpeg, jpeg_pixels

PNG = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IHDR", b"PLTE", b"IDAT")
_USEFUL = (b"tRNS", b"eXIf")
# Texts in which some programs store the orientation.
_TURNING = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
_LONG_TEXT = 1 << 16


def only_pixels(data: bytes) -> Iterator[bytes]:
    """Other files with the same pixels, to be tried in this order."""
    if data.startswith(PNG):
        yield _png(data, texts=True)
        yield _png(data, texts=False)
    elif jpeg.is_jpeg(data):
        yield from jpeg_pixels.only_pixels(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        yield from _webp(data)


def is_cut(data: bytes) -> bool:
    """Whether a file ends before its pixels begin, or has neither the end nor the length that its format asks for."""
    if data.startswith(PNG):
        return b"IDAT" not in data
    if jpeg.is_jpeg(data):
        return not jpeg.structure(data).ended
    if data[:4] == b"RIFF":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    return data[4:8] == b"ftyp" and _boxes_end(data) > len(data)


def _boxes_end(data: bytes) -> int:
    """Where the last box of a file that consists of boxes, such as AVIF, should end."""
    at = 0
    while 0 <= at <= len(data) - 8:
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 8:  # it reaches to the end of the file, or is too long for any picture
            break
        at += length
    return at


def _png(data: bytes, texts: bool) -> bytes:
    """A PNG without its texts, profiles and physical sizes, and with an end.

    :param texts: whether the texts that may contain the orientation stay.
    """
    out, at = [PNG], len(PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body, crc = data[at + 8 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if kind in _PIXELS:
            # Only the CRC of a cut last chunk is replaced: a wrong one says that the pixels are damaged.
            out.append(_chunk(kind, body)[:-4] + crc if len(crc) == 4 else _chunk(kind, body))
        elif kind in _USEFUL or (texts and length < _LONG_TEXT and body.startswith(_TURNING)):
            out += [_chunk(kind, body)] if _chunk(kind, body)[-4:] == crc else []
        at += 12 + length
    return b"".join(out) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def _webp(data: bytes) -> Iterator[bytes]:
    """The first picture of a WebP file with damaged parts: with its EXIF data, which hold the orientation, and without."""
    chunks = dict(reversed(list(_webp_chunks(data))))
    picture = chunks.get(b"VP8 ") or chunks.get(b"VP8L")
    if picture is None:
        return
    canvas, alpha = chunks.get(b"VP8X", b""), chunks.get(b"ALPH", b"")
    for exif in dict.fromkeys((chunks.get(b"EXIF", b"") if canvas else b"", b"")):
        # Only these flags stay, for transparency and EXIF: the other parts that the flags announce are left out.
        flags = bytes([canvas[8] & 0x10 | (0x08 if exif else 0)]) if canvas else b""
        body = canvas[:8] + flags + canvas[9:] + alpha + picture + exif
        yield b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, chunk) of each complete chunk, padded to an even length."""
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        chunk = data[at : at + 8 + length]
        if len(chunk) == 8 + length and (kind != b"VP8X" or length == 10):
            yield kind, chunk + b"\0" * (length % 2)
        at += 8 + length + length % 2
