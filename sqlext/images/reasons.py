"""Why a value is not a picture: one exception with a short reason, whatever went wrong in a decoder."""

from __future__ import annotations

from PIL import Image

# Twice Pillow's warning limit, above which Pillow raises an error too. 179 million pixels take 540 MB in RGB.
MAX_PIXELS = 178_956_970


class ImageError(ValueError):
    """Why a value is not an image; image_error() returns the message."""


def check_size(width: int, height: int) -> None:
    """Refuses a picture without pixels, and one that would not fit into a worker's memory."""
    if width < 1 or height < 1:
        raise ImageError(f"no pixels: {width} x {height}")
    if width * height > MAX_PIXELS:
        raise ImageError(f"too large: {width} x {height} is more than {MAX_PIXELS:,} pixels")


def reason(error: Exception, kind: str | None) -> ImageError:
    """A decoder's exception as one short line; a hostile file can make Pillow raise almost any exception."""
    if isinstance(error, ImageError):
        return error
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(f"too large: more than {MAX_PIXELS:,} pixels")
    if isinstance(error, MemoryError):
        return ImageError("too large for the worker's memory")
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return ImageError(f"truncated {kind or 'image'}")
    # Decoders say what is wrong by these two; the texts of the others are about arrays and arguments.
    said = str(error) if isinstance(error, OSError | SyntaxError) else ""
    return ImageError(f"corrupt {kind or 'image'}: {' '.join(said.split())[:120] or 'its parts contradict each other'}")
