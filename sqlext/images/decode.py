"""Decodes stored images: the bytes of an image file, or the image struct of Spark or BigDL, to an upright RGB image.

Every engine uses this code. Any fault of an image is raised as an :class:`ImageError` with a short reason, never as another
exception: a bad row must not end a query.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from PIL import Image, ImageFile

from sqlext.images import heic, netpbm, other_files, pillow_files, tiff, tiff_tags
from sqlext.images.picture import ImageInfo
from sqlext.images.preprocessing import Preprocessing, tensor
from sqlext.images.reasons import ImageError, reason
from sqlext.images.structs import from_struct, struct_info

__all__ = ["ImageError", "ImageInfo", "Preprocessing", "decode", "info", "tensor"]


class Reader(Protocol):
    """A module that reads some formats."""

    def decode(self, data: bytes) -> Image.Image:
        """The upright RGB image."""

    def info(self, data: bytes) -> ImageInfo:
        """The header."""


def decode(value: Any) -> Image.Image:
    """Decodes a value to an upright RGB image.

    Transparency is dropped, 16-bit channels are reduced to their high byte, and only the first frame of an animation is
    used. :func:`sqlext.images.samples.in_bytes` says how other numbers become 8 bits.

    :param value: the bytes of an image file, or an image struct (dict or Row).
    :raises ImageError: if ``value`` is not an image or is damaged.
    """
    if not _is_bytes(value):
        return from_struct(value)
    with _errors_as_reasons():
        data = bytes(value)
        return _reader(data).decode(data)


def info(value: Any) -> ImageInfo:
    """Reads the header without decoding the pixels.

    :raises ImageError: if ``value`` is not an image.
    """
    if not _is_bytes(value):
        return struct_info(value)
    with _errors_as_reasons():
        data = bytes(value)
        return _reader(data).info(data)


# read_image returns it in place of NULL where only our functions see it, with the path (Scala: ReadImage).
_NO_FILE = b"\0sqlext:no file\0"


def _is_bytes(value: Any) -> bool:
    return isinstance(value, bytes | bytearray | memoryview)


def _reader(data: bytes) -> Reader:
    """The module that reads a file with this beginning; Pillow identifies what is left."""
    if not data:
        raise ImageError("no image: empty (0 bytes)")
    if data.startswith(_NO_FILE):
        raise ImageError(f"no image: {data[len(_NO_FILE) :].decode(errors='replace')} was not found or cannot be read")
    if data.startswith(tiff_tags.SIGNATURES):
        return tiff
    if data.startswith(netpbm.SIGNATURES):
        return netpbm
    if other_files.is_heic(data) and heic.package():
        return heic
    return pillow_files


@contextmanager
def _errors_as_reasons() -> Iterator[None]:
    """Makes any exception an ImageError.

    A user's own functions in the same Python worker may have told Pillow to fill missing pixels with grey; here, missing
    pixels are an error, and the setting is what it was afterwards.
    """
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    if lenient:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    except Exception as error:
        raise reason(error, None) from None
    finally:
        if lenient:
            ImageFile.LOAD_TRUNCATED_IMAGES = lenient
