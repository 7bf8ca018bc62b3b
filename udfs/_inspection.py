"""What image_info and image_error share: one look at the picture."""

from __future__ import annotations

from sqlext.scoring.steps import inspection_steps
from sqlext.udfs.base import Binding, Call, SqlFunction


def bind_inspection(function: SqlFunction, call: Call, result: str) -> Binding:
    """``result`` over the step `inspected` of the call's only argument."""
    function.expect(call, 1)
    image = call.arguments[0]
    function.expect_image(call, image)
    return Binding(inspection_steps(call.spark, image), result)
