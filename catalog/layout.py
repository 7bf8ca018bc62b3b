"""Names of the files and folders of models, and the release that writes them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version as version_of

DROPPED = "_dropped"  # in a model's folder: a mark per dropped version
# In a version's folder:
HISTORY = "history.parquet"
MODEL_FOLDER = "_model"  # the folder of all other files
# In MODEL_FOLDER:
MANIFEST = "manifest.json"
HEAD = "head.onnx"  # of a trained model
HELD_OUT = "held_out.parquet"  # of a trained model
NETWORK = "network.onnx"  # of an imported network
BIGDL_FILES = ("model.bigdl", "model.bigdl.weights")  # the head or the network for BigDL


@cache
def release() -> str:
    """The version of this package. Not a constant: the build imports this module before the package is installed."""
    return version_of("bigdl-sqlext")
