"""Names files that are not ONNX networks, and says what to do with each."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable

from sqlext.images import file_kinds
from sqlext.images.file_kinds import DECODED, FILES, IMAGES, Kind
from sqlext.text import parsed_json

EXPORT_TORCH = "export the network with torch.onnx.export"
EXPORT_TF = "convert it with tf2onnx (python -m tf2onnx.convert)"
UNPACK = "unpack it and import the .onnx file in it"
ORIGINAL = "import the ONNX file from which it was converted"

# What a file for IMPORT can be, other than the kinds of `images/file_kinds.py`, or with another advice.
KINDS = (
    Kind(0, b"version https://git-lfs", "a Git LFS pointer", "run 'git lfs pull' in its repository"),
    Kind(0, b"/annex/objects/", "a git-annex pointer", "run 'git annex get' in its repository"),
    Kind(0, b"\x89HDF", "an HDF5 file, such as Keras's .h5", EXPORT_TF),
    Kind(0, b"\xac\xed\x00\x05", "a Java-serialized object", "save the network with saveModel and write FORMAT BIGDL"),
    Kind(0, b"ptrt", "a TensorRT engine", ORIGINAL),
    Kind(0, b"ftrt", "a TensorRT engine", ORIGINAL),
    Kind(0, b"GGUF", "a GGUF file of a language model", "import an image network"),
    Kind(0, b"RKNN", "an RKNN file", ORIGINAL),
    Kind(0, b"7767517", "an ncnn .param file", ORIGINAL),
    Kind(
        0,
        b"\x12\x01\x00\x00\x00\x00\x00\x00",
        "an MXNet .params file",
        "export the network with mxnet.onnx.export_model",
    ),
    Kind(4, b"ORTM", "an ONNX Runtime file (.ort)", ORIGINAL),
    Kind(
        4, b"TFL3", "a TensorFlow Lite file (.tflite)", "convert it with tf2onnx (python -m tf2onnx.convert --tflite)"
    ),
    Kind(4, b"ET12", "an ExecuTorch file (.pte)", EXPORT_TORCH),
)
# Words in the binary files of other frameworks. Their protobuf messages have no mark at the beginning.
WORDS: dict[tuple[bytes, ...], tuple[str, str]] = {
    (b"com.intel.analytics.",): ("a BigDL definition", "write FORMAT BIGDL"),
    (b"serving_default",): ("a TensorFlow SavedModel", EXPORT_TF),
    (b"saved_model_main_op",): ("a TensorFlow SavedModel", EXPORT_TF),
    (b"Placeholder", b"dtype"): ("a frozen TensorFlow graph (.pb)", EXPORT_TF),
    (b"coremltools",): ("a Core ML model", ORIGINAL),
    (b"com.apple.",): ("a Core ML model", ORIGINAL),
    (b"feed", b"fetch", b"conv2d"): ("a PaddlePaddle program", "convert it with paddle2onnx"),
    (b"Convolution", b"data", b"bottom"): ("a Caffe model", "convert it to ONNX"),
}
# Names inside a zip archive.
ZIPPED: dict[str, tuple[str, str]] = {
    ".onnx": ("a zip archive with an ONNX file in it", UNPACK),
    "constants.pkl": ("a TorchScript archive of PyTorch", EXPORT_TORCH),
    "data.pkl": ("a PyTorch file (.pt or .pth)", EXPORT_TORCH),
    "model.weights.h5": ("a Keras file (.keras)", EXPORT_TF),
    "saved_model.pb": ("a zip archive with a TensorFlow SavedModel", EXPORT_TF),
    ".mlmodel": ("a Core ML package", ORIGINAL),
    "MANIFEST.json": ("a TorchServe archive (.mar)", EXPORT_TORCH),
    ".npy": ("a NumPy archive (.npz)", "import the network, not its data"),
    "saved_model.json": ("a zip archive with a TensorFlow model", EXPORT_TF),
}
TORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # the number with which files of torch before 1.6 begin
# The fields of ONNX's ModelProto, with protobuf's wire types: 0 is a number, 2 has a length.
MODEL_FIELDS = {(1, 0), (5, 0), *((field, 2) for field in (2, 3, 4, 6, 7, 8, 14, 20, 25, 26))}
GRAPH, OPSETS = 7, 8
_BEGINNING = 1 << 16  # marks are searched within this many bytes


def name_file(data: bytes) -> str:
    """A sentence without its full stop: what a file that is not an ONNX network is, and what to do."""
    if not data:
        return "the file is empty, not an ONNX network: copy it again"
    found = _marked(data) or _text(data)
    if found is None and _is_cut_off(data):
        return f"the file is truncated, so it is not an ONNX network: it was cut off after {len(data):,} bytes; copy it again"
    found = found or _binary(data)
    if found is not None:
        return f"the file is {found[0]}, not an ONNX network: {found[1]}"
    if not data.strip(b"\0"):
        return f"the file holds {len(data):,} zero bytes, not an ONNX network: copy it again"
    return f"the file is not an ONNX network ({len(data):,} bytes of an unknown format)"


def name_kind(data: bytes) -> str | None:
    """What a file is, such as 'a Git LFS pointer', if it is of a kind that this module knows."""
    found = _marked(data) or _text(data)
    return found[0] if found is not None else None


def _marked(data: bytes) -> tuple[str, str] | None:
    """Kinds that have a mark at a fixed position."""
    if found := _of(KINDS, data):
        return found.name, found.advice
    if data.startswith(b"PK\x03\x04"):
        return _zipped(data)
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _pickled(data)
    if _is_safetensors(data):
        return "a safetensors file, which holds weights only", EXPORT_TORCH
    if picture := _of((*DECODED, *IMAGES), data):
        return f"a picture ({picture.name})", "import the network, not a picture"
    if found := _of(FILES, data):
        return found.name, UNPACK if found.advice == file_kinds.UNPACK else "import the network, not its data"
    return None


def _of(kinds: Iterable[Kind], data: bytes) -> Kind | None:
    return next((kind for kind in kinds if kind.begins(data)), None)


def _zipped(data: bytes) -> tuple[str, str]:
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return "a zip archive, such as PyTorch's .pt or Keras's .keras, and it is damaged", EXPORT_TORCH
    for end, kind in ZIPPED.items():
        if any(name.endswith(end) for name in names):
            return kind
    return "a zip archive", UNPACK


def _pickled(data: bytes) -> tuple[str, str]:
    if TORCH_MAGIC in data[:64] or b"torch" in data[:_BEGINNING]:
        return "a PyTorch file (a pickle)", EXPORT_TORCH
    return "a Python pickle", "export the network as ONNX with the library that wrote it"


def _is_safetensors(data: bytes) -> bool:
    """Whether the file begins with the length of a JSON header and this header."""
    if len(data) < 10 or data[8:9] != b"{":
        return False
    return int(struct.unpack("<Q", data[:8])[0]) < 100_000_000


def _text(data: bytes) -> tuple[str, str] | None:
    """Kinds of text: pages, XML, JSON. A file with control characters is not text."""
    try:
        text = data[:_BEGINNING].decode("utf-8-sig", errors="strict" if len(data) <= _BEGINNING else "ignore")
    except ValueError:
        return None
    if any(ord(letter) < 32 and letter not in "\t\n\r\f" for letter in text):
        return None
    start = text.lstrip().lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<body")) or "<html" in start[:1000]:
        return "an HTML page", "download the file itself, not the page that shows it"
    if start.startswith("<") and "<net" in start[:4096]:
        return "an OpenVINO network (.xml)", ORIGINAL
    if start.startswith("<"):
        return "an XML text, such as the error of a file server", "download the file again"
    if start.startswith(("{", "[")):
        return _json(text)
    if start.startswith(("layer", "name:", "input:")) and "layer" in start:
        return "a Caffe definition (.prototxt)", "convert it to ONNX"
    return "a text", "import the .onnx file"


def _json(text: str) -> tuple[str, str]:
    try:
        keys = set(parsed_json(text))
    except (ValueError, TypeError):
        keys = set()
    if {"modelTopology", "weightsManifest"} & keys:
        return "a TensorFlow.js model", EXPORT_TF
    return "a JSON text", "import the .onnx file"


def _is_cut_off(data: bytes) -> bool:
    """Recognises the beginning of an ONNX network: a file that consists of ModelProto's fields, but ends inside one."""
    position, fields = 0, set[int]()
    try:
        while position < len(data):
            key, position = _varint(data, position)
            if (key >> 3, key & 7) not in MODEL_FIELDS:
                return False
            fields.add(key >> 3)
            size, position = _varint(data, position)
            position += size if key & 7 == 2 else 0
    except IndexError:
        position = len(data) + 1
    return (GRAPH in fields or len(data) < 256) and (position > len(data) or not {GRAPH, OPSETS} <= fields)


def _binary(data: bytes) -> tuple[str, str] | None:
    return next((kind for words, kind in WORDS.items() if all(word in data for word in words)), None)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A number in protobuf's encoding and the position after it; IndexError at the end of the file."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128 or shift > 63:
            return value, position
