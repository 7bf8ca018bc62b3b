"""Files with complete pixels decode, whatever else is wrong with them; files with missing pixels are truncated."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile, PngImagePlugin

from sqlext.images.decode import ImageError, decode, info
from tests.support.tiff_files import tiff

Array = NDArray[Any]
RANDOM = np.random.default_rng(0)
NOISE: Array = RANDOM.integers(0, 256, (50, 70, 3), np.uint8)
SMOOTH: Array = np.asarray(Image.fromarray(NOISE[:5, :7]).resize((70, 50)))
START, END = b"\xff\xd8", b"\xff\xd9"


def encoded(pixels: Array, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def pixels(data: bytes) -> Array:
    """What Pillow itself makes of an intact file."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(data: bytes, more: bytes) -> bytes:
    """Inserts bytes behind the header of a PNG."""
    return data[:33] + more + data[33:]


def behind_pixels(data: bytes, more: bytes) -> bytes:
    return data[:-12] + more + data[-12:]


def with_segments(data: bytes, *bodies: tuple[int, bytes]) -> bytes:
    """Inserts segments behind the start of a JPEG."""
    parts = [b"\xff" + bytes([kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in bodies]
    return data[:2] + b"".join(parts) + data[2:]


def with_text(count: int, size: int, zipped: bool) -> bytes:
    texts = PngImagePlugin.PngInfo()
    for number in range(count):
        texts.add_itxt(f"a{number}", "x" * size, zip=zipped)
    return encoded(NOISE, "PNG", pnginfo=texts)


PNG = encoded(NOISE, "PNG")
BAD_CRC = b"\0\0\0\3tEXta\0b\0\0\0\0"
JPEG = encoded(SMOOTH, "JPEG")
PROFILE = b"ICC_PROFILE\0\1\1" + bytes(40_000)
WEBP = encoded(NOISE, "WEBP", lossless=True, exif=b"Exif\0\0MM\0*\0\0\0\x08" + bytes(40), icc_profile=bytes(500))
JPEGS: dict[str, bytes] = {
    "smooth": JPEG,
    "noise": encoded(NOISE, "JPEG", quality=90),
    "grey": encoded(SMOOTH[..., 0], "JPEG"),
    "full colour": encoded(SMOOTH, "JPEG", subsampling=0),
    "optimised": encoded(SMOOTH, "JPEG", optimize=True),
    "one colour": encoded(np.full_like(SMOOTH, 255), "JPEG", optimize=True),
    "progressive": encoded(SMOOTH, "JPEG", progressive=True),
    "restart markers": encoded(NOISE, "JPEG", restart_marker_blocks=2),
    "progressive with restart markers": encoded(NOISE, "JPEG", progressive=True, restart_marker_rows=1),
    "one pixel": encoded(SMOOTH[:1, :1], "JPEG"),
}
# name -> (the file, an intact file with the same pixels)
COMPLETE: dict[str, tuple[Callable[[], bytes], bytes]] = {
    "PNG with a profile of 2 MB": (lambda: encoded(NOISE, "PNG", icc_profile=os.urandom(2 << 20)), PNG),
    "PNG with 2 MB of zipped text": (lambda: with_text(1, 2_000_000, True), PNG),
    "PNG with 70 texts of 1 MB": (lambda: with_text(70, 1_000_000, False), PNG),
    "PNG, CRC of a text": (lambda: with_chunk(PNG, BAD_CRC), PNG),
    "PNG, CRC of a text behind the pixels": (lambda: behind_pixels(PNG, BAD_CRC), PNG),
    "PNG, zipped text behind the pixels": (
        lambda: behind_pixels(PNG, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 << 20)))),
        PNG,
    ),
    "PNG, short gAMA": (lambda: with_chunk(PNG, chunk(b"gAMA", b"\0\1")), PNG),
    "PNG, short pHYs": (lambda: with_chunk(PNG, chunk(b"pHYs", b"\0\0\1")), PNG),
    "PNG, short cHRM, sRGB and iCCP": (
        lambda: with_chunk(PNG, chunk(b"cHRM", b"\0") + chunk(b"sRGB", b"") + chunk(b"iCCP", b"a")),
        PNG,
    ),
    "PNG, unknown compression of a profile": (lambda: with_chunk(PNG, chunk(b"iCCP", b"a\0\7xyz")), PNG),
    "PNG, damaged profile": (lambda: with_chunk(PNG, chunk(b"iCCP", b"a\0\0not zlib")), PNG),
    "PNG, damaged animation": (lambda: with_chunk(PNG, chunk(b"acTL", b"\0\0")), PNG),
    "PNG, damaged EXIF": (lambda: with_chunk(PNG, chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff")), PNG),
    "PNG, CRC of EXIF": (lambda: with_chunk(PNG, chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0")[:-1] + b"?"), PNG),
    "PNG without IEND": (lambda: PNG[:-12], PNG),
    "PNG without IEND and last CRC": (lambda: PNG[:-16], PNG),
    "PNG without IEND and checksum": (lambda: PNG[:-20], PNG),
    "PNG with half an IEND": (lambda: PNG[:-6], PNG),
    "PNG with trailing bytes": (lambda: PNG + b"\xff\xd8 and more" * 99, PNG),
    "PNG with an unknown chunk": (lambda: with_chunk(PNG, chunk(b"zzZz", bytes(99)) + chunk(b"\1\2\3\4", b"")), PNG),
    **{f"JPEG without its end, {name}": (lambda data=data: data[:-2], data) for name, data in JPEGS.items()},
    "JPEG with half an end": (lambda: JPEG[:-1], JPEG),
    "JPEG with trailing bytes": (lambda: JPEG + b"\xff\xd8\xff and more" * 99, JPEG),
    "JPEG with a large profile": (lambda: with_segments(JPEG, *[(0xE2, PROFILE)] * 30), JPEG),
    "JPEG with megabytes of comments": (lambda: with_segments(JPEG, *[(0xFE, b"x" * 65_000)] * 40), JPEG),
    "JPEG, short segments": (
        lambda: with_segments(JPEG, *[(0xE0 + i, b"") for i in range(16)], (0xE2, b"ICC_PROFILE\0"), (0xEE, b"Adobe")),
        JPEG,
    ),
    "JPEG, broken Photoshop data": (lambda: with_segments(JPEG, (0xED, b"Photoshop 3.0\x008BIM\4\4\0\0\xff")), JPEG),
    "JPEG, broken list of pictures": (lambda: with_segments(JPEG, (0xE2, b"MPF\0MM\0*\0\0\0\x09")), JPEG),
    "JPEG, broken EXIF": (lambda: with_segments(JPEG, (0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff")), JPEG),
    "JPEG with bytes between segments": (lambda: JPEG[:20] + b"\0\0garbage" + JPEG[20:], JPEG),
    "GIF without its end": (lambda: encoded(SMOOTH[..., 0], "GIF")[:-2], encoded(SMOOTH[..., 0], "GIF")),
    "WebP without its EXIF data": (lambda: WEBP[:-30], encoded(NOISE, "WEBP", lossless=True)),
    "WebP with trailing bytes": (lambda: WEBP + b"more", WEBP),
    "TIFF with broken tags": (
        lambda: tiff(NOISE, 2, tags={34665: (4, 1 << 30), 34675: (7, bytes(9)), 700: (1, [1, 2]), 282: (5, [1, 0])}),
        encoded(NOISE, "TIFF"),
    ),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_complete_pixels_decode(name: str) -> None:
    write, intact = COMPLETE[name]
    data = write()
    assert np.array_equal(np.asarray(decode(data)), pixels(intact))
    found, known = info(data), info(intact)
    assert (found.width, found.height, found.channels, found.format) == (
        known.width,
        known.height,
        known.channels,
        known.format,
    )


@pytest.mark.parametrize("name", ["smooth", "noise", "progressive"])
def test_padding_does_not_pass_for_pixels(name: str) -> None:
    """A file that was not written completely is often filled with zeros, or with what was on the disk before."""
    data = JPEGS[name]
    half, rest = data[: len(data) * 2 // 3], RANDOM.integers(0, 255, 9000, np.uint8).tobytes()
    for filling in (bytes(9000), b"\xff" * 9000, rest, bytes(500) + rest):
        with pytest.raises(ImageError, match="JPEG"):
            decode(half + filling)
    for filling in (bytes(300), b"\xff" * 300):
        assert np.array_equal(np.asarray(decode(data[:-2] + filling)), pixels(data))


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_that_lacks_pixels_is_truncated(name: str) -> None:
    """Every cut in front of the end either loses pixels or none; libjpeg would fill lost pixels without an error."""
    data = JPEGS[name]
    intact = pixels(data)
    first = data.index(b"\xff\xda")
    for cut in sorted({*range(3, 40), *range(40, len(data) - first - 20, 97)}):
        if cut >= len(data) - first - 20:
            break
        try:
            assert np.array_equal(np.asarray(decode(data[:-cut])), intact), cut
        except ImageError as error:
            assert str(error) == "truncated JPEG"
    for cut in (4, 6) if len(data) - first > 60 else ():
        with pytest.raises(ImageError, match="truncated JPEG"):
            decode(data[: first + 60 + cut])


OTHER = encoded(np.full((20, 30, 3), 200, np.uint8), "JPEG")
# What may follow a cut file and contain a mark of an end.
BEHIND = {
    "an end": b"\xff\xd9",
    "another JPEG": OTHER,
    "a thumbnail and text": b"thumbnail" + OTHER + b"more",
    "random bytes": np.random.default_rng(1).integers(0, 256, 9000, np.uint8).tobytes() + b"\xff\xd9",
    "random bytes without 0xFF": np.random.default_rng(1).integers(0, 255, 9000, np.uint8).tobytes() + b"\xff\xd9",
    "zeros": bytes(9000) + b"\xff\xd9",
}


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("name", [name for name in JPEGS if name != "one pixel"])
def test_an_end_behind_missing_pixels(name: str, behind: str) -> None:
    """The bytes behind a whole file change nothing; those behind a cut one do not make it whole."""
    data = JPEGS[name]
    first, intact = data.index(b"\xff\xda"), pixels(data)
    assert np.array_equal(np.asarray(decode(data + BEHIND[behind])), intact)
    for share in (0.3, 0.5, 0.7):
        cut = data[: first + 20 + int((len(data) - first - 20) * share)]
        with pytest.raises(ImageError, match=r"truncated JPEG|corrupt JPEG: broken data stream"):
            decode(cut + BEHIND[behind])
    if behind in ("an end", "another JPEG"):
        with pytest.raises(ImageError, match="truncated JPEG"):
            decode(cut + BEHIND[behind])


def test_a_grey_corner_is_no_missing_pixel() -> None:
    grey = np.full_like(SMOOTH, 128)
    corner = SMOOTH.copy()
    corner[-16:, -16:] = 128
    for picture in (grey, corner):
        for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
            data = encoded(picture, "JPEG", **options)
            assert np.array_equal(np.asarray(decode(data)), pixels(data))


def with_scans(count: int) -> bytes:
    """The progressive file with its last scan repeated; libjpeg reads a whole picture for each."""
    data = JPEGS["progressive"]
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count


def test_a_jpeg_with_thousands_of_scans_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    monkeypatch.setattr(Image.Image, "tobytes", lambda image: decoded.append(image) or b"")
    load = Image.Image.load
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: decoded.append(image) or load(image))
    for data in (with_scans(2000) + b"\xff\xd9", with_scans(2000)):
        with pytest.raises(ImageError, match="unsupported image: a JPEG with more than 100 scans"):
            decode(data)
    assert not decoded


def test_the_test_for_missing_pixels_costs_a_few_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlext.images import jpeg_pixels

    decodes, digest = [], jpeg_pixels._digest
    monkeypatch.setattr(jpeg_pixels, "_digest", lambda data: decodes.append(data) or digest(data))
    data = with_scans(50)
    with pytest.raises(ImageError, match="truncated JPEG"):
        decode(data[: len(data) // 2])
    assert len(decodes) <= 12
    decodes.clear()
    assert np.array_equal(np.asarray(decode(JPEGS["progressive"][:-2])), pixels(JPEGS["progressive"]))
    assert len(decodes) <= 12


def test_a_progressive_jpeg_without_its_last_scans_is_truncated() -> None:
    data = JPEGS["progressive"]
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 5
    tables = data.rindex(b"\xff\xc4", 0, scans[-1])
    for end in (scans[3], scans[-2], tables, scans[-1]):
        with pytest.raises(ImageError, match="truncated JPEG"):
            decode(data[:end])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (PNG[: len(PNG) // 2], "truncated PNG"),
        (PNG[: len(PNG) - 100], "truncated PNG"),
        (with_chunk(PNG, BAD_CRC)[: len(PNG) // 2], "truncated PNG|corrupt PNG"),
        (PNG[:33], "truncated PNG"),
        (PNG[:20], "truncated PNG"),
        (PNG[:12] + b"IHDX" + PNG[16:], "corrupt PNG"),
        (PNG[:29] + b"\0\0\0\0" + PNG[33:], "corrupt PNG"),
        (JPEG[:40], "truncated JPEG"),
        (encoded(SMOOTH[..., 0], "GIF")[:-40], "truncated GIF"),
        (WEBP[: len(WEBP) // 2], "truncated WEBP"),
        (encoded(NOISE, "BMP")[:-40], "truncated BMP"),
    ],
)
def test_missing_pixels(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode(data)


def test_a_turned_png_stays_turned() -> None:
    """The orientation may be in EXIF data or in a text, in front of the pixels or behind them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes().removeprefix(b"Exif\0\0")
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    upright = np.rot90(NOISE, -1)
    for bad in (b"", BAD_CRC):
        for more in (chunk(b"eXIf", raw), chunk(b"iTXt", xmp)):
            for data in (with_chunk(PNG, more + bad), behind_pixels(PNG, more + bad), behind_pixels(PNG, bad + more)):
                assert np.array_equal(np.asarray(decode(data)), upright)
                assert (info(data).width, info(data).height) == (50, 70)


def test_a_turned_jpeg_and_webp_stay_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = encoded(SMOOTH, "JPEG", exif=exif)
    webp = encoded(NOISE, "WEBP", lossless=True, exif=exif, xmp=b"<x:xmpmeta/>" * 9)
    for whole, cut in ((jpeg, jpeg[:-2]), (webp, webp[:-20])):
        assert np.array_equal(np.asarray(decode(cut)), np.asarray(decode(whole)))
        assert (info(cut).width, info(cut).height) == decode(whole).size


def test_a_jpeg_that_ends_with_millions_of_ff_is_truncated() -> None:
    """Such files are found on damaged flash memory. Searching them for a marker must not take quadratic time."""
    with pytest.raises(ImageError, match="truncated JPEG"):
        decode(JPEG[: len(JPEG) * 2 // 3] + b"\xff" * 5_000_000)


def test_pillows_own_settings_are_untouched() -> None:
    """A user's functions in the same process see Pillow as they left it, and cannot make missing pixels look complete."""
    names = ("MAX_TEXT_CHUNK", "MAX_TEXT_MEMORY")
    before = [getattr(PngImagePlugin, name) for name in names]
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        for data in (JPEG[: len(JPEG) // 2], PNG[: len(PNG) // 2]):
            with pytest.raises(ImageError, match="truncated"):
                decode(data)
        assert np.array_equal(np.asarray(decode(COMPLETE["PNG with 2 MB of zipped text"][0]())), NOISE)
        assert ImageFile.LOAD_TRUNCATED_IMAGES is True
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    decode(JPEG)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert [getattr(PngImagePlugin, name) for name in names] == before


def test_a_text_that_unpacks_to_gigabytes_takes_no_memory() -> None:
    packer = zlib.compressobj(wbits=-15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = b"\x78\x9c" + block * 2000 + b"\x03\0"
    data = with_chunk(PNG, chunk(b"zTXt", b"a\0\0" + bomb) + chunk(b"iCCP", b"b\0\0" + bomb))
    data = behind_pixels(data, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb))
    tracemalloc.start()
    try:
        assert np.array_equal(np.asarray(decode(data)), NOISE)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()
