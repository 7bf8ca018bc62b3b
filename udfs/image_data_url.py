"""image_data_url(image, max_side): a thumbnail that BI tools can display."""

from __future__ import annotations

from sqlext.udfs.base import IMAGE, Binding, Call, SqlFunction, argument_list


class ImageDataUrl(SqlFunction):
    """STRING: a `data:image/jpeg;base64,` URL of the upright picture, no side longer than max_side; NULL if it does not decode."""

    name = "image_data_url"
    signature = "image_data_url(image, max_side)"
    usage = "_FUNC_(image, max_side) - Returns a JPEG thumbnail of an image as a data URL."
    arguments = argument_list(IMAGE, "max_side - the longest side in pixels, from 1; a smaller picture is not enlarged")
    examples = """
    Examples:
      > SELECT _FUNC_(image, 160) FROM shop.new_images LIMIT 1;
       data:image/jpeg;base64,/9j/4AAQSkZJRg..
    """

    def bind(self, call: Call) -> Binding:
        from pyspark.sql.types import IntegralType, NullType

        from sqlext.scoring.steps import thumbnail_steps

        self.expect(call, 2)
        image, side = call.arguments
        self.expect_image(call, image)
        whole = isinstance(side.type, IntegralType | NullType)
        if not whole or (side.constant and side.value is not None and int(side.value) < 1):
            raise self.invalid(call, "needs max_side as a whole number of pixels from 1")
        return Binding(thumbnail_steps(call.spark, image, side), "thumbnail.url")
