"""What every reader of a picture returns, and how a picture is turned upright."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

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
_FIRST_ON_ITS_SIDE = 5


@dataclass(frozen=True)
class ImageInfo:
    """A stored image: width and height in pixels when upright, channels as stored, format ('JPEG', .. or 'CV_8UC3')."""

    width: int
    height: int
    channels: int
    format: str


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The upright image; an unknown orientation leaves it as it is."""
    how = UPRIGHT.get(orientation)
    return image if how is None else image.transpose(how)


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height of the upright image."""
    return size[::-1] if orientation >= _FIRST_ON_ITS_SIDE and orientation in UPRIGHT else size
