"""Decodes HEIC, the format of Apple's cameras, if an optional package for it is installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from PIL import Image

from sqlext.images.picture import ImageInfo
from sqlext.images.reasons import ImageError, check_size, reason

# The same code twice: pi_heif cannot write, so it contains no encoder under the GPL. Neither is registered in Pillow, where
# it would change what a user's own functions in the same Python worker can open.
PACKAGES = ("pi_heif", "pillow_heif")


def package() -> Any:
    """The installed package, or None."""
    for name in PACKAGES:
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def decode(data: bytes) -> Image.Image:
    """The upright picture as RGB: libheif turns it as the file says."""
    try:
        picture: Image.Image = _opened(data).to_pillow()
        return picture.convert("RGB")
    except Exception as error:
        raise _reason(error) from None


def info(data: bytes) -> ImageInfo:
    """The header."""
    try:
        image = _opened(data)
    except Exception as error:
        raise _reason(error) from None
    channels = {"L": 1, "LA": 2, "RGBA": 4, "RGBa": 4}.get(image.mode.split(";")[0], 3)
    width, height = image.size
    return ImageInfo(width, height, channels, "HEIC")


def _opened(data: bytes) -> Any:
    image = package().open_heif(data)
    check_size(*image.size)
    return image


def _reason(error: Exception) -> ImageError:
    cut = any(words in str(error) for words in ("end of file", "Insufficient input", "Cannot read full"))
    return ImageError("truncated HEIC") if cut else reason(error, "HEIC")
