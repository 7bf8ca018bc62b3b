"""Names a value that does not decode: which format it has, or which kind of file it is, and what to do about it."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterable

from sqlext.images.file_kinds import AVIF, CONVERT, DECODED, FILES, HEIC, IMAGES, LOST, TEXTS, UNPACK, VIDEO, Kind

# How much is read: enough for every signature and every pattern below.
_START = 1024
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\r\n]{16,}={0,2}\s*")
_HEX = re.compile(r"(0x|\\x|[xX]')?((?:[0-9A-Fa-f]{2}){8,})'?\s*")
# What may stand before the first element of SVG, HTML and XML.
_PROLOG = re.compile(r"(<\?.*?\?>|<!--.*?-->)\s*(?=<)", re.DOTALL)


def by_signature(data: bytes) -> str | None:
    """Names a file of another format by its first bytes."""
    start = data[:_START]
    if image := _matching(IMAGES, start):
        return f"unsupported image: {image.name}; {CONVERT}"
    if is_heic(start):
        return f"unsupported image: HEIC; {CONVERT}, or install bigdl-sqlext[heic] on every host"
    return _sentence(_of_file(start))


def by_content(data: bytes) -> str | None:
    """Names bytes without a signature: text of any kind, an unwritten file, a picture that does not begin at the first byte."""
    return _sentence(_of_numbers(data) or _of_text(data))


def decoded_format(data: bytes) -> str | None:
    """The format of which these bytes have the signature, among those that Pillow decodes."""
    if data[4:8] == b"ftyp" and data[8:12] in AVIF:
        return "AVIF"
    found = _matching(DECODED[:4], data)
    return found.name.upper() if found else None


def is_heic(data: bytes) -> bool:
    """Whether the bytes begin like HEIC (HEIF), the format of Apple's cameras."""
    return data[4:8] == b"ftyp" and data[8:12] in HEIC and b"avif" not in data[8:64]


def _sentence(found: tuple[str, ...] | None) -> str | None:
    return f"not an image: {'; '.join(filter(None, found))}" if found else None


def _matching(table: Iterable[Kind], data: bytes) -> Kind | None:
    return next((kind for kind in table if kind.begins(data)), None)


def _of_file(start: bytes) -> tuple[str, ...] | None:
    if start[4:8] == b"ftyp":
        return _of_box(start[8:12])
    if start[:2] == b"\x1f\x8b":
        return f"gzip data{_of_inner(_gunzipped(start))}", UNPACK
    if len(start) > 188 and start[0] == start[188] == 0x47:
        return "an MPEG video", VIDEO
    found = _matching(FILES, start) or _matching(LOST, start)
    return (found.name, found.advice) if found else None


def _of_box(brand: bytes) -> tuple[str, ...] | None:
    """The kind of a file that consists of boxes, by its brand."""
    if brand in AVIF:
        return None
    if brand == b"crx ":
        return "a camera's raw file (CR3)", CONVERT
    if brand.startswith(b"M4A"):
        return ("an M4A sound",)
    return "a QuickTime video (MOV)" if brand == b"qt  " else "an MP4 video", VIDEO


def _of_numbers(data: bytes) -> tuple[str, ...] | None:
    if not data.strip(b"\0"):
        return (f"{len(data):,} zero bytes", "the file was not written completely")
    for kind in DECODED[:2]:
        if (at := data.find(kind.mark, 0, _START)) > 0:
            return (
                f"the {kind.name} begins only at byte {at + 1}",
                f"remove what is before it: substring(image, {at + 1})",
            )
    return None


def _of_text(data: bytes) -> tuple[str, ...] | None:
    code, text = _text(data[: 4 * _START])
    if text is None:
        return None
    text = text.strip()
    if not text:
        return (f"{code}only spaces",)
    while prolog := _PROLOG.match(text):
        text = text[prolog.end() :]
    coded = _of_hex(text) or _of_base64(text)
    found = coded or next(((name, advice) for pattern, name, advice in TEXTS if pattern.match(text)), None)
    if found:
        return (code + found[0], found[1])
    shown = " ".join(text.split())
    return (f"{code}text that begins with '{shown[:30]}..'" if shown[30:] else f"{code}the text '{shown}'",)


def _text(data: bytes) -> tuple[str, str | None]:
    """The name of an unusual encoding, and the bytes as text; None if they are not text."""
    code, encoding = "", "utf-8-sig"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        code, encoding = "UTF-16 text: ", "utf-16"
    elif len(data) > 7 and not any(data[1:64:2]) and all(data[:64:2]):
        code, encoding = "UTF-16 text: ", "utf-16-le"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if error.start < len(data) - 3:  # the last character may be cut
            return "", None
        text = data[: error.start].decode(encoding, "ignore")
    plain = all(character.isprintable() or character.isspace() for character in text)
    return (code, text) if plain else ("", None)


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
    found = _matching(DECODED, data)
    return f" of a {found.name}" if found else ""


def _gunzipped(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(data, 64)
    except zlib.error:
        return b""
