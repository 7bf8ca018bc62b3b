"""embed(backbone, image): the features of an image."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from sqlext.catalog.names import ModelRef
from sqlext.errors import error_in_argument
from sqlext.udfs.base import IMAGE, Binding, Call, SqlFunction, argument_list

if TYPE_CHECKING:
    from sqlext.scoring.inputs import Argument


class Embed(SqlFunction):
    """ARRAY<FLOAT>: the output of the backbone's embedding layer (2048 numbers for ResNet-50); NULL if the image does not decode."""

    name = "embed"
    signature = "embed(backbone, image)"
    usage = "_FUNC_(backbone, image) - Returns the features that an imported backbone computes from an image."
    arguments = argument_list("backbone - a constant string: an imported model, 'db.model' or 'db.model@3'", IMAGE)
    examples = """
    Examples:
      > SELECT size(_FUNC_('models.resnet50', image)) FROM shop.new_images LIMIT 1;
       2048
    """

    def bind(self, call: Call) -> Binding:
        self.expect(call, 2)
        return bind_embedding(self, call, self.constant_string(call, 0, "a backbone"), call.arguments[1])


def bind_embedding(
    function: SqlFunction, call: Call, backbone: str, image: Argument, *, setting: str | None = None
) -> Binding:
    """Binds the embedding of ``image`` to the version that ``backbone`` refers to now.

    :param setting: the key of the setting that ``backbone`` comes from; None: it is the first argument.
    """
    from sqlext.catalog.backbones import require_backbone
    from sqlext.catalog.facade import ModelCatalog
    from sqlext.scoring.choose import choose_for_embedding
    from sqlext.scoring.steps import embedding_steps

    function.expect_image(call, image)
    catalog = ModelCatalog(call.spark)
    place = None if setting else f"the first argument of {function.name}"
    with error_in_argument(0) if setting is None else nullcontext():
        version = require_backbone(catalog, ModelRef.parse(backbone, call.namespace), place=place, setting=setting)
    choice = choose_for_embedding(call.spark, catalog.read_manifest(version))
    return Binding(embedding_steps(call.spark, version, image, choice), "embedded.embedding")
