"""Values that are not pictures, or pictures of other formats, are named; HEIC decodes if a package for it is installed."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sqlext.images.decode import ImageError, ImageInfo, decode, info

FIXTURES = Path(__file__).parents[1] / "fixtures"
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))


def encoded(kind: str) -> bytes:
    out = io.BytesIO()
    PICTURE.save(out, kind)
    return out.getvalue()


def boxes(brand: bytes, compatible: bytes = b"") -> bytes:
    body = brand + b"\0\0\0\0" + compatible
    return struct.pack(">I", 8 + len(body)) + b"ftyp" + body + b"\0\0\0\x08mdat" + bytes(60)


def frame(marker: int, bits: int = 8) -> bytes:
    """A JPEG with another frame marker."""
    data = bytearray(JPEG)
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    return bytes(data)


JPEG, PNG = encoded("JPEG"), encoded("PNG")
BASE64 = base64.b64encode(JPEG)
ZEROS = bytes(60)
# name -> (the value, words of the reason)
NAMED: dict[str, tuple[bytes, tuple[str, ...]]] = {
    # pictures of other formats
    "AVIF, cut": (encoded("AVIF")[:300], ("truncated AVIF",)),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', ("SVG",)),
    "SVG with a prolog": (
        b'<?xml version="1.0"?>\n<!-- made by hand -->\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "">',
        ("SVG",),
    ),
    "SVG with a prefix": (
        b'\xef\xbb\xbf<?xml version="1.0"?><svg:svg xmlns:svg="http://www.w3.org/2000/svg"/>',
        ("SVG",),
    ),
    "Photoshop": (b"8BPS\0\1" + ZEROS, ("unsupported image: Photoshop", "convert")),
    "JPEG XL": (b"\xff\x0a" + ZEROS, ("JPEG XL",)),
    "JPEG XL in boxes": (b"\0\0\0\x0cJXL \r\n\x87\n" + ZEROS, ("JPEG XL",)),
    "JPEG XR": (b"II\xbc\1" + ZEROS, ("JPEG XR",)),
    "DICOM": (bytes(128) + b"DICM" + ZEROS, ("DICOM",)),
    "OpenEXR": (b"v/1\1" + ZEROS, ("OpenEXR",)),
    "Radiance": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", ("Radiance HDR",)),
    "WMF": (b"\xd7\xcd\xc6\x9a" + ZEROS, ("WMF",)),
    "EMF": (b"\1\0\0\0" + bytes(36) + b" EMF" + ZEROS, ("EMF",)),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", ("PostScript (EPS)",)),
    "EPS of DOS": (b"\xc5\xd0\xd3\xc6" + ZEROS, ("PostScript (EPS)",)),
    "cursor": (b"\0\0\2\0\1\0\x20\x20" + ZEROS, ("CUR",)),
    "QOI": (b"qoif\0\0\0\x10" + ZEROS, ("QOI",)),
    "FITS": (b"SIMPLE  =                    T", ("FITS",)),
    "PNG of iOS": (PNG[:8] + b"\0\0\0\4CgBI\x50\0\x20\2" + PNG[8:], ("CgBI",)),
    "CR2": (b"II*\0\x10\0\0\0CR\2\0\0\0\0\0" + struct.pack("<HHHIII", 1, 262, 3, 1, 6, 0), ("raw file",)),
    "CR3": (boxes(b"crx "), ("raw file (CR3)",)),
    "ORF": (b"IIRO" + ZEROS, ("raw file",)),
    "RW2": (b"IIU\0" + ZEROS, ("raw file",)),
    "RAF": (b"FUJIFILMCCD-RAW 0201" + ZEROS, ("raw file",)),
    "JPEG of 12 bits": (frame(0xC1, 12), ("12 bits per sample",)),
    "lossless JPEG of 16 bits": (frame(0xC3, 16), ("lossless JPEG",)),
    "JPEG-LS": (frame(0xF7), ("JPEG-LS",)),
    "hierarchical JPEG": (frame(0xC5), ("hierarchical JPEG",)),
    # other files
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", ("PDF",)),
    "AVI": (b"RIFF\0\0\0\0AVI LIST" + ZEROS, ("AVI video",)),
    "MP4": (boxes(b"mp42"), ("MP4 video",)),
    "MP4 of isom": (boxes(b"isom", b"isomiso2avc1mp41"), ("MP4 video",)),
    "MOV": (boxes(b"qt  "), ("MOV",)),
    "old MOV": (b"\0\0\0\x08moov" + ZEROS, ("MOV",)),
    "MKV": (b"\x1aE\xdf\xa3\x01\0\0\0B\x82matroska" + ZEROS, ("MKV",)),
    "MPEG": (b"\0\0\1\xba" + ZEROS, ("MPEG",)),
    "transport stream": ((b"G\x40\0\x10" + bytes(184)) * 3, ("MPEG",)),
    "WAV": (b"RIFF\x24\0\0\0WAVEfmt " + ZEROS, ("WAV",)),
    "MP3": (b"ID3\3\0" + ZEROS, ("MP3",)),
    "DS_Store": (b"\0\0\0\1Bud1\0\0\x10\0" + ZEROS, (".DS_Store", "delete")),
    "AppleDouble": (b"\0\5\x16\7\0\2\0\0Mac OS X        " + ZEROS, ("AppleDouble", "._")),
    "Thumbs.db": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + ZEROS, ("Thumbs.db",)),
    "desktop.ini": (b"[.ShellClassInfo]\r\nIconResource=C:\\a.ico,0\r\n", ("desktop.ini",)),
    "ZIP": (b"PK\3\4" + ZEROS, ("ZIP",)),
    "gzip of a PNG": (gzip.compress(PNG), ("gzip data of a PNG", "unpack")),
    "gzip": (gzip.compress(b"text"), ("gzip data;",)),
    "bzip2": (b"BZh91AY&SY" + ZEROS, ("bzip2",)),
    "tar": (b"a.jpg".ljust(257, b"\0") + b"ustar\x0000" + ZEROS, ("tar",)),
    "NumPy": (b"\x93NUMPY\1\0v\0{'descr': '|u1'}" + ZEROS, ("NumPy",)),
    "pickle": (b"\x80\4\x95\x0b\0\0\0" + ZEROS, ("pickle",)),
    "Parquet": (b"PAR1\x15\4" + ZEROS, ("Parquet", "column")),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + ZEROS, ("HDF5",)),
    "SQLite": (b"SQLite format 3\0" + ZEROS, ("SQLite",)),
    "program": (b"MZ\x90\0\3\0" + ZEROS, ("program",)),
    "zeros": (bytes(5000), ("5,000 zero bytes",)),
    # bytes that were lost or moved
    "PNG with other line ends": (PNG.replace(b"\r\n", b"\n"), ("line ends",)),
    "PNG as UTF-8": (PNG.decode("latin-1").encode(), ("converted to text", "BINARY")),
    "JPEG as UTF-8": (JPEG.decode("latin-1").encode(), ("converted to text",)),
    "PNG with replacements": (PNG.decode(errors="replace").encode(), ("converted to text",)),
    "JPEG with replacements": (JPEG.decode(errors="replace").encode(), ("converted to text",)),
    "JPEG behind a line": (b"\r\n" + JPEG, ("JPEG begins only at byte 3", "substring(image, 3)")),
    "PNG in MacBinary": (bytes([0, 5]) + bytes(126) + PNG, ("PNG begins only at byte 129",)),
    # text
    "HTML": (b"<!DOCTYPE html><html>404", ("HTML",)),
    "HTML with a comment": (b"\n  <!-- served by x --><html><body>", ("HTML",)),
    "HTML with a drawing": (b"<html><body><svg></svg></body></html>", ("HTML",)),
    "XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', ("XML",)),
    "JSON": (b'{"error": "not found"}', ("JSON",)),
    "JSON list": (json.dumps([255, 216, 255, 224, 0]).encode(), ("list of numbers",)),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", ("Git LFS", "git lfs pull")),
    "DVC": (b"outs:\n- md5: 1a2b\n  size: 9\n  path: a.jpg\n", ("DVC",)),
    "base64": (BASE64, ("base64 text of a JPEG", "unbase64(image)")),
    "base64 in lines": (base64.encodebytes(PNG), ("base64 text of a PNG",)),
    "base64 of URLs": (
        base64.urlsafe_b64encode(b"\xff\xd8\xff\xe0" + b"\xfb\xff\xbf" * 30),
        ("base64 text of a JPEG", "'-_', '+/'"),
    ),
    "base64 of something": (base64.b64encode(bytes(range(200)) * 2), ("base64 text;",)),
    "data: URL": (b"data:image/jpeg;base64," + BASE64, ("data: URL", "substring_index(image, ',', -1)")),
    "hexadecimal": (JPEG.hex().encode(), ("hexadecimal text of a JPEG", "unhex(image)")),
    "hexadecimal of SQL Server": (
        b"0x" + PNG.hex().upper().encode(),
        ("hexadecimal text of a PNG", "unhex(substring(image, 3))"),
    ),
    "hexadecimal of PostgreSQL": (b"\\x" + JPEG.hex().encode(), ("hexadecimal text of a JPEG", "substring(image, 3)")),
    "Python": (str(JPEG[:200]).encode(), ("Python prints",)),
    "Java": (b"[B@1b6d3586", ("Java prints",)),
    "UTF-16": ("a picture".encode("utf-16"), ("UTF-16 text: the text 'a picture'",)),
    "UTF-16 without a mark": ("/data/a.jpg".encode("utf-16-le"), ("UTF-16 text: a path",)),
    "path": (b"/data/pictures/a b.jpg", ("a path", "read_image(path)")),
    "path of HDFS": (b"hdfs://nn/pictures/a", ("a path",)),
    "path of Windows": (b"C:\\pictures\\a.png", ("a path",)),
    "file name": (b"cat.0001.JPEG\n", ("a path",)),
    "web address": (b"https://example.org/a.jpg?x=1", ("web address",)),
    "text": (b"hello, world", ("the text 'hello, world'",)),
    "long text": (b"id,label\n" + b"7,a cat that sleeps\n" * 400, ("text that begins with 'id,label 7,a cat",)),
    "accents": ("déjà vu".encode(), ("the text 'déjà vu'",)),
    "word": (b"NULL", ("a word",)),
    "spaces": (b" \n ", ("only spaces",)),
}


@pytest.mark.parametrize("name", NAMED)
def test_the_kind_is_named(name: str) -> None:
    value, words = NAMED[name]
    # Pillow reads the headers of some kinds of JPEG whose pixels it cannot decode.
    for function in (decode,) if value[:3] == JPEG[:3] else (decode, info):
        with pytest.raises(ImageError) as error:
            function(value)
        reason = str(error.value)
        assert all(word in reason for word in words), reason
        assert reason.startswith(("not an image: ", "unsupported image: ", "truncated ")) and "none of" not in reason
        assert len(reason) < 160 and "\n" not in reason


def test_what_is_not_known_gets_the_list_of_formats() -> None:
    for value in (b"\xfe\xdc\xba\x98" * 9, b"\x01\x02", bytes(range(128, 256))):
        with pytest.raises(ImageError, match="not an image: none of JPEG, PNG"):
            decode(value)


def test_pictures_that_begin_like_other_files_decode() -> None:
    """A TGA file has no signature; this one begins like a cursor, and its pixels contain the signature of a JPEG."""
    pixels = np.frombuffer(b"\xff\xd8\xff" * 300, np.uint8).reshape(15, 20, 3)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "TGA")
    assert out.getvalue()[:4] == b"\0\0\2\0"
    assert np.array_equal(np.asarray(decode(out.getvalue())), pixels)


def test_hostile_text_takes_no_time() -> None:
    for value in (b"<!---->" * 600, b"<?" * 2000, b"A" * 5000 + b"!", b"[1," * 1000, b"(" * 4000, b"<" + b"a" * 4000):
        with pytest.raises(ImageError):
            decode(value)


# --- HEIC -----------------------------------------------------------------------------------------------------------

HEIC = (FIXTURES / "turned.heic").read_bytes()  # 48 x 32 pixels, which libheif turns by 90 degrees
MESSAGE = "unsupported image: HEIC; convert it to JPEG or PNG, or install bigdl-sqlext[heic] on every host"


def test_heic_decodes_with_its_package() -> None:
    pytest.importorskip("pi_heif")
    pixels = np.asarray(decode(HEIC)).astype(int)
    assert pixels.shape == (32, 48, 3)
    for (y, x), colour in {(3, 3): (250, 20, 20), (3, 44): (20, 250, 20), (29, 3): (20, 20, 250)}.items():
        assert np.abs(pixels[y, x] - colour).max() < 12
    assert info(HEIC) == ImageInfo(48, 32, 3, "HEIC")
    assert "HEIF" not in Image.OPEN  # what a user's functions can open does not change
    for cut in (40, len(HEIC) // 2, len(HEIC) - 30):
        with pytest.raises(ImageError, match="HEIC"):
            decode(HEIC[:cut])


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1", b"msf1"])
def test_heic_without_its_package(monkeypatch: pytest.MonkeyPatch, brand: bytes) -> None:
    for name in ("pi_heif", "pillow_heif"):
        monkeypatch.setitem(sys.modules, name, None)  # import then fails as if it were not installed
    for value in (HEIC, boxes(brand, b"mif1heic")):
        for function in (decode, info):
            with pytest.raises(ImageError) as error:
                function(value)
            assert str(error.value) == MESSAGE
