"""The kinds of files that are not decoded as pictures: how they begin, what they are called, and what to do about them.

Images and networks that turn out to be other files are named by these tables; what only files of networks can be is in
`networks/other_files.py`. A new kind is one more line.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of file with these bytes at this place, and what to do about it."""

    place: int
    mark: bytes
    name: str
    advice: str = ""

    def begins(self, data: bytes) -> bool:
        """Whether data have the mark of this kind."""
        return data[self.place : self.place + len(self.mark)] == self.mark


CONVERT = "convert it to JPEG or PNG"
# (place, bytes, name) of pictures that are decoded here, for data inside other data.
DECODED = (
    Kind(0, b"\xff\xd8\xff", "JPEG"),
    Kind(0, b"\x89PNG\r\n\x1a\n", "PNG"),
    Kind(0, b"GIF8", "GIF"),
    Kind(8, b"WEBP", "WebP"),
    Kind(0, b"II*\0", "TIFF"),
    Kind(0, b"MM\0*", "TIFF"),
    Kind(0, b"BM", "BMP"),
)
IMAGES = (
    Kind(0, b"8BPS", "Photoshop (PSD)"),
    Kind(0, b"\xff\x0a", "JPEG XL"),
    Kind(0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    Kind(0, b"II\xbc", "JPEG XR"),
    Kind(128, b"DICM", "DICOM"),
    Kind(0, b"v/1\x01", "OpenEXR"),
    Kind(0, b"#?RADIANCE", "Radiance HDR"),
    Kind(0, b"#?RGBE", "Radiance HDR"),
    Kind(0, b"\xd7\xcd\xc6\x9a", "WMF"),
    Kind(40, b" EMF", "EMF"),
    Kind(0, b"%!PS", "PostScript (EPS)"),
    Kind(0, b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    Kind(0, b"gimp xcf", "GIMP (XCF)"),
    Kind(0, b"/* XPM */", "XPM"),
    Kind(0, b"qoif\0", "QOI"),
    Kind(0, b"DDS |", "DDS"),
    Kind(0, b"icns\0", "ICNS"),
    Kind(0, b"\0\0\2\0\1\0", "a cursor (CUR)"),
    Kind(0, b"BPG\xfb", "BPG"),
    Kind(0, b"FLIF", "FLIF"),
    Kind(0, b"AT&TFORM", "DjVu"),
    Kind(0, b"\x97JB2", "JBIG2"),
    Kind(0, b"SIMPLE  =", "FITS"),
    Kind(0, b"P7 332", "XV thumbnail"),
    Kind(12, b"CgBI", "PNG of iOS apps (CgBI)"),
    Kind(0, b"IIRO", "a camera's raw file (ORF)"),
    Kind(0, b"IIRS", "a camera's raw file (ORF)"),
    Kind(0, b"MMOR", "a camera's raw file (ORF)"),
    Kind(0, b"IIU\0", "a camera's raw file (RW2)"),
    Kind(0, b"FUJIFILMCCD-RAW", "a camera's raw file (RAF)"),
    Kind(0, b"II\x1a\0\0\0HEAP", "a camera's raw file (CRW)"),
    Kind(0, b"\0MRM", "a camera's raw file (MRW)"),
    Kind(0, b"FOVb", "a camera's raw file (X3F)"),
)
VIDEO = "take single pictures out of it"
_COPY = "delete the row: such files come with folders that were copied"
UNPACK = "unpack it first"
_COLUMN = "choose the column of the table inside that has the pictures"
FILES = (
    Kind(0, b"%PDF", "a PDF", CONVERT),
    Kind(8, b"AVI ", "an AVI video", VIDEO),
    Kind(0, b"\x1aE\xdf\xa3", "a Matroska or WebM video (MKV)", VIDEO),
    Kind(0, b"FLV\1", "an FLV video", VIDEO),
    Kind(0, b"\0\0\1\xba", "an MPEG video", VIDEO),
    Kind(0, b"\0\0\1\xb3", "an MPEG video", VIDEO),
    Kind(0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMV video", VIDEO),
    Kind(4, b"moov", "a QuickTime video (MOV)", VIDEO),
    Kind(4, b"mdat", "a QuickTime video (MOV)", VIDEO),
    Kind(4, b"wide", "a QuickTime video (MOV)", VIDEO),
    Kind(4, b"free", "a QuickTime video (MOV)", VIDEO),
    Kind(8, b"WAVE", "a WAV sound"),
    Kind(0, b"ID3\3", "an MP3 sound"),
    Kind(0, b"ID3\4", "an MP3 sound"),
    Kind(0, b"\xff\xfb", "an MP3 sound"),
    Kind(0, b"OggS\0", "an Ogg sound or video"),
    Kind(0, b"fLaC", "a FLAC sound"),
    Kind(0, b"\0\0\0\1Bud1", "a .DS_Store file of macOS", _COPY),
    Kind(0, b"\0\5\x16\7", "an AppleDouble file of macOS (its name begins with ._)", _COPY),
    Kind(0, b"\0\5\x16\0", "an AppleSingle file of macOS"),
    Kind(0, b"\xd0\xcf\x11\xe0", "Thumbs.db of Windows or an old Office document (OLE)", _COPY),
    Kind(0, b"L\0\0\0\1\x14\2\0", "a shortcut of Windows (.lnk)", _COPY),
    Kind(0, b"PK\3\4", "a ZIP archive or an Office document", UNPACK),
    Kind(0, b"PK\5\6", "an empty ZIP archive"),
    Kind(0, b"\x1f\x8b", "gzip data", UNPACK),
    Kind(4, b"1AY&SY", "bzip2 data", UNPACK),
    Kind(0, b"\xfd7zXZ\0", "xz data", UNPACK),
    Kind(0, b"\x28\xb5\x2f\xfd", "Zstandard data", UNPACK),
    Kind(0, b"\x04\x22\x4d\x18", "LZ4 data", UNPACK),
    Kind(0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    Kind(0, b"Rar!\x1a\7", "a RAR archive", UNPACK),
    Kind(257, b"ustar", "a tar archive", UNPACK),
    Kind(0, b"\x93NUMPY", "a NumPy array (.npy)", "save it as PNG"),
    Kind(0, b"\x80\2", "a Python pickle"),
    Kind(0, b"\x80\3", "a Python pickle"),
    Kind(0, b"\x80\4\x95", "a Python pickle"),
    Kind(0, b"\x80\5\x95", "a Python pickle"),
    Kind(0, b"\xac\xed\0\5", "a serialised Java object"),
    Kind(0, b"PAR1", "a Parquet file", _COLUMN),
    Kind(0, b"ORC", "an ORC file", _COLUMN),
    Kind(0, b"Obj\1", "an Avro file", _COLUMN),
    Kind(0, b"ARROW1", "an Arrow file", _COLUMN),
    Kind(0, b"SEQ\6", "a Hadoop sequence file", "read its values first"),
    Kind(0, b"\x89HDF", "an HDF5 file", "read its values first"),
    Kind(0, b"CDF\1", "a NetCDF file", "read its values first"),
    Kind(0, b"SQLite format 3", "an SQLite database"),
    Kind(0, b"\x7fELF", "a program"),
    Kind(0, b"MZ\x90\0", "a program"),
    Kind(0, b"\xca\xfe\xba\xbe", "a Java class"),
    Kind(
        0,
        b"\x89PNG\n\x1a\n",
        "a PNG whose line ends were changed, so that its bytes are lost",
        "copy it again in binary mode",
    ),
)
_TEXT_ADVICE = "load the bytes as BINARY: a conversion to text destroys them"
LOST = (
    Kind(0, b"\xef\xbf\xbdPNG", "a PNG that was converted to text", _TEXT_ADVICE),
    Kind(0, b"\xc2\x89PNG", "a PNG that was converted to text", _TEXT_ADVICE),
    Kind(
        0, b"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "a JPEG (or other bytes) that was converted to text", _TEXT_ADVICE
    ),
    Kind(0, b"\xc3\xbf\xc3\x98\xc3\xbf", "a JPEG that was converted to text", _TEXT_ADVICE),
)
AVIF = (b"avif", b"avis")
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_ENDINGS = r"(?:jpe?g|png|gif|webp|bmp|tiff?|avif|jp2|heic|ppm|pgm|tga|ico)"
# (pattern for the beginning of a text without XML's declaration and comments, name, what to do), tried in this order.
TEXTS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), name, advice)
    for pattern, name, advice in (
        (r"version https://git-lfs", "a Git LFS pointer", "run 'git lfs pull' and load the file again"),
        (r"outs:\s+- (md5|hash)", "a DVC pointer", "run 'dvc pull' and load the file again"),
        (r"<(!doctype svg|(\w+:)?svg)\b", "SVG (a drawing)", CONVERT),
        (r"<(!doctype html|html|head|body|script|meta)\b", "an HTML page", "the download failed or needs a login"),
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
