"""embed_resnet(image): the features of an image, computed by the backbone that spark.sqlext.resnet names."""

from __future__ import annotations

from sqlext.settings import setting
from sqlext.udfs.base import IMAGE, Binding, Call, SqlFunction, argument_list
from sqlext.udfs.embed import bind_embedding


class EmbedResnet(SqlFunction):
    """ARRAY<FLOAT>: embed() with the model of the setting ``spark.sqlext.resnet`` (default models.resnet50)."""

    name = "embed_resnet"
    signature = "embed_resnet(image)"
    usage = (
        "_FUNC_(image) - Returns the features that the backbone named in spark.sqlext.resnet computes from an image."
    )
    arguments = argument_list(IMAGE)
    examples = """
    Examples:
      > SELECT size(_FUNC_(image)) FROM shop.new_images LIMIT 1;
       2048
    """

    def bind(self, call: Call) -> Binding:
        self.expect(call, 1)
        return bind_embedding(self, call, str(setting(call.spark, "resnet")), call.arguments[0])
