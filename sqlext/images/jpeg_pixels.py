"""Whether all pixels of a JPEG are there, and files with the same pixels for a decoder that refuses the file."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from hashlib import sha256

from PIL import Image

from sqlext.images.jpeg import DQT, END, OTHER_KINDS, START, Jpeg, Scan, structure, too_many_scans

# Zero bytes that the data of a scan may end with; more of them are padding.
_OWN_ZEROS = 2
_MANY = 8  # a scan that is complete without so many of its last bytes was filled up with something else
# What libjpeg makes of missing blocks, in each channel: grey, inverted if the channel is an ink.
_GREY = {127, 128}
_SAMPLE = 32  # bytes; fewer may be the same as in a text by chance
_MOST_PER_PIXEL = 2  # bytes; even noise in the best quality rarely takes more
_FEW = 6  # times the usual distance of two 0xFF; one in 400 files has none for longer at its end
_UNSEEN = 99  # the bit position of a coefficient that no scan has begun
# Continuations of a scan that differ from its first bit on; none of their bytes is a marker.
_FILLERS = (b"", b"\xaa" * 64, b"\x55" * 64)


def seems_whole(jpeg: Jpeg, image: Image.Image) -> bool:
    """Whether nothing hints at missing pixels in a file that libjpeg has decoded to ``image``.

    A proof would take several times as long as decoding the file. One case is not noticed: a progressive file whose last scan
    was cut and then got an end marker lacks some details of some pixels.
    """
    if jpeg.frame in OTHER_KINDS:
        return jpeg.ended  # its scans have other parameters
    if not (jpeg.scans and jpeg.ended and _all_scans(jpeg)) or _has_grey_corner(image):
        return False
    data = jpeg.scans[-1].data
    much = len(data) > _MOST_PER_PIXEL * image.width * image.height
    return not (much or _seems_filled(data)) or _needs(jpeg, data[-_MANY:], image)


def _has_grey_corner(image: Image.Image) -> bool:
    """Whether the last pixel has the grey that libjpeg gives to missing blocks: the last block is one of them."""
    channels = image.getpixel((image.width - 1, image.height - 1))
    return _GREY.issuperset(channels if isinstance(channels, tuple) else (channels,))


def _seems_filled(data: bytes) -> bool:
    """Whether the end of a scan does not look like compressed data, but like one repeated byte, text or other numbers."""
    end = data[-_SAMPLE:]
    repeated = len(end) - len(end.rstrip(end[-1:]))
    # Up to here, the data have 0xFF in almost regular distances.
    without = len(data) - 1 - data.rfind(b"\xff")
    return repeated > _OWN_ZEROS or max(end, default=0) < 0x80 or without * data.count(b"\xff") > _FEW * len(data)


def _needs(jpeg: Jpeg, end: bytes, image: Image.Image) -> bool:
    """Whether the picture would be another one with other bytes at the end of its last scan."""
    changed = jpeg.scans[-1].data[: -len(end)] + _FILLERS[1]
    return _digest(_file(jpeg.needed, changed)) != sha256(image.tobytes()).digest()


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
            if segment[1] == DQT:
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
    return b"\xff" + bytes([DQT]) + (len(out) + 2).to_bytes(2, "big") + out


def _digest(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return sha256(image.tobytes()).digest()
