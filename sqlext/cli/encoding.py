"""The encoding of statements that come as bytes, and of the names of files."""

from __future__ import annotations

import codecs
import locale
import os

import click

# The longer marks first: UTF-32's begins like UTF-16's.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
NO_ACCENTS = (
    "the locale's character encoding is {encoding}, so that Java cannot open files whose names have letters such as é; "
    "set LC_ALL=C.UTF-8 before you start sqlext"
)


def decoded(data: bytes, name: str, first_line: int = 1) -> str:
    """The text of UTF-8 bytes, without a byte-order mark and with plain line ends.

    :param name: where the bytes come from, for the error.
    :param first_line: the number of the first of these lines there, for the error.
    :raises click.UsageError: the bytes are not UTF-8; it names the line and what to do.
    """
    if mark := next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), None):
        raise click.UsageError(f"{name} is {mark}, not UTF-8; {_advice(mark)}")
    if b"\0" in data:
        raise click.UsageError(f"{name} has NUL bytes, so it is not UTF-8 text; {_advice('UTF-16LE')}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        found = f"line {line} has the byte 0x{data[error.start]:02x}"
        raise click.UsageError(f"{name} is not UTF-8: {found}; {_advice('ISO-8859-1')}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _advice(encoding: str) -> str:
    return f"save it as UTF-8, for example with iconv -f {encoding} -t UTF-8"


def decoded_argument(text: str) -> str:
    """The same for an argument of the command, in which Python replaces bytes that are not UTF-8 by surrogates."""
    return decoded(os.fsencode(text), "the text after -e")


def encoding_problem() -> str | None:
    """Why Java cannot open every file, or None: it takes the encoding of names of files from the locale, as this does."""
    encoding = locale.nl_langinfo(locale.CODESET)
    return None if codecs.lookup(encoding).name == "utf-8" else NO_ACCENTS.format(encoding=encoding)
