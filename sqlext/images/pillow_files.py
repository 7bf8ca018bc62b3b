"""Decodes the formats that Pillow decodes.

An ordinary file is given to Pillow as it is. If Pillow refuses it, its pixels may be complete all the same; otherwise its
kind is named.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from sqlext.images import jpeg, jpeg_pixels, other_files, repair
from sqlext.images.file_kinds import CONVERT
from sqlext.images.picture import UPRIGHT, ImageInfo, turned, turned_size
from sqlext.images.reasons import ImageError, check_size, reason

Result = TypeVar("Result")
# Only formats that Pillow decodes itself: EPS is missing because Pillow passes it to Ghostscript, another program.
WANTED_FORMATS = (
    "JPEG",
    "PNG",
    "GIF",
    "WEBP",
    "BMP",
    "DIB",
    "TIFF",
    "AVIF",
    "JPEG2000",
    "PPM",
    "TGA",
    "PCX",
    "SGI",
    "ICO",
)
ORIENTATION = 0x0112
_JPEG = ("JPEG", "MPO")  # MPO is a JPEG file with more images after the first one

# Until init() has loaded all readers, Pillow lists only the most common formats. Some are optional when Pillow is built.
Image.init()
FORMATS = tuple(name for name in WANTED_FORMATS if name in Image.OPEN)
# Pillow warns about odd metadata on the console, and nobody reads a worker's console.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)


def decode(data: bytes) -> Image.Image:
    """The upright RGB image."""
    return _read(data, _pixels)


def info(data: bytes) -> ImageInfo:
    """The header of an image; an image with missing pixels has one, too."""
    try:
        return _read(data, _complete_header)
    except ImageError:
        return _read(data, _header)


def _read(data: bytes, use: Callable[[Image.Image], Result]) -> Result:
    """Applies ``use`` to the file as Pillow opens it, or else to a file with the same pixels.

    :raises ImageError: the reason for the file itself.
    """
    kind = None
    try:
        image = _opened(data)
        kind = image.format
        scans = jpeg.structure(data) if use is _pixels and kind in _JPEG else None
        if scans and jpeg.too_many_scans(scans):
            raise _why(data, OSError(), kind)
        result = use(image)
        if scans and not jpeg_pixels.seems_whole(scans, image):
            raise OSError("truncated")  # Pillow may take what follows the file for pixels
        return result
    except (ImageError, Image.DecompressionBombError, MemoryError) as error:
        raise reason(error, kind) from None
    except Exception as error:  # a hostile file can make Pillow raise almost any exception
        failed = error
    try:
        for other in repair.only_pixels(data):
            try:
                return use(_opened(other))
            except Exception:  # noqa: S112 - the reason is that of the file itself
                continue
    except Exception:  # noqa: S110 - as above
        pass
    raise _why(data, failed, kind)


def _opened(data: bytes) -> Image.Image:
    """Opens an image file; Pillow reads only its header."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    # A TGA file has no signature, so other files may look like one.
    if image.format == "TGA" and other_files.by_signature(data):
        raise UnidentifiedImageError
    check_size(*image.size)
    return image


def _why(data: bytes, error: Exception, kind: str | None) -> ImageError:
    if jpeg.is_jpeg(data) and (other := jpeg.unsupported(data)):
        return ImageError(f"unsupported image: {other}; {CONVERT}")
    known = kind or other_files.decoded_format(data)
    if known and repair.is_cut(data):
        return ImageError(f"truncated {known}")
    if not isinstance(error, UnidentifiedImageError):
        return reason(error, known)
    if named := other_files.by_signature(data):
        return ImageError(named)
    if known:
        unknown = f"unsupported image: {known}; {CONVERT}"
        return ImageError(f"corrupt {known}: its header cannot be read" if known in FORMATS else unknown)
    return ImageError(other_files.by_content(data) or f"not an image: none of {', '.join(FORMATS)}")


def _pixels(image: Image.Image) -> Image.Image:
    image.load()
    # Pillow turns a TIFF itself and drops the tag in load(), so the orientation is read after it.
    upright = turned(image, _orientation(image))
    if image.mode == "CMYK" and image.format in _JPEG and "adobe" not in image.info:
        raise ImageError(
            "unsupported image: a CMYK JPEG that does not say whether 0 is no ink or full ink (no Adobe marker); save it as RGB"
        )
    return _rgb(upright, str(image.format))


def _complete_header(image: Image.Image) -> ImageInfo:
    if image.format == "PNG":
        image.getexif()  # it may lie behind the pixels, where a damaged text can hide it
    return _header(image)


def _header(image: Image.Image) -> ImageInfo:
    # The size of a TIFF is already upright: Pillow's reader turns the image itself.
    width, height = image.size if image.format == "TIFF" else turned_size(image.size, _orientation(image))
    bands = {"P": 4 if "transparency" in image.info else 3, "PA": 4}.get(image.mode) or len(image.getbands())
    return ImageInfo(width, height, bands, "JPEG" if image.format in _JPEG else str(image.format))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, or 1 (upright) if it is missing or unreadable."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # metadata can be broken in a good image
        return 1
    return value if value in UPRIGHT else 1


def _rgb(image: Image.Image, kind: str) -> Image.Image:
    """Converts an image of any Pillow mode to 8-bit RGB."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PNG", "PPM")):
        # 16-bit grey: take the high byte, as Pillow does for 16-bit colour; Pillow's convert() would clip at 255.
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ImageError(f"unsupported image: {kind} with 32-bit samples")  # Pillow would clip them at 255
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        # Pillow warns when it drops a palette's transparency; converting through RGBA gives the same colours.
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")
