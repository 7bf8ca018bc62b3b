"""Odd and bad images, created here with Pillow: those that decode become upright RGB images, the others have a reason."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pyspark.sql import Row

from sqlext.errors import SqlExtError
from sqlext.images.decode import ImageError, ImageInfo, decode, info
from sqlext.images.preprocessing import Preprocessing, tensor

ORIENTATION = 0x0112
EXACT: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}


def scene(width: int = 48, height: int = 32) -> Image.Image:
    """A picture wider than high with differently coloured corners, so that any wrong rotation is detected."""
    picture = Image.new("RGB", (width, height), (120, 130, 140))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width // 3, height // 3), fill=(250, 20, 20))
    draw.rectangle((width - width // 3, 0, width, height // 3), fill=(20, 250, 20))
    draw.rectangle((0, height - height // 3, width // 3, height), fill=(20, 20, 250))
    return picture


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def with_orientation(value: int, kind: str = "JPEG") -> bytes:
    """The scene stored rotated, with the EXIF tag that rotates it back."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation -> Image.Transpose that was applied
    picture = scene() if value == 1 else scene().transpose(Image.Transpose(undo[value]))
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return encoded(picture, kind, exif=exif, **EXACT.get(kind, {}))


def grey16(bright: int) -> Image.Image:
    return Image.fromarray(np.full((32, 48), bright, np.uint16))


def animation(kind: str) -> bytes:
    return encoded(
        scene(), kind, save_all=True, append_images=[Image.new("RGB", (48, 32), "black")] * 2, **EXACT.get(kind, {})
    )


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def opencv(picture: Image.Image, mode: int, kind: str, **changes: Any) -> dict[str, Any]:
    """The struct of Spark's and BigDL's image readers."""
    pixels = np.asarray(picture.convert(kind))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    layout = pixels[..., ::-1] if kind == "RGB" else pixels[..., [2, 1, 0, 3]] if kind == "RGBA" else pixels
    data: Any = layout.astype(np.float32).ravel().tolist() if mode in (5, 21, 29) else layout.tobytes()
    values = {"origin": "file:/a", "height": picture.height, "width": picture.width, "nChannels": pixels.shape[2]}
    return {**values, "mode": mode, "data": data} | changes


def close(value: Any) -> bool:
    """Whether a value decodes to the upright scene: a wrong rotation changes the mean by 20 or more, JPEG by less than 3."""
    got = decode(value)
    assert got.mode == "RGB" and got.size == (48, 32)
    return bool(np.abs(np.asarray(got).astype(int) - np.asarray(scene()).astype(int)).mean() <= 3)


SCENES: dict[str, Callable[[], Any]] = {
    "jpeg": lambda: encoded(scene(), "JPEG", quality=95, subsampling=0),
    "progressive jpeg": lambda: encoded(scene(), "JPEG", quality=95, subsampling=0, progressive=True),
    "png": lambda: encoded(scene(), "PNG"),
    "png rgba": lambda: encoded(scene().convert("RGBA"), "PNG"),
    "palette": lambda: encoded(scene().quantize(16), "PNG"),
    "palette with transparency": lambda: encoded(scene().quantize(16), "PNG", transparency=bytes([255, 0, 128])),
    "gif": lambda: encoded(scene(), "GIF"),
    "animated gif": lambda: animation("GIF"),
    "animated png": lambda: animation("PNG"),
    "webp": lambda: encoded(scene(), "WEBP", lossless=True),
    "animated webp": lambda: animation("WEBP"),
    "bmp": lambda: encoded(scene(), "BMP"),
    "tiff": lambda: encoded(scene(), "TIFF"),
    "ppm": lambda: encoded(scene(), "PPM"),
    "memoryview": lambda: memoryview(encoded(scene(), "PNG")),
    "struct 8UC3": lambda: opencv(scene(), 16, "RGB"),
    "struct 8UC4": lambda: opencv(scene(), 24, "RGBA"),
    "struct 32FC3": lambda: opencv(scene(), 21, "RGB"),
    "struct row": lambda: Row(**opencv(scene(), 16, "RGB")),
}


@pytest.mark.parametrize("kind", SCENES)
def test_pictures_come_out_as_rgb(kind: str) -> None:
    assert close(SCENES[kind]())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_come_out_upright(orientation: int, kind: str) -> None:
    data = with_orientation(orientation, kind)
    assert close(data)
    assert (info(data).width, info(data).height) == (48, 32)


def test_broken_exif_leaves_the_picture() -> None:
    assert close(encoded(scene(), "JPEG", quality=95, subsampling=0, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"))


@pytest.mark.parametrize(
    ("picture", "grey"),
    [
        (encoded(Image.new("L", (5, 4), 77), "PNG"), 77),
        (encoded(Image.new("1", (5, 4), 1), "PNG"), 255),
        (encoded(Image.new("LA", (5, 4), (77, 10)), "PNG"), 77),
        (encoded(grey16(0x4D4D), "PNG"), 0x4D),
        (encoded(grey16(0xFFFF), "TIFF"), 255),
        (encoded(Image.new("CMYK", (5, 4), (0, 0, 0, 255 - 77)), "JPEG", quality=100), 77),
        (encoded(Image.new("L", (1, 1), 77), "PNG"), 77),
        (opencv(Image.new("L", (5, 4), 77), 0, "L"), 77),
        (opencv(Image.new("L", (5, 4), 77), 5, "L"), 77),
    ],
)
def test_grey_deep_and_printed_pictures(picture: Any, grey: int) -> None:
    assert np.abs(np.asarray(decode(picture)).astype(int) - grey).max() <= 2


JPEG = encoded(scene(480, 320), "JPEG")
PNG = encoded(scene(480, 320), "PNG")
BAD: dict[str, tuple[Any, str]] = {
    "empty": (b"", "no image: empty"),
    "text": (b"hello, world", "not an image"),
    "half a jpeg": (JPEG[: len(JPEG) // 2], "truncated JPEG"),
    "jpeg header only": (JPEG[:30], "JPEG|not an image|truncated"),
    "half a png": (PNG[: len(PNG) // 2], "truncated PNG|corrupt PNG"),
    "damaged png": (PNG[:60] + b"\x00" * 40 + PNG[100:], "corrupt PNG|truncated PNG"),
    "damaged gif": (encoded(scene(), "GIF")[:-40], "GIF"),
    "bomb": (huge_png(60_000, 60_000), "too large"),
    "just above": (huge_png(20_000, 9_000), "too large"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
    "undecoded struct": (
        opencv(scene(), 16, "RGB") | {"width": -1, "height": -1, "mode": -1, "data": b""},
        "could not decode it",
    ),
    "short struct": (opencv(scene(), 16, "RGB", data=b"123"), "3 values for 48 x 32 x 3"),
    "struct without data": (opencv(scene(), 16, "RGB", data=None), "no values"),
    "struct of other type": (opencv(scene(), 17, "RGB"), "OpenCV type 17"),
    "struct of other channels": (opencv(scene(), 24, "RGB"), "3 channels do not match CV_8UC4"),
    "normalised floats": (opencv(scene(), 21, "RGB", data=[-1.5] * (48 * 32 * 3)), "pixel values 0 to 255"),
    "floats of 0 to 1": (opencv(scene(), 21, "RGB", data=[0.25] * (48 * 32 * 3)), "pixel values 0 to 255"),
    "not a number": (opencv(scene(), 21, "RGB", data=[float("nan")] * (48 * 32 * 3)), "pixel values 0 to 255"),
    "another struct": ({"a": 1}, "no image"),
    "nothing": (None, "no image"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_pictures_have_a_short_reason(kind: str) -> None:
    value, reason = BAD[kind]
    with pytest.raises(ImageError, match=reason) as error:
        decode(value)
    assert len(str(error.value)) < 200 and "\n" not in str(error.value)


def test_any_damage_is_an_image_error() -> None:
    """Files with randomly overwritten bytes either decode or raise ImageError, and nothing else."""
    random = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        data = np.frombuffer(encoded(scene(), kind), np.uint8)
        for _ in range(60):
            damaged = data.copy()
            damaged[random.integers(0, len(data), 8)] = random.integers(0, 256, 8)
            for function in (decode, info):
                try:
                    function(damaged.tobytes())
                except ImageError as error:
                    assert str(error)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (encoded(scene(), "JPEG"), ImageInfo(48, 32, 3, "JPEG")),
        (with_orientation(6), ImageInfo(48, 32, 3, "JPEG")),
        (encoded(scene(), "JPEG")[:-50], ImageInfo(48, 32, 3, "JPEG")),
        (encoded(Image.new("CMYK", (5, 4)), "JPEG"), ImageInfo(5, 4, 4, "JPEG")),
        (encoded(Image.new("L", (5, 4)), "PNG"), ImageInfo(5, 4, 1, "PNG")),
        (encoded(scene().quantize(16), "PNG"), ImageInfo(48, 32, 3, "PNG")),
        (encoded(scene(), "MPO", save_all=True, append_images=[scene()]), ImageInfo(48, 32, 3, "JPEG")),
        (opencv(scene(), 24, "RGBA"), ImageInfo(48, 32, 4, "CV_8UC4")),
    ],
)
def test_info(value: Any, expected: ImageInfo) -> None:
    assert info(value) == expected


def test_nothing_is_printed() -> None:
    """Pillow would warn about a palette with transparency, odd EXIF data and a damaged TIFF."""
    code = (
        "from tests.core.test_images import *\n"
        "for name in SCENES: decode(SCENES[name]())\n"
        "for value, _ in BAD.values():\n"
        "    try: decode(value)\n"
        "    except ImageError: pass\n"
        "tiff = encoded(scene(), 'TIFF')\n"
        "for cut in range(8, len(tiff), 7):\n"
        "    try: decode(tiff[:cut])\n"
        "    except ImageError: pass\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "default::UserWarning", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


# --- the tensor -----------------------------------------------------------------------------------------------------


def plain(picture: Image.Image, size: int, side: int) -> np.ndarray[Any, Any]:
    """torchvision's Resize(side), CenterCrop(size), ToTensor and Normalize, in plain Pillow and NumPy."""
    width, height = picture.size
    short = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    picture = picture.resize(short, Image.Resampling.BILINEAR)
    left, top = round((short[0] - size) / 2.0), round((short[1] - size) / 2.0)
    pixels = np.asarray(picture.crop((left, top, left + size, top + size))) / 255
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return ((pixels - mean) / std).transpose(2, 0, 1)


@pytest.mark.parametrize(
    "size", [(500, 375), (375, 500), (224, 224), (256, 256), (301, 257), (40, 30), (1, 1), (2592, 1984)]
)
def test_tensor_is_the_plain_pillow_path(size: tuple[int, int]) -> None:
    picture = scene(*size) if size != (1, 1) else Image.new("RGB", (1, 1), "red")
    got = tensor(picture, Preprocessing())
    assert got.dtype == np.float32 and got.shape == (3, 224, 224) and got.flags.c_contiguous
    assert np.abs(got - plain(picture, 224, 256)).max() < 1e-6


@pytest.mark.parametrize("size", [(4000, 100), (100, 4000), (40_000, 1)])
def test_long_pictures_cost_no_more_than_their_middle(size: tuple[int, int]) -> None:
    """The result is within one level of 255 of the plain path, which first creates an image of millions of pixels."""
    picture = scene(*size)
    got = tensor(picture, Preprocessing())
    if size[0] * size[1] > 100_000:
        assert np.abs(got - plain(picture, 224, 256)).max() < 1.01 / 255 / 0.224
    assert np.isfinite(got).all()


def test_other_preprocessing() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    caffe = Preprocessing(image_size=32, resize="none", color="bgr", scale=1.0, mean=(104, 117, 123), std=(1, 1, 1))
    middle = np.asarray(picture)[14:46, 24:56, ::-1].transpose(2, 0, 1).astype(np.float32)
    assert np.array_equal(tensor(picture, caffe), middle - np.array([104, 117, 123], np.float32)[:, None, None])
    squashed = tensor(picture, Preprocessing(32, "squash:32", scale=1.0, mean=(0, 0, 0), std=(1, 1, 1)))
    assert np.array_equal(squashed, np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR)).transpose(2, 0, 1))
    small = tensor(
        Image.new("RGB", (10, 10), "white"), Preprocessing(32, "none", scale=1.0, mean=(0, 0, 0), std=(1, 1, 1))
    )
    assert small[:, 16, 16].min() == 255 and small[:, 0, 0].max() == 0


def test_options_as_text() -> None:
    options = {"image_size": "227", "color": "BGR", "scale": "1", "mean": "104, 117 123", "std": "1,1,1", "input": "x"}
    got = Preprocessing.from_options(options)
    assert got == Preprocessing(227, "short_side:259", "center", "bgr", 1.0, (104.0, 117.0, 123.0), (1.0, 1.0, 1.0))
    assert Preprocessing.from_options({}) == Preprocessing() == Preprocessing.from_dict(Preprocessing().to_dict())
    assert Preprocessing.from_options({"scale": "1/255"}, image_size=64) == Preprocessing(64, "short_side:73")


@pytest.mark.parametrize(
    ("option", "value", "accepted"),
    [
        ("image_size", "big", "whole number"),
        ("image_size", "225", "224, the size of the network's input"),
        ("resize", "short_side", "'short_side:N'"),
        ("resize", "short_side:100", "at least image_size"),
        ("crop", "corner", "'center'"),
        ("color", "grey", "'rgb' or 'bgr'"),
        ("scale", "1/0", "fraction such as '1/255'"),
        ("scale", "nan", "a number"),
        ("mean", "1, 2", "three numbers"),
        ("std", "1, 0, 1", "three numbers other than 0"),
    ],
)
def test_bad_options(option: str, value: str, accepted: str) -> None:
    with pytest.raises(SqlExtError) as error:
        Preprocessing.from_options({option: value}, image_size=224)
    assert error.value.error_class == "INVALID_PREPROCESSING"
    assert option in str(error.value) and value.split(",")[0] in str(error.value) and accepted in str(error.value)
