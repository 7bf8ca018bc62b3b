"""Decodes HEIC, the format of Apple's cameras, if an optional package for it is installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from PIL import Image

from sqlext.images.picture import ImageInfo
from sqlext.images.reasons import check_size, reason

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
    picture: Image.Image = _opened(data).to_pillow()
    return picture.convert("RGB")


def info(data: bytes) -> ImageInfo:
    """The header."""
    image = _opened(data)
    channels = {"L": 1, "LA": 2, "RGBA": 4, "RGBa": 4}.get(image.mode.split(";")[0], 3)
    return ImageInfo(*image.size, channels, "HEIC")


def _opened(data: bytes) -> Any:
    try:
        image = package().open_heif(data)
    except Exception as error:
        raise reason(error, "HEIC") from None
    check_size(*image.size)
    return image
