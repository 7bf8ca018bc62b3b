"""image_info(image): size, channels and format of a picture."""

from __future__ import annotations

from sqlext.udfs.base import PictureFunction

_FIELDS = ", ".join(f"'{f}', inspected.{f}" for f in ("width", "height", "channels", "format"))


class ImageInfo(PictureFunction):
    """STRUCT<width INT, height INT, channels INT, format STRING> of the upright picture; NULL if it does not decode."""

    name = "image_info"
    signature = "image_info(image)"
    usage = "_FUNC_(image) - Returns the width, height, channels and format of an image."
    examples = """
    Examples:
      > SELECT i.width, i.height, i.format FROM (SELECT _FUNC_(image) AS i FROM shop.new_images);
       500	375	JPEG
    """
    # A struct of NULLs would not be NULL.
    result = f"CASE WHEN inspected.error IS NULL THEN named_struct({_FIELDS}) END"
