"""Image structs: the pixels that Spark's image source or BigDL's NNImageReader has already decoded, in OpenCV's layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from sqlext.images.picture import ImageInfo
from sqlext.images.reasons import ImageError, check_size

# OpenCV type codes (depth + 8 * (channels - 1)) in the image structs of Spark and BigDL -> name, Pillow's raw layout.
OPENCV_TYPES = {0: ("CV_8UC1", "L"), 16: ("CV_8UC3", "BGR"), 24: ("CV_8UC4", "BGRA")} | {
    5: ("CV_32FC1", "L"),
    21: ("CV_32FC3", "BGR"),
    29: ("CV_32FC4", "BGRA"),
}


def from_struct(value: Any) -> Image.Image:
    """Converts an image struct, whose pixels are in OpenCV's order (rows, BGR), to an RGB image."""
    width, height, channels, mode = _struct_header(value)
    name, layout = OPENCV_TYPES[mode]
    data = value["data"]
    pixels = _float_pixels(data, name) if "32F" in name else data
    if pixels is None or len(pixels) != width * height * channels:
        got = "no" if pixels is None else f"{len(pixels):,}"
        raise ImageError(f"{got} values for {width} x {height} x {channels}")
    kind = {"L": "L", "BGR": "RGB", "BGRA": "RGBA"}[layout]
    return Image.frombytes(kind, (width, height), bytes(pixels), "raw", layout).convert("RGB")


def struct_info(value: Any) -> ImageInfo:
    """Size, channels and OpenCV's name of the type."""
    width, height, channels, mode = _struct_header(value)
    return ImageInfo(width, height, channels, OPENCV_TYPES[mode][0])


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
    check_size(width, height)
    return width, height, channels, mode


def _float_pixels(data: Sequence[float] | bytes | None, name: str) -> bytes | None:
    """The pixels of a BigDL float image as bytes; values that look normalised (not 0 to 255, or 0 to 1) are refused."""
    if data is None:
        return None
    known = isinstance(data, bytes | bytearray | memoryview)
    values = np.frombuffer(data, "<f4") if known else np.asarray(data, np.float32)  # type: ignore[arg-type]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if not (low >= 0 and high <= 255) or (0 < high <= 1 and np.any(values % 1)):
        raise ImageError(f"{name} with values from {low:.3g} to {high:.3g}: pixel values 0 to 255 are needed")
    return bytes(np.rint(values).astype(np.uint8).tobytes())
