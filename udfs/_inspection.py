"""What image_info and image_error share: one look at the picture."""

from __future__ import annotations

from sqlext.udfs._models import inspection_steps
from sqlext.udfs.base import Binding, Call, SqlFunction, is_image


def bind_inspection(function: SqlFunction, call: Call, result: str) -> Binding:
    """``result`` over the step `inspected` of the call's only argument."""
    function.expect(call, 1)
    image = call.arguments[0]
    if not is_image(image.type) and image.type.typeName() != "void":
        raise function.invalid(call, f"needs BINARY or an image struct, got {image.type.simpleString()}")
    return Binding(inspection_steps(call.spark, image), result)
