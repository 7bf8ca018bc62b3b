"""Names a value that does not decode: which format it has, or which kind of file it is, and what to do about it.

Signatures are a table; text is recognised by patterns. A new kind is one more line.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib

CONVERT = "convert it to JPEG or PNG"
# How much is read: enough for every signature and every pattern below.
_START = 1024
# (place, bytes, name) of pictures that are decoded here, for data inside other data.
_DECODED = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"BM", "BMP"),
)
_IMAGES = (
    (0, b"8BPS", "Photoshop (PSD)"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"II\xbc", "JPEG XR"),
    (128, b"DICM", "DICOM"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"#?RGBE", "Radiance HDR"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (40, b" EMF", "EMF"),
    (0, b"%!PS", "PostScript (EPS)"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (0, b"gimp xcf", "GIMP (XCF)"),
    (0, b"/* XPM */", "XPM"),
    (0, b"qoif\0", "QOI"),
    (0, b"DDS |", "DDS"),
    (0, b"icns\0", "ICNS"),
    (0, b"\0\0\2\0\1\0", "a cursor (CUR)"),
    (0, b"BPG\xfb", "BPG"),
    (0, b"FLIF", "FLIF"),
    (0, b"AT&TFORM", "DjVu"),
    (0, b"\x97JB2", "JBIG2"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"P7 332", "XV thumbnail"),
    (12, b"CgBI", "PNG of iOS apps (CgBI)"),
    (0, b"IIRO", "a camera's raw file (ORF)"),
    (0, b"IIRS", "a camera's raw file (ORF)"),
    (0, b"MMOR", "a camera's raw file (ORF)"),
    (0, b"IIU\0", "a camera's raw file (RW2)"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file (RAF)"),
    (0, b"II\x1a\0\0\0HEAP", "a camera's raw file (CRW)"),
    (0, b"\0MRM", "a camera's raw file (MRW)"),
    (0, b"FOVb", "a camera's raw file (X3F)"),
)
_VIDEO = "take single pictures out of it"
_COPY = "delete the row: such files come with folders that were copied"
_UNPACK = "unpack it first"
_COLUMN = "choose the column of the table inside that has the pictures"
_FILES = (
    (0, b"%PDF", "a PDF", CONVERT),
    (8, b"AVI ", "an AVI video", _VIDEO),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video (MKV)", _VIDEO),
    (0, b"FLV\1", "an FLV video", _VIDEO),
    (0, b"\0\0\1\xba", "an MPEG video", _VIDEO),
    (0, b"\0\0\1\xb3", "an MPEG video", _VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMV video", _VIDEO),
    (4, b"moov", "a QuickTime video (MOV)", _VIDEO),
    (4, b"mdat", "a QuickTime video (MOV)", _VIDEO),
    (4, b"wide", "a QuickTime video (MOV)", _VIDEO),
    (4, b"free", "a QuickTime video (MOV)", _VIDEO),
    (8, b"WAVE", "a WAV sound", ""),
    (0, b"ID3\3", "an MP3 sound", ""),
    (0, b"ID3\4", "an MP3 sound", ""),
    (0, b"\xff\xfb", "an MP3 sound", ""),
    (0, b"OggS\0", "an Ogg sound or video", ""),
    (0, b"fLaC", "a FLAC sound", ""),
    (0, b"\0\0\0\1Bud1", "a .DS_Store file of macOS", _COPY),
    (0, b"\0\5\x16\7", "an AppleDouble file of macOS (its name begins with ._)", _COPY),
    (0, b"\0\5\x16\0", "an AppleSingle file of macOS", ""),
    (0, b"\xd0\xcf\x11\xe0", "Thumbs.db of Windows or an old Office document (OLE)", _COPY),
    (0, b"L\0\0\0\1\x14\2\0", "a shortcut of Windows (.lnk)", _COPY),
    (0, b"PK\3\4", "a ZIP archive or an Office document", _UNPACK),
    (0, b"PK\5\6", "an empty ZIP archive", ""),
    (4, b"1AY&SY", "bzip2 data", _UNPACK),
    (0, b"\xfd7zXZ\0", "xz data", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard data", _UNPACK),
    (0, b"\x04\x22\x4d\x18", "LZ4 data", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (0, b"Rar!\x1a\7", "a RAR archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"\x93NUMPY", "a NumPy array (.npy)", "save it as PNG"),
    (0, b"\x80\2", "a Python pickle", ""),
    (0, b"\x80\3", "a Python pickle", ""),
    (0, b"\x80\4\x95", "a Python pickle", ""),
    (0, b"\x80\5\x95", "a Python pickle", ""),
    (0, b"\xac\xed\0\5", "a serialised Java object", ""),
    (0, b"PAR1", "a Parquet file", _COLUMN),
    (0, b"ORC", "an ORC file", _COLUMN),
    (0, b"Obj\1", "an Avro file", _COLUMN),
    (0, b"ARROW1", "an Arrow file", _COLUMN),
    (0, b"SEQ\6", "a Hadoop sequence file", "read its values first"),
    (0, b"\x89HDF", "an HDF5 file", "read its values first"),
    (0, b"CDF\1", "a NetCDF file", "read its values first"),
    (0, b"SQLite format 3", "an SQLite database", ""),
    (0, b"\x7fELF", "a program", ""),
    (0, b"MZ\x90\0", "a program", ""),
    (0, b"\xca\xfe\xba\xbe", "a Java class", ""),
    (
        0,
        b"\x89PNG\n\x1a\n",
        "a PNG whose line ends were changed, so that its bytes are lost",
        "copy it again in binary mode",
    ),
)
_TEXT_ADVICE = "load the bytes as BINARY: a conversion to text destroys them"
_LOST = (
    (0, b"\xef\xbf\xbdPNG", "a PNG that was converted to text", _TEXT_ADVICE),
    (0, b"\xc2\x89PNG", "a PNG that was converted to text", _TEXT_ADVICE),
    (0, b"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "a JPEG (or other bytes) that was converted to text", _TEXT_ADVICE),
    (0, b"\xc3\xbf\xc3\x98\xc3\xbf", "a JPEG that was converted to text", _TEXT_ADVICE),
)
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]{16,}={0,2}\s*")
_HEX = re.compile(r"(0x|\\x|[xX]')?((?:[0-9A-Fa-f]{2}){8,})'?\s*")
_ENDINGS = r"(?:jpe?g|png|gif|webp|bmp|tiff?|avif|jp2|heic|ppm|pgm|tga|ico)"
# (pattern for the beginning of a text, name, what to do), tried in this order.
_TEXTS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), name, advice)
    for pattern, name, advice in (
        (r"version https://git-lfs", "a Git LFS pointer", "run 'git lfs pull' and load the file again"),
        (r"outs:\s+- (md5|hash)", "a DVC pointer", "run 'dvc pull' and load the file again"),
        (r"(<\?xml.*?\?>|<!--.*?-->|<!doctype svg.*?>|\s)*<(\w+:)?svg\b", "SVG (a drawing)", CONVERT),
        (
            r"(<!--.*?-->|\s)*<(!doctype html|html|head|body|script|meta)\b",
            "an HTML page",
            "the download failed or needs a login",
        ),
        (r"<\?xml|<\w+[^<>]*>", "XML", "the download may have returned an error"),
        (r"data:[\w/+.;=\-]*;base64,", "a data: URL", "use unbase64(substring_index(image, ',', -1))"),
        (r"data:", "a data: URL", ""),
        (r"(b|bytearray\(b)['\"]\\x|<memory at|<PIL\.|<_io\.", "the text that Python prints for bytes", _TEXT_ADVICE),
        (r"\[B@[0-9a-f]+\s*$", "the text that Java prints for a byte array", _TEXT_ADVICE),
        (r"\[\s*-?\d+(\s*,\s*-?\d+){3}", "a list of numbers as text", _TEXT_ADVICE),
        (r"[{\[]\s*([\"{\[]|\}|\])", "JSON", "the download may have returned an error"),
        (r"https?://\S+$", "a web address", "load the picture that it names"),
        (
            rf"(\w+:/|/|~/|\.\.?/|[A-Z]:\\|\\\\)[^\n]*$|[^\n]*\.{_ENDINGS}$",
            "a path",
            "use read_image(path) to load the file that it names",
        ),
        (r"\[\.ShellClassInfo\]|\[ViewState\]", "desktop.ini of Windows", _COPY),
        (r"\s*(TRUE|FALSE|NULL|None|nan)\s*$", "a word instead of an image", ""),
    )
)


def by_signature(data: bytes) -> str | None:
    """Names a file of another format by its first bytes."""
    start = data[:_START]
    if image := _matching(_IMAGES, start):
        return f"unsupported image: {image[0]}; {CONVERT}"
    if is_heic(start):
        return f"unsupported image: HEIC; {CONVERT}, or install bigdl-sqlext[heic] on every host"
    return _sentence(_of_file(start))


def by_content(data: bytes) -> str | None:
    """Names bytes without a signature: text of any kind, an unwritten file, a picture that does not begin at the first byte."""
    return _sentence(_of_numbers(data) or _of_text(data))


def decoded_format(data: bytes) -> str | None:
    """The format of which these bytes have the signature, among those that Pillow decodes."""
    found = _matching(_DECODED[:4], data)
    return found[0].upper() if found else None


def is_heic(data: bytes) -> bool:
    """Whether the bytes begin like HEIC (HEIF), the format of Apple's cameras."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIC and b"avif" not in data[8:64]


def _sentence(found: tuple[str, ...] | None) -> str | None:
    return f"not an image: {'; '.join(filter(None, found))}" if found else None


def _matching(table: tuple[tuple[int, bytes, *tuple[str, ...]], ...], data: bytes) -> tuple[str, ...] | None:
    return next((rest for place, mark, *rest in table if data[place : place + len(mark)] == mark), None)  # type: ignore[misc]


def _of_file(start: bytes) -> tuple[str, ...] | None:
    if start[4:8] == b"ftyp":
        return _of_box(start[8:12])
    if start[:2] == b"\x1f\x8b":
        return f"gzip data{_of_inner(_gunzipped(start))}", _UNPACK
    if len(start) > 188 and start[0] == start[188] == 0x47:
        return "an MPEG video", _VIDEO
    return _matching(_FILES, start) or _matching(_LOST, start)


def _of_box(brand: bytes) -> tuple[str, ...]:
    """The kind of a file that consists of boxes, by its brand."""
    if brand == b"crx ":
        return "a camera's raw file (CR3)", CONVERT
    if brand.startswith(b"M4A"):
        return ("an M4A sound",)
    name = (
        "a QuickTime video (MOV)"
        if brand == b"qt  "
        else "AVIF that does not decode"
        if brand[:3] == b"avi"
        else "an MP4 video"
    )
    return (name, CONVERT if name.startswith("AVIF") else _VIDEO)


def _of_numbers(data: bytes) -> tuple[str, ...] | None:
    if not data.strip(b"\0"):
        return (f"{len(data):,} zero bytes", "the file was not written completely")
    for _, mark, name in _DECODED[:2]:
        if (at := data.find(mark, 0, _START)) > 0:
            return (f"the {name} begins only at byte {at + 1}", f"remove what is before it: substring(image, {at + 1})")
    return None


def _of_text(data: bytes) -> tuple[str, ...] | None:
    text, code = _text(bytes(data[: 4 * _START]))
    if text is None:
        return None
    if not text.strip():
        return (f"{code}only spaces",)
    text = text.lstrip()
    coded = _of_hex(text) or _of_base64(text)
    found = coded or next(((name, advice) for pattern, name, advice in _TEXTS if pattern.match(text.rstrip())), None)
    if found:
        return (code + found[0], found[1])
    shown = " ".join(text.split())
    return (
        f"{code}text that begins with '{shown[:30]}{'..' if shown[30:] else ''}'"
        if shown[30:]
        else f"{code}the text '{shown}'",
    )


def _text(data: bytes) -> tuple[str | None, str]:
    """The bytes as text, and the name of an unusual encoding; None if they are not text."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data[: len(data) // 2 * 2].decode("utf-16", "replace"), "UTF-16 text: "
    if len(data) > 7 and not any(data[1:64:2]) and all(data[:64:2]):
        return data[: len(data) // 2 * 2].decode("utf-16-le", "replace"), "UTF-16 text: "
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(data) - 3:  # the last character may be cut
            return None, ""
        text = data[: error.start].decode("utf-8-sig")
    plain = all(character.isprintable() or character.isspace() for character in text)
    return (text, "") if plain else (None, "")


def _of_hex(text: str) -> tuple[str, str] | None:
    found = _HEX.match(text)
    if not found or (found.end() < len(text) and len(text) < _START):
        return None
    inner, skipped = _of_inner(binascii.unhexlify(found[2])), len(found[1] or "")
    if not inner:
        return None
    return f"hexadecimal text{inner}", f"use unhex({f'substring(image, {skipped + 1})' if skipped else 'image'})"


def _of_base64(text: str) -> tuple[str, str] | None:
    found = _BASE64.match(text)
    if not found or (found.end() < len(text) and len(text) < _START):
        return None
    digits = "".join(found[0].split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    inner = _of_inner(base64.b64decode(digits[: len(digits) // 4 * 4]))
    if not inner and (len(digits) < 200 or text[0] == "/"):
        return None
    column = "translate(image, '-_', '+/')" if re.search("[-_]", found[0]) else "image"
    return f"base64 text{inner}", f"use unbase64({column})"


def _of_inner(data: bytes) -> str:
    """' of a JPEG' if the bytes begin like a picture that is decoded here."""
    found = _matching(_DECODED, data)
    return f" of a {found[0]}" if found else ""


def _gunzipped(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data, 64)
    except zlib.error:
        return b""
