"""What Pillow does not say about a JPEG file: which kind it is, how its inks are stored, and whether all pixels are there."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from PIL import Image

START, END = b"\xff\xd8", b"\xff\xd9"
_DQT, _SOS, _DRI, _APP1 = 0xDB, 0xDA, 0xDD, 0xE1
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7}
_PROGRESSIVE = {0xC2, 0xCA}
_OTHER = {
    **dict.fromkeys((0xC3, 0xCB), "a lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
    0xF7: "JPEG-LS",
}
# Markers whose segments are needed for the pixels: frames, tables and scans, and how the colours are stored (APP0, APP14),
# with the length of a body that is not cut.
_NEEDED = dict.fromkeys(_FRAMES | {0xC4, 0xCC, _DQT, _DRI, _SOS}, 1) | {0xE0: 14, 0xEE: 12}
# The next marker after a scan: neither a stuffed byte nor a restart marker nor a fill byte. Without \xff+, which would take
# quadratic time in a file that ends with millions of 0xFF.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
# Zero bytes that the data of a scan may end with; more of them are padding.
_OWN_ZEROS = 2
_MANY = 8
# Usual encoders write up to 20 scans. Each one costs a pass over the picture, so a small file with thousands of them would
# occupy a worker for hours.
_MOST_SCANS = 100
# So many bytes at the end of a scan have at least so many different values, unless the picture is very plain.
_SAMPLE, _FEWEST_VALUES = 32, 12
_WITHOUT_FF = 2048  # and 0xFF is one of so many
# What libjpeg makes of missing blocks, in each channel: grey, inverted if the channel is an ink.
_GREY = {127, 128}
_UNSEEN = 99  # the bit position of a coefficient that no scan has begun
# Continuations of a scan that differ from its first bit on; none of their bytes is a marker.
_FILLERS = (b"", b"\xaa" * 64, b"\x55" * 64)


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


def seems_whole(jpeg: Jpeg, corner: tuple[int, ...]) -> bool:
    """Whether nothing hints at missing pixels in a file that libjpeg has decoded.

    A proof would take several times as long as decoding the file. Not noticed is a progressive file whose last scan was cut
    and then given an end: it lacks some details of some pixels.

    :param corner: the channels of the last pixel. libjpeg makes missing blocks grey, and the last block is one of them.
    """
    if jpeg.frame in _OTHER:
        return jpeg.ended  # its scans have other parameters
    grey = _GREY.issuperset(corner)
    return not grey and bool(jpeg.scans) and jpeg.ended and _all_scans(jpeg) and not _is_filled(jpeg.scans[-1].data)


def _is_filled(data: bytes) -> bool:
    """Whether the end of a scan does not look like compressed data, but like zeros, a repeated pattern or text."""
    end = data[-_SAMPLE:]
    repeated = len(end) - len(end.rstrip(end[-1:]))
    plain = repeated > _OWN_ZEROS or len(set(end)) < _FEWEST_VALUES or max(end, default=0) < 0x80
    return plain or (len(data) > _WITHOUT_FF and b"\xff" not in data[-_WITHOUT_FF:])


def too_many_scans(jpeg: Jpeg) -> bool:
    """Whether a file has more passes over the picture than any encoder writes."""
    return len(jpeg.scans) > _MOST_SCANS


def unsupported(data: bytes) -> str | None:
    """The kind of JPEG that no decoder here reads."""
    jpeg = structure(data)
    if jpeg.frame in _OTHER:
        return _OTHER[jpeg.frame]
    if jpeg.frame and jpeg.bits != 8:
        return f"a JPEG with {jpeg.bits} bits per sample instead of 8"
    if jpeg.frame and len(jpeg.factors) not in (1, 3, 4):
        return f"a JPEG with {len(jpeg.factors)} channels"
    if too_many_scans(jpeg):
        return f"a JPEG with more than {_MOST_SCANS} scans"
    return None


def only_pixels(data: bytes) -> Iterator[bytes]:
    """Files with the same pixels that a decoder may read although it refused ``data``: without profiles and comments.

    The first one keeps the EXIF data, which hold the orientation, the second one does not, since they may be what is damaged.
    Nothing is returned for a file whose pixels are not complete.
    """
    jpeg = structure(data)
    file = _repaired(jpeg)
    if file is not None:
        yield from (START + exif + file[len(START) :] for exif in dict.fromkeys((jpeg.exif, b"")))


def _repaired(jpeg: Jpeg) -> bytes | None:
    """The segments that are needed for the pixels as a file, if the pixels are complete."""
    if not jpeg.scans or not _all_scans(jpeg) or too_many_scans(jpeg):
        return None
    for tail in _tails(jpeg.scans[-1].data):
        if _complete(jpeg, tail) and not _superfluous(jpeg, tail):
            return _file(jpeg.needed, tail)
    return None


def _file(segments: list[bytes], tail: bytes) -> bytes:
    """A file of these segments, with other data for its last scan."""
    last = segments[-1]
    return START + b"".join(segments[:-1]) + last[: 2 + int.from_bytes(last[2:4], "big")] + tail + END


def _tails(data: bytes) -> Iterator[bytes]:
    """The data of a scan without the bytes with which a file was filled up; zeros may also be the end of the picture."""
    data = data.rstrip(b"\xff")
    stripped = data.rstrip(b"\0")
    if len(data) - len(stripped) > _OWN_ZEROS:
        yield stripped + data[len(stripped) :][:_OWN_ZEROS]
    yield data


def _superfluous(jpeg: Jpeg, tail: bytes) -> bool:
    """Whether the picture is complete without the last bytes: something else was written where the rest of it belongs."""
    shorter = tail[:-_MANY]
    return bool(shorter) and _restarts(shorter) == _restarts(tail) and _complete(jpeg, shorter)


def _restarts(data: bytes) -> int:
    return len(re.findall(rb"\xff[\xd0-\xd7]", data))


def _all_scans(jpeg: Jpeg) -> bool:
    """Whether no scan is missing, and the last one has all its restart markers."""
    last = jpeg.scans[-1]
    return _all_begun(jpeg) and (not jpeg.interval or _restarts(last.data) == (_units(jpeg, last) - 1) // jpeg.interval)


def _all_begun(jpeg: Jpeg) -> bool:
    """Whether the scans begin every bit of every coefficient of every component."""
    coefficients = {component: [_UNSEEN] * 64 for component in jpeg.factors}
    for scan in jpeg.scans:
        for component in scan.components:
            if component in coefficients:
                bits = coefficients[component]
                bits[scan.first : scan.last + 1] = [scan.low_bit] * len(bits[scan.first : scan.last + 1])
    return not any(any(bits) for bits in coefficients.values())


def _units(jpeg: Jpeg, scan: Scan) -> int:
    """How many units (MCUs) a scan has."""
    known = [f for f in jpeg.factors.values() if min(f) > 0] or [(1, 1)]
    across, down = max(h for h, _ in known), max(v for _, v in known)
    if len(scan.components) == 1:
        h, v = jpeg.factors.get(scan.components[0], (1, 1))
        width, height = -(-jpeg.size[0] * h // across), -(-jpeg.size[1] * v // down)
        return -(-width // 8) * -(-height // 8)
    return -(-jpeg.size[0] // (8 * across)) * -(-jpeg.size[1] // (8 * down))


def _complete(jpeg: Jpeg, tail: bytes) -> bool:
    """Whether the data of the last scan reach to the last pixel.

    libjpeg fills missing pixels without an error. But what follows the last pixel cannot change the picture, so different
    continuations give the same pixels only if none is missing. Other quantisation tables make each difference visible. This
    takes as long as decoding the file six times, so it is only done for files that do not seem whole.
    """
    for segments in _magnified(jpeg):
        first = _digest(_file(segments, tail + _FILLERS[0]))
        if any(_digest(_file(segments, tail + filler)) != first for filler in _FILLERS[1:]):
            return False
    return True


def _magnified(jpeg: Jpeg) -> Iterator[list[bytes]]:
    """The same segments with tables that show only details or only means, and without the crop to the picture's size."""
    step = (8, 8)
    if len(jpeg.scans[-1].components) > 1:
        step = (8 * max(h for h, _ in jpeg.factors.values()), 8 * max(v for _, v in jpeg.factors.values()))
    width, height = (-(-side // each) * each for side, each in zip(jpeg.size, step, strict=True))
    for mean, detail in ((0, 32), (8, 0)):
        segments = []
        for segment in jpeg.needed:
            if segment[1] == _DQT:
                segment = _flat_tables(segment[4:], mean, detail)
            elif segment[1] == jpeg.frame:
                segment = segment[:5] + struct.pack(">HH", height, width) + segment[9:]
            segments.append(segment)
        yield segments


def _flat_tables(body: bytes, mean: int, detail: int) -> bytes:
    """A segment that defines the same quantisation tables with two numbers only."""
    out, at = b"", 0
    while at < len(body):
        out += bytes([body[at] & 15, mean]) + bytes([detail]) * 63
        at += 1 + 64 * (1 + (body[at] >> 4))
    return b"\xff" + bytes([_DQT]) + (len(out) + 2).to_bytes(2, "big") + out


def _digest(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return sha256(image.tobytes()).digest()
