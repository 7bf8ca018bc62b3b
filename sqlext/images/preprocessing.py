"""Turns an upright RGB image into the tensor that a network reads. Every engine uses this code, to train and to score.

Resizing and cropping match torchvision's ``Resize`` (bilinear, antialiased) and ``CenterCrop`` to the pixel, so a network
that was trained with torchvision gets the same input here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sqlext.errors import SqlExtError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
ACCEPTED = {
    "image_size": "a whole number of pixels from 1 to 4096",
    "resize": "'short_side:N', 'squash:N' (N pixels, at least image_size) or 'none'",
    "crop": "'center'",
    "color": "'rgb' or 'bgr'",
    "scale": "a number other than 0, or a fraction such as '1/255'",
    "mean": "three numbers, one per channel in the order of color, such as '0.485, 0.456, 0.406'",
    "std": "three numbers other than 0, one per channel in the order of color, such as '0.229, 0.224, 0.225'",
}
# Above this aspect ratio most of a resized image would be cropped away (1 x 20,000 pixels would become 1.3 billion).
LONGEST_RATIO = 8


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a network's input: resize, centre crop, colour order, ``(x * scale - mean) / std``.

    ``image_size``: side of the network's square input. ``resize``: 'short_side:N' (keeps the aspect ratio), 'squash:N' or
    'none'. ``mean`` and ``std`` are in the order of ``color``.

    :raises SqlExtError: INVALID_PREPROCESSING, naming the option at fault.
    """

    image_size: int = 224
    resize: str = "short_side:256"
    crop: str = "center"
    color: str = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        kind, side = _resize(self.resize)
        checks = {
            "image_size": type(self.image_size) is int and 1 <= self.image_size <= 4096,
            "resize": kind == "none" or (kind in ("short_side", "squash") and self.image_size <= side <= 8192),
            "crop": self.crop == "center",
            "color": self.color in ("rgb", "bgr"),
            "scale": _finite([self.scale]) and self.scale != 0,
            "mean": len(self.mean) == 3 and _finite(self.mean),
            "std": len(self.std) == 3 and _finite(self.std) and 0 not in self.std,
        }
        for option, fine in checks.items():
            if not fine:
                raise _invalid(option, getattr(self, option))

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON values."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of :meth:`to_dict`."""
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})

    @classmethod
    def from_options(cls, options: Mapping[str, object], image_size: int | None = None) -> Preprocessing:
        """Reads the OPTIONS of a statement, whose values may be text; options that are not listed here are ignored.

        :param image_size: the side of the network's input if the network fixes it; another one in ``options`` is an error.
        """
        values = {name: _parsed(name, options[name]) for name in ACCEPTED if options.get(name) is not None}
        if image_size is not None and values.setdefault("image_size", image_size) != image_size:
            raise _invalid("image_size", values["image_size"], f"{image_size}, the size of the network's input")
        side = values.get("image_size", 224)
        if isinstance(side, int):
            # The usual margin: an image is resized to 256 for a crop of 224. Other sizes keep this ratio.
            values.setdefault("resize", f"short_side:{round(side * 256 / 224)}")
        return cls(**values)


def tensor(image: Image.Image, p: Preprocessing) -> NDArray[np.float32]:
    """The network's input for an upright RGB image: float32 (3, S, S)."""
    pixels = np.asarray(_fitted(image, p))
    table = _table(p.scale, p.mean, p.std)
    out = np.empty((3, p.image_size, p.image_size), np.float32)
    for channel in range(3):
        # Looking up 256 precomputed values is five times as fast as the arithmetic, and rounds only once.
        source = channel if p.color == "rgb" else 2 - channel
        # With "clip" NumPy writes into `out` directly; with the default it would buffer the result. No pixel is out of range.
        np.take(table[channel], pixels[:, :, source], out=out[channel], mode="clip")
    return out


def possible_values(p: Preprocessing) -> NDArray[np.float32]:
    """(3, 256): all numbers that :func:`tensor` can return for each channel."""
    return _table(p.scale, p.mean, p.std)


def _fitted(image: Image.Image, p: Preprocessing) -> Image.Image:
    """Resizes and centre-crops to S x S; a smaller image gets black margins, as with torchvision's CenterCrop."""
    size = p.image_size
    width, height = _target(image.size, p)
    if (width, height) == (size, size):
        return image if image.size == (size, size) else image.resize((size, size), Image.Resampling.BILINEAR)
    # Rounds and truncates in the same places as torchvision's CenterCrop and Resize.
    left, top = round((width - size) / 2.0), round((height - size) / 2.0)
    if max(width, height) > LONGEST_RATIO * size and min(width, height) >= size:
        across, down = image.width / width, image.height / height
        box = (left * across, top * down, (left + size) * across, (top + size) * down)
        return image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return image.crop((left, top, left + size, top + size))


def _target(size: tuple[int, int], p: Preprocessing) -> tuple[int, int]:
    """Width and height after resizing, before cropping."""
    kind, side = _resize(p.resize)
    if kind == "none":
        return size
    if kind == "squash":
        return side, side
    width, height = size
    return (side, int(side * height / width)) if width <= height else (int(side * width / height), side)


@lru_cache(maxsize=16)
def _table(scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> NDArray[np.float32]:
    """(3, 256): for each channel, the network's input for each pixel value."""
    values = np.arange(256)[None] * scale
    table: NDArray[np.float32] = ((values - np.array(mean)[:, None]) / np.array(std)[:, None]).astype(np.float32)
    return table


@lru_cache(maxsize=64)
def _resize(text: object) -> tuple[str, int]:
    """'short_side:256' -> ('short_side', 256); any text that is not valid -> ('', 0)."""
    match = re.fullmatch(r"(short_side|squash):(\d{1,5})|none", str(text))
    if not match:
        return "", 0
    return (match[1], int(match[2])) if match[1] else ("none", 0)


def _finite(values: Any) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) and np.isfinite(v) for v in values)


def _parsed(name: str, value: object) -> Any:
    """The value of one option with its type, parsed if it is text."""
    try:
        if name == "image_size":
            return int(str(value))
        if name in ("mean", "std"):
            parts = re.split(r"[\s,]+", str(value).strip("[]() ")) if isinstance(value, str) else list(value)  # type: ignore[call-overload]
            return tuple(_number(part) for part in parts)
        return _number(value) if name == "scale" else str(value).strip().lower()
    except (ValueError, TypeError, ZeroDivisionError):
        raise _invalid(name, value) from None


def _number(value: object) -> float:
    return float(Fraction(str(value).replace(" ", "")))


def _invalid(option: str, value: object, accepted: str | None = None) -> SqlExtError:
    shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
    return SqlExtError("INVALID_PREPROCESSING", option=option, value=shown, accepted=accepted or ACCEPTED[option])
