"""Files that people take for ONNX networks: each is named, with what to do. No message passes on the text of a C++ library."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sqlext.engines import load_engine
from sqlext.errors import SqlExtError
from sqlext.networks.graph import read_network
from sqlext.transfer.formats.listing import is_listing
from sqlext.transfer.graphs import Described
from tests.support.small_networks import RESIDUAL, RESIDUAL_WEIGHTS, build, residual

LIBRARY_TEXT = (
    "==>",
    "::",
    ".cc",
    ".cpp",
    "[ONNXRuntimeError]",
    "ShapeInferenceError",
    "TypeInferenceError",
    "Exception",
    "0x",
)


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("network.onnx"), io.BytesIO(b""))
    return file.getvalue()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def arrays() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


GRAPH_DEF = b"\n\x2c\n\x05input\x12\x0bPlaceholder*\x0b\n\x05dtype\x12\x020\x01" + bytes(40)
SAVED_MODEL = b"\x08\x01\x12\x40\n\x10" + bytes(30) + b"serve\x00serving_default" + bytes(20)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 102\n"
HEADER = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
OTHERS: dict[str, tuple[bytes, str, str]] = {
    "LFS pointer": (LFS, "a Git LFS pointer", "git lfs pull"),
    "annex pointer": (b"/annex/objects/SHA256E-s1--ab", "a git-annex pointer", "git annex get"),
    "HTML": (b"<!DOCTYPE html><html>404</html>", "an HTML page", "download the file itself"),
    "HTML after spaces": (b"\n\n  <HTML><body>Sign in</body>", "an HTML page", "download the file itself"),
    "XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML text", "download"),
    "OpenVINO": (b'<?xml version="1.0"?>\n<net name="x" version="11">', "an OpenVINO network", "the ONNX file"),
    "gzip": (gzip.compress(residual()), "gzip data", "unpack it"),
    "bzip2": (bz2.compress(residual()), "bzip2 data", "unpack it"),
    "xz": (lzma.compress(residual()), "xz data", "unpack it"),
    "tar": (tarred(), "a tar archive", "unpack it"),
    "zip": (zipped("readme.txt"), "a zip archive", "unpack it"),
    "zip of ONNX": (zipped("net/network.onnx"), "a zip archive with an ONNX file in it", "unpack it"),
    "torch": (zipped("archive/data.pkl", "archive/data/0"), r"a PyTorch file \(.pt or .pth\)", "torch.onnx.export"),
    "TorchScript": (
        zipped("a/data.pkl", "a/constants.pkl", "a/code/x.py"),
        "a TorchScript archive",
        "torch.onnx.export",
    ),
    "old torch": (pickle.dumps(0x1950A86A20F9469CFC6C, 2), "a PyTorch file", "torch.onnx.export"),
    "pickle": (pickle.dumps({"a": 1}), "a Python pickle", "export the network as ONNX"),
    "Keras": (zipped("metadata.json", "model.weights.h5"), "a Keras file", "tf2onnx"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file", "tf2onnx"),
    "ORT": (b"\x1c\0\0\0ORTM" + bytes(99), r"an ONNX Runtime file \(.ort\)", "the ONNX file"),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3" + bytes(99), "a TensorFlow Lite file", "tf2onnx"),
    "safetensors": (len(HEADER).to_bytes(8, "little") + HEADER + bytes(4), "a safetensors file", "torch.onnx.export"),
    "frozen graph": (GRAPH_DEF, "a frozen TensorFlow graph", "tf2onnx"),
    "SavedModel": (SAVED_MODEL, "a TensorFlow SavedModel", "tf2onnx"),
    "TensorRT": (b"ptrt" + bytes(99), "a TensorRT engine", "the ONNX file"),
    "npy": (array(), "a NumPy array", "import the network"),
    "npz": (arrays(), "a NumPy archive", "import the network"),
    "JSON": (b'{"name": "x"}', "a JSON text", "the .onnx file"),
    "TensorFlow.js": (json.dumps({"modelTopology": {}, "weightsManifest": []}).encode(), "a TensorFlow.js", "tf2onnx"),
    "text": (b"name,label\nrose,1\n", "a text", "the .onnx file"),
    "GIF": (b"GIF89a" + bytes(20), r"a picture \(GIF\)", "not a picture"),
    "PSD": (b"8BPS" + bytes(20), r"a picture \(Photoshop \(PSD\)\)", "not a picture"),
    "DICOM": (bytes(128) + b"DICM" + bytes(20), r"a picture \(DICOM\)", "not a picture"),
    "Avro": (b"Obj\1" + bytes(20), "an Avro file", "not its data"),
    "video": (b"\x1aE\xdf\xa3" + bytes(20), "a Matroska or WebM video", "not its data"),
    "LZ4": (b"\x04\x22\x4d\x18" + bytes(20), "LZ4 data", "unpack it"),
    "zeros": (bytes(5000), "5,000 zero bytes", "copy it again"),
    "empty": (b"", "the file is empty", "copy it again"),
    "noise": (np.random.default_rng(3).bytes(5000), r"5,000 bytes of an unknown format", "unknown"),
}


def refusal(action: Callable[[], object]) -> str:
    """The message of the error, which must be one sentence without the text of a library."""
    with pytest.raises(SqlExtError) as error:
        action()
    message = str(error.value)
    assert "\n" not in message and len(message) < 400
    assert not [text for text in LIBRARY_TEXT if text in message], message
    return message


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_that_is_not_onnx_is_named(kind: str) -> None:
    data, name, advice = OTHERS[kind]
    with pytest.raises(SqlExtError, match=name) as error:
        read_network(data)
    assert advice in str(error.value) and "not an ONNX network" in str(error.value)
    assert error.value.error_class == "INVALID_NETWORK"


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off(share: float) -> None:
    data = residual()
    length = max(2, int(len(data) * share))
    assert f"truncated, so it is not an ONNX network: it was cut off after {length:,} bytes" in refusal(
        lambda: read_network(data[:length])
    )


def with_external_weights(location: str) -> bytes:
    model = onnx.load_from_string(residual())
    tensor = next(t for t in model.graph.initializer if t.name == "w2")
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("content", "kind"),
    [(LFS, "a Git LFS pointer"), (b"<!DOCTYPE html><html>", "an HTML page"), (bytes(100), "truncated")],
)
def test_weights_in_a_second_file_that_is_another_file(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "weights.bin").write_bytes(content)
    message = refusal(lambda: read_network(with_external_weights("weights.bin"), folder=tmp_path))
    assert (
        f"'weights.bin', but this file has only {len(content)} bytes: it is {kind}; copy or download it again"
        in message
    )


def changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_from_string(residual())
    for position, node in enumerate(model.graph.node):
        node.name = f"node_{position}"
    change(model)
    return bytes(model.SerializeToString())


def opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 999


def ir(model: onnx.ModelProto) -> None:
    model.ir_version = 999


def no_operator(model: onnx.ModelProto) -> None:
    model.graph.node[2].op_type = "Ralu"


def own_operator(model: onnx.ModelProto) -> None:
    model.graph.node[4].domain = "my.operators"
    model.opset_import.add(domain="my.operators", version=1)


def no_tensor(model: onnx.ModelProto) -> None:
    model.graph.node[2].input[0] = "nowhere"


def no_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("colour", 1))


def twice(model: onnx.ModelProto) -> None:
    model.graph.node[2].output[0] = "a"


def few_values(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[1] = 4


def no_inputs(model: onnx.ModelProto) -> None:
    del model.graph.node[0].input[:]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            opset,
            f"it uses opset 999, but the newest one that can be read here is {onnx.defs.onnx_opset_version()}: export",
        ),
        (ir, f"it has IR version 999, but the newest one that can be read here is {onnx.IR_VERSION}: export"),
        (no_operator, "opset 17 of ONNX has no operator Ralu (node 'node_2')"),
        (own_operator, "'node_4' (my.operators.Conv); 'my.operators' is not a domain of ONNX"),
        (no_tensor, "tensor 'nowhere' is read before a node computes it"),
        (no_attribute, "operator Conv has no attribute 'colour' in its opset (node 'node_0')"),
        (twice, "two nodes compute 'a'"),
        (few_values, "the values of 'w1' are incomplete"),
        (no_inputs, "an operator Conv has 0 inputs (node 'node_0')"),
    ],
)
def test_a_damaged_graph_is_described_in_plain_words(change: Callable[[onnx.ModelProto], object], says: str) -> None:
    assert says in refusal(lambda: read_network(changed(change)))


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("change", [opset, ir, no_operator, own_operator, no_tensor, twice, few_values])
def test_an_engine_refuses_a_network_in_plain_words(engine: str, change: Callable[[onnx.ModelProto], object]) -> None:
    """Some of these networks run on OpenVINO, which reads no versions."""
    try:
        load_engine(engine, changed(change))
    except SqlExtError:
        assert "Engine" in refusal(lambda: load_engine(engine, changed(change)))
    else:
        assert engine == "openvino" and change in (opset, ir)


def test_an_engine_names_the_node_that_does_not_fit() -> None:
    model = build(RESIDUAL, {**RESIDUAL_WEIGHTS, "w4": np.zeros((7, 18), np.float32)}, output="logits")
    model.graph.node[-1].name = "the_classifier"
    for engine in ("onnxruntime", "openvino"):
        assert "(Gemm)" in refusal(lambda engine=engine: load_engine(engine, model.SerializeToString()))


def test_a_newer_ir_version_is_stored_as_one_that_older_engines_read() -> None:
    def newest(model: onnx.ModelProto) -> None:
        model.ir_version = onnx.IR_VERSION

    assert onnx.load_from_string(read_network(changed(newest)).to_bytes()).ir_version == 10


def test_json_that_is_deeper_than_the_stack() -> None:
    for text in ("[" * 65_536, '{"a":' * 65_536):
        with pytest.raises(SqlExtError, match="a JSON text"):
            read_network(text.encode())
        assert Described.from_json(text) is None
        assert not is_listing(text.encode())
