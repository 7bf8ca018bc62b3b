"""Pictures of every sample type, colour system and layout, written here from known samples; the right pixels follow from them."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sqlext.images.decode import ImageError, ImageInfo, decode, info
from tests.support.tiff_files import tiff

Array = NDArray[Any]
HEIGHT, WIDTH = 37, 53
# A grey ramp with all values from 0 to 255, and a picture whose channels differ.
RAMP: Array = (np.arange(HEIGHT * WIDTH) * 256 // (HEIGHT * WIDTH)).astype(np.uint8).reshape(HEIGHT, WIDTH)
COLOURS: Array = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=-1)
UNIT: Array = RAMP / np.float32(255)
ALPHA: Array = np.full((HEIGHT, WIDTH, 1), 51, np.uint8)
LZW, DEFLATE, PACKBITS, LZMA, ZSTD = 5, 8, 32773, 34925, 50000


def wide(samples: Array, kind: str) -> Array:
    """8-bit samples spread over the whole range of 16 bits."""
    return samples.astype(kind) * np.array(257, kind)


def up_to(samples: Array, largest: int) -> Array:
    """8-bit samples spread from 0 to another largest value."""
    return (samples.astype(float) * largest / 255).round().astype(">u2")


def with_nan(samples: Array) -> Array:
    """NaN where the ramp is 0, infinity where it is 255."""
    out = samples.astype(np.float32)
    out[RAMP == 0], out[RAMP == 255] = np.nan, np.inf
    out[0, 0], out[-1, -1] = samples.min(), samples.max()
    return out


def palette(bits: int) -> dict[int, tuple[int, Any]]:
    """A colour map that inverts grey, and shows red only in the first half."""
    grey = np.arange(1 << bits) * 255 // ((1 << bits) - 1)
    return {320: (3, np.concatenate([255 - grey, 255 - grey, grey]) * 257)}


def through_palette(index: Array, bits: int) -> Array:
    grey = (index.astype(int) * 255 // ((1 << bits) - 1)).astype(np.uint8)
    return np.stack([255 - grey, 255 - grey, grey], axis=-1)


def ycbcr(rgb: Array) -> Array:
    """The equations of JPEG (ITU-R BT.601, full range)."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    planes = [y, 128 + (b - y) / 1.772, 128 + (r - y) / 1.402]
    return np.stack(planes, axis=-1).round().clip(0, 255).astype(np.uint8)


def subsampled(rgb: Array, across: int, down: int) -> bytes:
    """A YCbCr TIFF whose colour differences are stored once for ``across`` x ``down`` equal pixels."""
    ycc = ycbcr(rgb)
    units = [
        [*ycc[y : y + down, x : x + across, 0].ravel(), *ycc[y, x, 1:]]
        for y in range(0, ycc.shape[0], down)
        for x in range(0, ycc.shape[1], across)
    ]
    packed = np.array(units, np.uint8).tobytes()
    written = tiff(rgb, 6, tags={530: (3, [across, down])})
    # The units replace the samples, which are the first data of the file and longer.
    return written[:8] + packed + written[8 + len(packed) :]


def blocks(width: int, height: int) -> Array:
    """A picture of 4 x 4 squares of one colour."""
    return COLOURS[: height // 4, : width // 4].repeat(4, axis=0).repeat(4, axis=1)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(rows: Array, depth: int, colour: int, more: bytes = b"", size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    """A PNG from rows of packed bytes."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def packed(samples: Array, bits: int) -> Array:
    digits = (samples[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(digits.reshape(len(samples), -1).astype(np.uint8), axis=1)


def interlaced(rgb: Array) -> bytes:
    """A PNG in the seven passes of Adam7."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    data = b"".join(b"\0" + row.tobytes() for y, x, dy, dx in passes for row in rgb[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 1)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def netpbm(kind: bytes, samples: Array, largest: int) -> bytes:
    return b"%s %d %d %d\n" % (kind, samples.shape[1], samples.shape[0], largest) + samples.tobytes()


def pam(samples: Array, largest: int, kind: bytes) -> bytes:
    height, width, depth = samples.shape
    head = b"P7\n# a comment\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL %d\nTUPLTYPE %s\nENDHDR\n"
    return head % (width, height, depth, largest, kind) + samples.tobytes()


def lossless_jpeg(grey: Array) -> bytes:
    """A lossless JPEG: each sample as its difference to the one on its left (the first of a row: above it)."""
    before = np.concatenate([grey[:, :1], grey[:, :-1]], axis=1).astype(int)
    before[1:, 0], before[0, 0] = grey[:-1, 0], 128
    digits = ""
    for difference in (grey - before).ravel().tolist():
        length = abs(difference).bit_length()
        digits += f"{length:04b}" + (f"{difference % ((1 << length) - (difference < 0)):0{length}b}" if length else "")
    digits += "1" * (-len(digits) % 8)
    data = int(digits, 2).to_bytes(len(digits) // 8, "big").replace(b"\xff", b"\xff\0")
    segments = {
        0xC3: struct.pack(">BHHB", 8, *grey.shape, 1) + bytes([1, 0x11, 0]),
        0xC4: bytes([0, 0, 0, 0, 9, *[0] * 12]) + bytes(range(9)),  # nine codes of four bits
        0xDA: bytes([1, 1, 0, 1, 0, 0]),
    }
    head = b"".join(
        b"\xff" + bytes([kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in segments.items()
    )
    return b"\xff\xd8" + head + data + b"\xff\xd9"


def by_pillow(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def old_jpeg() -> bytes:
    """A TIFF with a whole JPEG file as its strip, as TIFF 6.0 describes it."""
    strip = by_pillow(Image.fromarray(blocks(48, 32)), "JPEG", quality=98, subsampling=0)
    size = len(strip)
    more = {259: (3, 6), 513: (4, 8), 514: (4, size), 273: (4, 8), 279: (4, size), 530: (3, [1, 1])}
    written = tiff(blocks(48, 32), 6, tags=more)
    return written[:8] + strip + written[8 + size :]


def scaled(low: float, high: float, kind: str) -> Array:
    """The ramp between two numbers."""
    return (low + RAMP / 255 * (high - low)).astype(kind)


HALF = RAMP >> 7
GREY3 = RAMP >> 5
NEAR = 1  # of rounding
LAB_GREY = np.stack([RAMP, RAMP * 0, RAMP * 0], axis=-1).astype(np.uint8)


def lab_grey() -> Array:
    """The sRGB grey of each lightness: L* = 100 * v / 255."""
    light = (RAMP / 255 * 100 + 16) / 116
    y = np.where(light > 6 / 29, light**3, 3 * (6 / 29) ** 2 * (light - 4 / 29))
    curved = np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055)
    return (curved * 255).round().astype(np.uint8)


def inks(k: int = 60) -> tuple[Array, Array]:
    """CMYK samples and the RGB that they stand for."""
    cmyk = np.concatenate([COLOURS, np.full((HEIGHT, WIDTH, 1), k, np.uint8)], axis=-1)
    return cmyk, ((255.0 - COLOURS) * (255 - k) / 255).round().astype(np.uint8)


CMYK, CMYK_RGB = inks()
# name -> (how the file is written, the right pixels, the largest difference to them)
Row = tuple[Callable[[], bytes], Array, int]
TABLE: dict[str, Row] = {
    # TIFF: unsigned samples fill their range
    "grey 8": (lambda: tiff(RAMP), RAMP, 0),
    "grey 16": (lambda: tiff(wide(RAMP, "u2")), RAMP, 0),
    "grey 16 big-endian": (lambda: tiff(wide(RAMP, "u2"), order=">"), RAMP, 0),
    "grey 16, half of the range": (lambda: tiff(RAMP.astype("u2") * 128), RAMP >> 1, 0),
    "grey 12 packed": (lambda: tiff(RAMP.astype("u2") * 16, bits=12), RAMP, 0),
    "grey 10 packed big-endian": (lambda: tiff(RAMP.astype("u2") * 4, bits=10, order=">"), RAMP, 0),
    "grey 4": (lambda: tiff(RAMP >> 4, bits=4), (RAMP >> 4) * 17, 0),
    "grey 3": (lambda: tiff(GREY3, bits=3), (GREY3 * (255 / 7)).round().astype(np.uint8), 0),
    "grey 2": (lambda: tiff(RAMP >> 6, bits=2), (RAMP >> 6) * 85, 0),
    "bilevel": (lambda: tiff(HALF, bits=1), HALF * 255, 0),
    "rgb 8": (lambda: tiff(COLOURS, 2), COLOURS, 0),
    "rgb 16": (lambda: tiff(wide(COLOURS, "u2"), 2), COLOURS, 0),
    "rgb 4": (lambda: tiff(COLOURS >> 4, 2, bits=4), (COLOURS >> 4) * 17, 0),
    # the others by their own range, or 0 to 1
    "float16 0 to 1": (lambda: tiff(UNIT.astype("f2")), RAMP, NEAR),
    "float32 0 to 1": (lambda: tiff(UNIT), RAMP, 0),
    "float64 0 to 1": (lambda: tiff(UNIT.astype("f8")), RAMP, 0),
    "float32 0.25 to 0.75": (lambda: tiff(scaled(0.25, 0.75, "f4")), (63.75 + RAMP / 2).round(), NEAR),
    "float32 0 to 65535": (lambda: tiff(scaled(0, 65535, "f4")), RAMP, 0),
    "float64 -3 to 7": (lambda: tiff(scaled(-3, 7, "f8"), order=">"), RAMP, 0),
    "float32 rgb": (lambda: tiff(COLOURS / np.float32(255), 2), COLOURS, 0),
    "float32 with NaN and infinity": (lambda: tiff(with_nan(scaled(-5, 5, "f4"))), RAMP, 0),
    "float32 without data": (
        lambda: tiff(np.where(RAMP < 9, np.float32(-3.4e38), scaled(0, 100, "f4")), tags={42113: (2, b"-3.4e+38\0")}),
        np.where(RAMP < 9, 0, ((RAMP.astype(float) - 9) * 255 / 246).round()),
        NEAR,
    ),
    "float32 constant": (lambda: tiff(np.full((HEIGHT, WIDTH), 0.2, "f4")), RAMP * 0 + 51, 0),
    "int8": (lambda: tiff((RAMP.astype(int) - 128).astype("i1")), RAMP, 0),
    "int16": (lambda: tiff(scaled(-30000, 31425, "i2")), RAMP, NEAR),
    "int16 big-endian": (lambda: tiff(scaled(-30000, 31425, "i2"), order=">"), RAMP, NEAR),
    "int32": (lambda: tiff(scaled(0, 65520, "i4")), RAMP, NEAR),
    "uint32": (lambda: tiff(scaled(7, 3e9, "u4")), RAMP, NEAR),
    "int64": (lambda: tiff(scaled(-1e12, 1e12, "i8")), RAMP, NEAR),
    "uint64": (lambda: tiff(scaled(0, 1e15, "u8")), RAMP, NEAR),
    "int16 rgb": (lambda: tiff(COLOURS.astype("i2") * 100 - 5000, 2), COLOURS, 0),
    # white is zero
    "white is zero 8": (lambda: tiff(255 - RAMP, 0), RAMP, 0),
    "white is zero 16": (lambda: tiff(wide(255 - RAMP, "u2"), 0), RAMP, 0),
    "white is zero 1": (lambda: tiff(1 - HALF, 0, bits=1), HALF * 255, 0),
    "white is zero 4": (lambda: tiff(15 - (RAMP >> 4), 0, bits=4), (RAMP >> 4) * 17, 0),
    "white is zero float32": (lambda: tiff(1 - UNIT, 0), RAMP, NEAR),
    "white is zero int16": (lambda: tiff(scaled(900, -900, "i2"), 0), RAMP, NEAR),
    # layouts
    "planar 8": (lambda: tiff(COLOURS, 2, planar=True), COLOURS, 0),
    "planar 16": (lambda: tiff(wide(COLOURS, "u2"), 2, planar=True, order=">"), COLOURS, 0),
    "planar float32 in tiles": (lambda: tiff(COLOURS / np.float32(255), 2, planar=True, tile=16), COLOURS, 0),
    "tiles 16": (lambda: tiff(wide(COLOURS, "u2"), 2, tile=32, compression=DEFLATE, predictor=2), COLOURS, 0),
    "strips": (lambda: tiff(wide(COLOURS, "u2"), 2, rows=5, compression=LZW), COLOURS, 0),
    "pages": (lambda: tiff(wide(RAMP, "u2"), pages=3), RAMP, 0),
    "BigTIFF": (lambda: tiff(COLOURS, 2, big=True), COLOURS, 0),
    "BigTIFF big-endian": (lambda: tiff(wide(RAMP, "u2"), big=True, order=">", pages=2), RAMP, 0),
    "bits in reverse": (
        lambda: tiff(
            np.packbits(np.unpackbits(RAMP[..., None], axis=-1)[..., ::-1], axis=-1)[..., 0], tags={266: (3, 2)}
        ),
        RAMP,
        0,
    ),
    "upright": (lambda: tiff(np.rot90(wide(RAMP, "u2")).copy(), tags={274: (3, 6)}), RAMP, 0),
    # compressions and predictors
    "PackBits": (lambda: tiff(wide(COLOURS, "u2"), 2, compression=PACKBITS), COLOURS, 0),
    "LZW, predictor 2": (lambda: tiff(wide(COLOURS, "u2"), 2, compression=LZW, predictor=2, order=">"), COLOURS, 0),
    "Deflate, predictor 2, int32": (
        lambda: tiff(scaled(0, 65520, "i4"), compression=DEFLATE, predictor=2),
        RAMP,
        NEAR,
    ),
    "Deflate, predictor 3, float32": (lambda: tiff(UNIT, compression=DEFLATE, predictor=3), RAMP, 0),
    "LZW, predictor 3, float32 rgb in tiles": (
        lambda: tiff(COLOURS / np.float32(255), 2, compression=LZW, predictor=3, tile=16, order=">"),
        COLOURS,
        0,
    ),
    "LZMA": (lambda: tiff(wide(COLOURS, "u2"), 2, compression=LZMA), COLOURS, 0),
    "Zstandard": (lambda: tiff(wide(COLOURS, "u2"), 2, compression=ZSTD, predictor=2), COLOURS, 0),
    "JPEG in TIFF": (
        lambda: by_pillow(Image.fromarray(blocks(48, 32)), "TIFF", compression="jpeg", quality=98),
        blocks(48, 32),
        12,
    ),
    "old-style JPEG in TIFF": (old_jpeg, blocks(48, 32), 12),
    "fax group 4": (
        lambda: by_pillow(Image.fromarray(HALF * 255).convert("1"), "TIFF", compression="group4"),
        HALF * 255,
        0,
    ),
    "fax group 3": (
        lambda: by_pillow(Image.fromarray(HALF * 255).convert("1"), "TIFF", compression="group3"),
        HALF * 255,
        0,
    ),
    # colour systems and further channels
    "palette 8": (lambda: tiff(RAMP, 3, tags=palette(8)), through_palette(RAMP, 8), 0),
    "palette 4": (lambda: tiff(RAMP >> 4, 3, bits=4, tags=palette(4)), through_palette(RAMP >> 4, 4), 0),
    "palette of 8-bit colours": (
        lambda: tiff(RAMP, 3, tags={320: (3, palette(8)[320][1] // 257)}),
        through_palette(RAMP, 8),
        0,
    ),
    "CMYK 8": (lambda: tiff(CMYK, 5), CMYK_RGB, NEAR),
    "CMYK 16 planar": (lambda: tiff(wide(CMYK, "u2"), 5, planar=True), CMYK_RGB, NEAR),
    "CMYK with alpha": (lambda: tiff(np.concatenate([CMYK, ALPHA], -1), 5, tags={338: (3, 2)}), CMYK_RGB, NEAR),
    "YCbCr": (lambda: tiff(ycbcr(COLOURS), 6, tags={530: (3, [1, 1])}), COLOURS, 2),
    "YCbCr 2 x 1": (lambda: subsampled(blocks(48, 32), 2, 1), blocks(48, 32), 2),
    "YCbCr 2 x 2": (lambda: subsampled(blocks(48, 32), 2, 2), blocks(48, 32), 2),
    "L*a*b* 8": (lambda: tiff(LAB_GREY, 8), lab_grey(), NEAR),
    "L*a*b* 16": (lambda: tiff(wide(LAB_GREY, "u2"), 8), lab_grey(), NEAR),
    "L*a*b* of ICC": (lambda: tiff(LAB_GREY + np.array([0, 128, 128], "u1"), 9), lab_grey(), NEAR),
    "alpha": (lambda: tiff(np.concatenate([COLOURS, ALPHA], -1), 2, tags={338: (3, 2)}), COLOURS, 0),
    "alpha 16, multiplied": (
        lambda: tiff(
            np.concatenate([(wide(COLOURS, "u2") * (51 / 255)).astype("u2"), wide(ALPHA, "u2")], -1),
            2,
            tags={338: (3, 1)},
        ),
        COLOURS,
        5,
    ),
    "grey with alpha 16": (
        lambda: tiff(wide(np.concatenate([RAMP[..., None], ALPHA], -1), "u2"), tags={338: (3, 2)}),
        RAMP,
        0,
    ),
    "rgb with two more channels": (lambda: tiff(np.concatenate([COLOURS, ALPHA, ALPHA], -1), 2), COLOURS, 0),
    # odd tags
    "one number for the bits of three channels": (lambda: tiff(COLOURS, 2, tags={258: (3, 8)}), COLOURS, 0),
    "without sample format, planar configuration and sizes": (
        lambda: tiff(COLOURS, 2, tags={339: (3, None), 284: (3, None), 279: (4, None)}),
        COLOURS,
        0,
    ),
    "tags that nobody knows": (
        lambda: tiff(
            wide(RAMP, "u2"), tags={270: (2, b"\xff" * 99), 34675: (7, b"no profile"), 65000: (99, b"1234567")}
        ),
        RAMP,
        0,
    ),
    # PNG
    **{
        f"PNG grey {bits}": (
            lambda bits=bits: png(packed(RAMP >> (8 - bits), bits), bits, 0),
            (RAMP >> (8 - bits)) * (255 // ((1 << bits) - 1)),
            0,
        )
        for bits in (1, 2, 4, 8)
    },
    **{
        f"PNG palette {bits}": (
            lambda bits=bits: png(
                packed(RAMP >> (8 - bits), bits),
                bits,
                3,
                chunk(b"PLTE", through_palette(np.arange(1 << bits), bits).tobytes()),
            ),
            through_palette(RAMP >> (8 - bits), bits),
            0,
        )
        for bits in (1, 2, 4, 8)
    },
    "PNG grey 16": (lambda: png(wide(RAMP, ">u2"), 16, 0), RAMP, 0),
    "PNG grey 16 with alpha": (lambda: png(wide(np.stack([RAMP, 255 - RAMP], -1), ">u2"), 16, 4), RAMP, 0),
    "PNG rgb 16": (lambda: png(wide(COLOURS, ">u2"), 16, 2), COLOURS, 0),
    "PNG rgb 16 with alpha": (lambda: png(wide(np.concatenate([COLOURS, ALPHA], -1), ">u2"), 16, 6), COLOURS, 0),
    "PNG with one transparent colour": (
        lambda: png(COLOURS, 8, 2, chunk(b"tRNS", bytes([0, 9, 0, 9, 0, 9]))),
        COLOURS,
        0,
    ),
    "PNG interlaced": (lambda: interlaced(COLOURS), COLOURS, 0),
    # Netpbm
    "PPM 255": (lambda: netpbm(b"P6", COLOURS, 255), COLOURS, 0),
    "PPM 65535": (lambda: netpbm(b"P6", wide(COLOURS, ">u2"), 65535), COLOURS, 0),
    "PPM 1023": (lambda: netpbm(b"P6", up_to(COLOURS, 1023), 1023), COLOURS, NEAR),
    "PPM 15": (lambda: netpbm(b"P6", COLOURS >> 4, 15), (COLOURS >> 4) * 17, 0),
    "PGM 65535": (lambda: netpbm(b"P5", wide(RAMP, ">u2"), 65535), RAMP, 0),
    "PGM 4095": (lambda: netpbm(b"P5", up_to(RAMP, 4095), 4095), RAMP, NEAR),
    "PGM 100": (lambda: netpbm(b"P5", up_to(RAMP, 100).astype("u1"), 100), RAMP, 2),
    "PBM": (lambda: b"P4 %d %d\n" % (WIDTH, HEIGHT) + packed(1 - HALF, 1).tobytes(), HALF * 255, 0),
    "PFM": (lambda: b"Pf\n%d %d\n-1.0\n" % (WIDTH, HEIGHT) + UNIT[::-1].astype("<f4").tobytes(), RAMP, 0),
    "PFM colour big-endian": (
        lambda: b"PF\n%d %d\n1.0\n" % (WIDTH, HEIGHT) + (COLOURS[::-1] / 255).astype(">f4").tobytes(),
        COLOURS,
        0,
    ),
    "PFM 0 to 9": (lambda: b"Pf %d %d -2.5\n" % (WIDTH, HEIGHT) + scaled(0, 9, "<f4")[::-1].tobytes(), RAMP, 0),
    "PAM rgb": (lambda: pam(COLOURS, 255, b"RGB"), COLOURS, 0),
    "PAM rgb with alpha 16": (
        lambda: pam(wide(np.concatenate([COLOURS, ALPHA], -1), ">u2"), 65535, b"RGB_ALPHA"),
        COLOURS,
        0,
    ),
    "PAM grey 4095": (lambda: pam(up_to(RAMP[..., None], 4095), 4095, b"GRAYSCALE"), RAMP, NEAR),
    "PAM bilevel": (lambda: pam(HALF[..., None], 1, b"BLACKANDWHITE"), HALF * 255, 0),
    # other formats with more than 8 bits
    "JPEG 2000 grey 16": (
        lambda: by_pillow(Image.fromarray(wide(RAMP, "u2")), "JPEG2000", irreversible=False),
        RAMP,
        0,
    ),
    "lossless JPEG": (lambda: lossless_jpeg(RAMP[:, ::7]), RAMP[:, ::7], 0),
    "CMYK JPEG with Adobe's marker": (
        lambda: by_pillow(Image.new("CMYK", (WIDTH, HEIGHT), (10, 100, 200, 60)), "JPEG", quality=100),
        np.tile(np.array([187, 119, 42], np.uint8), (HEIGHT, WIDTH, 1)),
        3,
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_right_pixels(name: str) -> None:
    write, right, off = TABLE[name]
    data = write()
    picture = np.asarray(decode(data)).astype(int)
    right = right if right.ndim == 3 else right[..., None].repeat(3, axis=2)
    assert picture.shape == right.shape
    assert np.abs(picture - right.astype(int)).max() <= off
    found = info(data)
    assert (found.width, found.height) == (right.shape[1], right.shape[0])


def test_the_table_is_complete() -> None:
    assert len(TABLE) > 100


@pytest.mark.parametrize(
    ("name", "channels", "kind"),
    [
        ("float32 0 to 1", 1, "TIFF"),
        ("planar 16", 3, "TIFF"),
        ("palette 4", 3, "TIFF"),
        ("CMYK 8", 4, "TIFF"),
        ("CMYK with alpha", 5, "TIFF"),
        ("grey with alpha 16", 2, "TIFF"),
        ("PFM colour big-endian", 3, "PFM"),
        ("PAM rgb with alpha 16", 4, "PAM"),
    ],
)
def test_info_of_the_same_files(name: str, channels: int, kind: str) -> None:
    assert info(TABLE[name][0]()) == ImageInfo(WIDTH, HEIGHT, channels, kind)


def ycck(rgb: Array, adobe: bool, transform: int = 2) -> bytes:
    """A JPEG of four components in the frame of a YCCK file: Pillow's CMYK file with YCbCr of the inks and another marker."""
    # Adobe's programs store inks inverted: 255 is no black, and the other inks are the RGB of what is stored as YCbCr.
    y, cb, cr = np.moveaxis(ycbcr(255 - rgb), -1, 0)
    black = np.full_like(y, 255)
    # Pillow inverts what it writes, so the inverse of the wanted bytes is given.
    planes = [Image.fromarray(255 - plane) for plane in (y, cb, cr, black)]
    data = by_pillow(Image.merge("CMYK", planes), "JPEG", quality=100, subsampling=0)
    at = data.index(b"\xff\xee")
    length = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    marker = data[at : at + length - 1] + bytes([transform])
    return data[:at] + (marker if adobe else b"") + data[at + length :]


def test_ycck_with_adobes_marker() -> None:
    picture = np.asarray(decode(ycck(blocks(48, 32), adobe=True))).astype(int)
    assert np.abs(picture - blocks(48, 32).astype(int)).max() <= 8


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "inks without a marker": (lambda: ycck(COLOURS, adobe=False), "does not say whether 0 is no ink or full ink"),
    "complex": (lambda: tiff(np.zeros((4, 4), "f8"), tags={339: (3, 6)}), "TIFF with complex numbers of 64 bits"),
    "24-bit floats": (
        lambda: tiff(RAMP[:, :48], tags={258: (3, 24), 339: (3, 3), 256: (4, 16)}),
        "24-bit floating-point",
    ),
    "mixed": (lambda: tiff(COLOURS, 2, tags={258: (3, [5, 6, 5])}), r"different sizes or types \(5, 6, 5 bits\)"),
    "channels": (lambda: tiff(COLOURS), "3 channels that are not marked as red, green and blue"),
    "inks": (lambda: tiff(CMYK, 5, tags={332: (3, 2)}), "inks other than CMYK"),
    "too few": (lambda: tiff(RAMP, 2), "1 samples per pixel instead of 3"),
    "sensor": (lambda: tiff(wide(RAMP, "u2"), 32803), "a camera's raw file"),
    "DNG": (lambda: tiff(COLOURS, 2, tags={50706: (1, [1, 4, 0, 0])}), "a camera's raw file"),
    "LogLuv": (lambda: tiff(COLOURS, 32845, tags={259: (3, 34676)}), "LogLuv"),
    "JPEG 2000": (lambda: tiff(COLOURS, 2, tags={259: (3, 34712)}), "TIFF with JPEG 2000 compression"),
    "WebP": (lambda: tiff(COLOURS, 2, tags={259: (3, 50001)}), "TIFF with WebP compression"),
    "another": (lambda: tiff(COLOURS, 2, tags={259: (3, 40000)}), "TIFF with 40000 compression"),
    "12-bit JPEG": (
        lambda: tiff(wide(RAMP, "u2"), tags={259: (3, 7), 258: (3, 12)}),
        "JPEG compression of 12-bit samples",
    ),
    "only NaN": (lambda: tiff(np.full((4, 4), np.nan, "f4")), "no pixel has a number"),
    "cut": (lambda: tiff(wide(COLOURS, "u2"), 2)[:3000], "truncated TIFF"),
    "cut in its tags": (lambda: tiff(RAMP)[:-20], "truncated TIFF"),
    "no pixels": (lambda: tiff(RAMP, tags={256: (4, 0)}), "no pixels: 0 x 37"),
    "too large": (lambda: tiff(RAMP, tags={256: (4, 1 << 30)}), "too large"),
    "too few strips": (lambda: tiff(RAMP, rows=5, tags={273: (4, [8, 9])}), "truncated TIFF: 2 of 8 blocks"),
    "small palette": (lambda: tiff(RAMP, 3, tags={320: (3, [1, 2, 3])}), "palette of 3 numbers"),
    "tiles without size": (lambda: tiff(RAMP, tile=16, tags={322: (4, 0)}), "blocks of 0 x 16"),
    "PFM cut": (lambda: TABLE["PFM"][0]()[:-1], "truncated PFM"),
    "PAM cut": (lambda: TABLE["PAM rgb"][0]()[:-1], "truncated PAM"),
    "PAM of five channels": (
        lambda: pam(np.zeros((4, 4, 5), "u1"), 255, b"STRANGE"),
        "PAM of type STRANGE with 5 channels",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_reasons(name: str) -> None:
    write, reason = REFUSED[name]
    with pytest.raises(ImageError, match=reason) as error:
        decode(write())
    assert len(str(error.value)) < 160


def with_many_tags() -> bytes:
    """4,000 tags that each claim to be as long as the file."""
    plain = tiff(np.zeros((1000, 1000), np.uint8))
    pages = plain[:4] + struct.pack("<I", len(plain))
    rows = struct.unpack_from("<H", plain, struct.unpack_from("<I", plain, 4)[0])[0]
    first = struct.unpack_from("<I", plain, 4)[0] + 2
    entries = [plain[first + 12 * i : first + 12 * i + 12] for i in range(rows)]
    entries += [struct.pack("<HHII", tag, 2, len(plain), 0) for tag in range(1000, 5000)]
    return pages + plain[8:] + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "tags as long as the file": (with_many_tags, ""),
    "huge tiles": (
        lambda: tiff(RAMP, tile=64, compression=8, tags={322: (4, 60_000), 323: (4, 60_000)}),
        r"too large: tiles of 60000 x 60000 pixels for a picture of",
    ),
    "high and narrow, with wide tiles": (
        lambda: tiff(
            np.zeros((16, 16), "u1"),
            tile=16,
            compression=8,
            tags={
                257: (4, 90_000),
                256: (4, 1),
                322: (4, 60_000),
                323: (4, 1),
                324: (4, [8] * 90_000),
                325: (4, [9] * 90_000),
            },
        ),
        "too large: tiles of 60000 x 1 pixels",
    ),
    "tiles of one pixel": (
        lambda: tiff(
            RAMP,
            tile=16,
            tags={
                256: (4, 1000),
                257: (4, 1000),
                322: (4, 1),
                323: (4, 1),
                324: (4, [8] * 1_000_000),
                325: (4, [1] * 1_000_000),
            },
        ),
        "too large: 1,000,000 strips or tiles are more than 200,000",
    ),
    "blocks as long as the file": (
        lambda: tiff(
            np.zeros((2000, 8), "u1"),
            rows=1,
            compression=8,
            tags={279: (4, [1_000_000] * 2000), 700: (1, bytes(1_100_000))},
        ),
        "",
    ),
    "a row of 12-bit samples": (
        lambda: tiff(
            np.zeros((1, 8), "u2"), bits=12, tags={256: (4, 8_000_000), 273: (4, 8), 700: (1, bytes(12_000_000))}
        ),
        "",
    ),
    "thousands of sample sizes": (
        lambda: tiff(RAMP, tags={258: (3, [8] * 500_000 + [9])}),
        r"samples of different sizes or types \(8, 8, 8, 8, 8 bits\)",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_small_files_take_little_time_and_memory(name: str) -> None:
    write, reason = HOSTILE[name]
    data = write()
    tracemalloc.start()
    began = time.process_time()
    try:
        if reason:
            with pytest.raises(ImageError, match=reason):
                decode(data)
        else:
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 250_000_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 3


def test_wide_rows_of_odd_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a row is divided."""
    from sqlext.images import tiff_samples

    monkeypatch.setattr(tiff_samples, "_PIECE", 512)
    samples = np.random.default_rng(2).integers(0, 1 << 12, (3, 101), np.uint16)
    for bits in (3, 5, 12):
        picture = samples >> (12 - bits)
        found = np.asarray(decode(tiff(picture, bits=bits)))[..., 0]
        wanted = picture >> (bits - 8) if bits > 8 else np.rint(picture * (255 / ((1 << bits) - 1)))
        assert np.array_equal(found, wanted), bits


def test_reasons_have_no_text_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlext.images import tiff as reader

    def fail(*_: object) -> None:
        np.zeros(3).reshape(2, 2)

    for name, functions in (("first_page", (decode, info)), ("_pixels", (decode,))):
        with monkeypatch.context() as patch:
            patch.setattr(reader, name, fail)
            for function in functions:
                with pytest.raises(ImageError) as error:
                    function(tiff(RAMP))
                assert str(error.value) == "corrupt TIFF: its parts contradict each other"


def test_a_thumbnail_is_not_taken_for_a_raw_file() -> None:
    """NEF and ARW files have the sensor's values in a page below the first one, which is a small preview."""
    preview = tiff(COLOURS, 2, tags={330: (4, 0)})
    at = len(preview)
    sub = struct.pack("<HHHIIHHIII", 2, 256, 4, 1, 9, 262, 3, 1, 32803, 0)
    pointer = struct.pack("<HHII", 330, 4, 1, 0)
    raw = preview.replace(pointer, struct.pack("<HHII", 330, 4, 1, at)) + sub
    for function in (decode, info):
        with pytest.raises(ImageError, match="a camera's raw file"):
            function(raw)
    assert np.array_equal(np.asarray(decode(preview)), COLOURS)


def test_any_damage_of_these_files_is_an_image_error() -> None:
    random = np.random.default_rng(3)
    for name in TABLE:
        data = np.frombuffer(TABLE[name][0](), np.uint8)
        for place in (slice(0, 60), slice(-250, None), slice(0, None)):
            damaged = data.copy()
            part = damaged[place]
            part[random.integers(0, len(part), 3)] = random.integers(0, 256, 3)
            for function in (decode, info):
                try:
                    function(damaged.tobytes())
                except ImageError as error:
                    assert 0 < len(str(error)) < 200
