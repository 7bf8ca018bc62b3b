"""image_error(image): why a picture does not decode."""

from __future__ import annotations

from sqlext.udfs.base import PictureFunction


class ImageErrorFunction(PictureFunction):
    """STRING: the reason why an image does not decode, 'no image' for NULL, and NULL if it decodes."""

    name = "image_error"
    signature = "image_error(image)"
    usage = "_FUNC_(image) - Returns why an image does not decode, or NULL if it does."
    examples = """
    Examples:
      > SELECT count(*) FROM shop.new_images WHERE _FUNC_(image) IS NOT NULL;
       3
    """
    result = "inspected.error"
