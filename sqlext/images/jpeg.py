"""What Pillow does not say about a JPEG file: its segments and scans, and which kind it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

START, END = b"\xff\xd8", b"\xff\xd9"
DQT, _SOS, _DRI, _APP1 = 0xDB, 0xDA, 0xDD, 0xE1
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7}
OTHER_KINDS = {
    **dict.fromkeys((0xC3, 0xCB), "a lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
    0xF7: "JPEG-LS",
}
# Markers whose segments are needed for the pixels: frames, tables and scans, and how the colours are stored (APP0, APP14),
# with the length of a body that is not cut.
_NEEDED = dict.fromkeys(_FRAMES | {0xC4, 0xCC, DQT, _DRI, _SOS}, 1) | {0xE0: 14, 0xEE: 12}
# The next marker after a scan: neither a stuffed byte nor a restart marker nor a fill byte. Without \xff+, which would take
# quadratic time in a file that ends with millions of 0xFF.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
# Usual encoders write up to 20 scans. Each one costs a pass over the picture, so a small file with thousands of them would
# occupy a worker for hours.
_MOST_SCANS = 100


@dataclass
class Scan:
    """One scan: its components, its band of coefficients, their bit position, and its data."""

    components: bytes
    first: int
    last: int
    low_bit: int
    data: bytes


@dataclass
class Jpeg:
    """The structure of a file, without its pixels."""

    frame: int = 0
    bits: int = 8
    size: tuple[int, int] = (0, 0)
    factors: dict[int, tuple[int, int]] = field(default_factory=dict)
    interval: int = 0
    scans: list[Scan] = field(default_factory=list)
    ended: bool = False
    needed: list[bytes] = field(default_factory=list)
    exif: bytes = b""


def structure(data: bytes) -> Jpeg:
    """Reads the segments up to the end of the image, or as far as they go.

    An end that does not follow a scan is that of something else: of bytes behind a cut image, or of another image.
    """
    jpeg, complete, before = Jpeg(), 0, 0
    for marker, body, scan in _segments(data):
        if marker in _FRAMES and jpeg.frame:
            break  # of another image
        segment = b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body + scan
        if len(body) >= _NEEDED.get(marker, 1 << 16):
            jpeg.needed.append(segment)
        elif marker == _APP1 and body.startswith(b"Exif\0\0"):
            jpeg.exif = jpeg.exif or segment
        if marker in _FRAMES and len(body) >= 6 and not jpeg.frame:
            jpeg.frame, jpeg.bits = marker, body[0]
            jpeg.size = (int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"))
            jpeg.factors = {body[i]: (body[i + 1] >> 4, body[i + 1] & 15) for i in range(6, len(body) - 2, 3)}
        elif marker == _DRI and len(body) >= 2:
            jpeg.interval = int.from_bytes(body[:2], "big")
        elif marker == _SOS and body and len(body) >= 4 + 2 * body[0]:
            count = body[0]
            first, last, bits = body[1 + 2 * count : 4 + 2 * count]
            jpeg.scans.append(Scan(body[1 : 1 + 2 * count : 2], first, last, bits & 15, scan))
            complete = len(jpeg.needed)
        elif marker == END[1]:
            jpeg.ended = before == _SOS
        before = marker
    if not jpeg.ended:
        jpeg.needed = jpeg.needed[:complete]  # tables for a scan that is missing
    return jpeg


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(marker, body, data of the scan) of each segment; garbage between segments is skipped."""
    at, scanned = 2, False
    while found := _MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == END[1] or (marker == START[1] and scanned):
            yield marker, b"", b""
            return
        if marker in (0x01, START[1]):
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        body = data[at + 2 : at + length]
        if length < 2 or len(body) < length - 2:
            return
        at += length
        scan = b""
        if marker == _SOS:
            following = _MARKER.search(data, at)
            scan = data[at : following.start() if following else len(data)]
            at, scanned = at + len(scan), True
        yield marker, body, scan


def is_jpeg(data: bytes) -> bool:
    return data.startswith(START + b"\xff")


def too_many_scans(jpeg: Jpeg) -> bool:
    """Whether a file has more passes over the picture than any encoder writes."""
    return len(jpeg.scans) > _MOST_SCANS


def unsupported(data: bytes) -> str | None:
    """The kind of JPEG that no decoder here reads."""
    jpeg = structure(data)
    if jpeg.frame in OTHER_KINDS:
        return OTHER_KINDS[jpeg.frame]
    if jpeg.frame and jpeg.bits != 8:
        return f"a JPEG with {jpeg.bits} bits per sample instead of 8"
    if jpeg.frame and len(jpeg.factors) not in (1, 3, 4):
        return f"a JPEG with {len(jpeg.factors)} channels"
    if too_many_scans(jpeg):
        return f"a JPEG with more than {_MOST_SCANS} scans"
    return None
