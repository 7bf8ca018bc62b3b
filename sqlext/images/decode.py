"""Decodes stored images: the bytes of an image file, or the image struct of Spark or BigDL, to an upright RGB image.

Pillow is the only decoder, for every engine. Any fault of an image is raised as an :class:`ImageError` with a short
reason, never as another exception: a bad row must not end a query.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from sqlext.images.preprocessing import Preprocessing, tensor

__all__ = ["ImageError", "ImageInfo", "Preprocessing", "decode", "info", "tensor"]

# Twice Pillow's warning limit, above which Pillow raises an error too. 179 million pixels take 540 MB in RGB.
MAX_PIXELS = 178_956_970
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
# OpenCV type codes (depth + 8 * (channels - 1)) in the image structs of Spark and BigDL -> name, Pillow's raw layout.
OPENCV_TYPES = {0: ("CV_8UC1", "L"), 16: ("CV_8UC3", "BGR"), 24: ("CV_8UC4", "BGRA")} | {
    5: ("CV_32FC1", "L"),
    21: ("CV_32FC3", "BGR"),
    29: ("CV_32FC4", "BGRA"),
}
# EXIF orientation -> the operation that turns the image upright (table of the EXIF standard).
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112

# Until init() has loaded all readers, Pillow lists only the most common formats. Some are optional when Pillow is built.
Image.init()
FORMATS = tuple(name for name in WANTED_FORMATS if name in Image.OPEN)
# Pillow warns about odd metadata on the console, and nobody reads a worker's console.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)


class ImageError(ValueError):
    """Why a value is not an image; image_error() returns the message."""


@dataclass(frozen=True)
class ImageInfo:
    """A stored image: width and height in pixels when upright, channels as stored, format ('JPEG', .. or 'CV_8UC3')."""

    width: int
    height: int
    channels: int
    format: str


def decode(value: Any) -> Image.Image:
    """Decodes a value to an upright RGB image.

    Transparency is dropped, 16-bit channels are reduced to their high byte, and only the first frame of an animation is
    used.

    :param value: the bytes of an image file, or an image struct (dict or Row).
    :raises ImageError: if ``value`` is not an image or is damaged.
    """
    if not _is_bytes(value):
        return _from_struct(value)
    image = _open(value)
    try:
        image.load()
        return _rgb(_turned(image))
    except Exception as error:  # a hostile file can make Pillow raise almost any exception
        raise ImageError(_reason(error, image.format)) from None


def info(value: Any) -> ImageInfo:
    """Reads the header without decoding the pixels.

    :raises ImageError: if ``value`` is not an image.
    """
    if not _is_bytes(value):
        width, height, channels, mode = _struct_header(value)
        return ImageInfo(width, height, channels, OPENCV_TYPES[mode][0])
    image = _open(value)
    width, height = image.size
    # The size of a TIFF is already upright: Pillow's reader turns the image itself.
    if image.format != "TIFF" and _orientation(image) >= 5:
        width, height = height, width
    bands = {"P": 4 if "transparency" in image.info else 3, "PA": 4}.get(image.mode) or len(image.getbands())
    # MPO is a JPEG file with more images after the first one.
    return ImageInfo(width, height, bands, "JPEG" if image.format == "MPO" else str(image.format))


def _is_bytes(value: Any) -> bool:
    return isinstance(value, bytes | bytearray | memoryview)


def _open(data: Any) -> Image.Image:
    """Opens an image file; Pillow reads only its header."""
    if not len(data):
        raise ImageError("no image: empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(f"not an image: none of {', '.join(FORMATS)}") from None
    except Exception as error:
        raise ImageError(_reason(error, None)) from None
    _check_size(*image.size)
    return image


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"no pixels: {width} x {height}")
    if width * height > MAX_PIXELS:
        raise ImageError(f"too large: {width} x {height} is more than {MAX_PIXELS:,} pixels")


def _reason(error: Exception, kind: str | None) -> str:
    """Pillow's exception as one short line."""
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: more than {MAX_PIXELS:,} pixels"
    if isinstance(error, MemoryError):
        return "too large for the worker's memory"
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return f"truncated {kind or 'image'}"
    text = " ".join(str(error).split())[:120] or type(error).__name__
    return f"corrupt {kind or 'image'}: {text}"


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, or 1 (upright) if it is missing or unreadable."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # metadata can be broken in a good image
        return 1
    return value if value in UPRIGHT else 1


def _turned(image: Image.Image) -> Image.Image:
    """Turns a loaded image upright. TIFF's reader turns the image and drops the tag in load(), so call that first."""
    how = UPRIGHT.get(_orientation(image))
    return image if how is None else image.transpose(how)


def _rgb(image: Image.Image) -> Image.Image:
    """Converts an image of any Pillow mode to 8-bit RGB."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        # 16-bit grey: take the high byte, as Pillow does for 16-bit colour; Pillow's convert() would clip at 255.
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        # Pillow warns when it drops a palette's transparency; converting through RGBA gives the same colours.
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _struct_header(value: Any) -> tuple[int, int, int, int]:
    """(width, height, channels, mode) of an image struct: Spark's ImageSchema or BigDL's NNImageSchema."""
    try:
        width, height, channels, mode = (int(value[name]) for name in ("width", "height", "nChannels", "mode"))
    except (KeyError, TypeError, ValueError, IndexError):
        raise ImageError("no image") from None
    if mode < 0 or width < 0:
        raise ImageError("the image source that read it could not decode it")  # it marks a bad file by -1
    if mode not in OPENCV_TYPES:
        names = ", ".join(name for name, _ in OPENCV_TYPES.values())
        raise ImageError(f"OpenCV type {mode} is not one of {names}")
    if channels != mode // 8 + 1:
        raise ImageError(f"{channels} channels do not match {OPENCV_TYPES[mode][0]}")
    _check_size(width, height)
    return width, height, channels, mode


def _from_struct(value: Any) -> Image.Image:
    """Converts an image struct, whose pixels are in OpenCV's order (rows, BGR), to an RGB image."""
    width, height, channels, mode = _struct_header(value)
    name, layout = OPENCV_TYPES[mode]
    data = value["data"]
    pixels = _float_pixels(data, name) if "32F" in name else data
    if pixels is None or len(pixels) != width * height * channels:
        got = "no" if pixels is None else f"{len(pixels):,}"
        raise ImageError(f"{got} values for {width} x {height} x {channels}")
    kind = {"L": "L", "BGR": "RGB", "BGRA": "RGBA"}[layout]
    return _rgb(Image.frombytes(kind, (width, height), bytes(pixels), "raw", layout))


def _float_pixels(data: Sequence[float] | bytes | None, name: str) -> bytes | None:
    """The pixels of a BigDL float image as bytes; values that look normalised (not 0 to 255, or 0 to 1) are refused."""
    if data is None:
        return None
    values = np.frombuffer(data, "<f4") if _is_bytes(data) else np.asarray(data, np.float32)  # type: ignore[arg-type]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if not (low >= 0 and high <= 255) or (0 < high <= 1 and np.any(values % 1)):
        raise ImageError(f"{name} with values from {low:.3g} to {high:.3g}: pixel values 0 to 255 are needed")
    return bytes(np.rint(values).astype(np.uint8).tobytes())
