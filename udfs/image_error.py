"""image_error(image): why a picture does not decode."""

from __future__ import annotations

from sqlext.udfs.base import PictureFunction


class ImageErrorFunction(PictureFunction):
    """STRING: NULL when the image decodes, 'no image' for NULL, else the reason."""

    name = "image_error"
    signature = "image_error(image)"
    usage = "_FUNC_(image) - Returns why an image does not decode, NULL when it does."
    arguments = """
    Arguments:
      * image - BINARY (an encoded picture) or an image struct
    """
    examples = """
    Examples:
      > SELECT count(*) FROM shop.new_images WHERE _FUNC_(image) IS NOT NULL;
       3
    """
    result = "inspected.error"
