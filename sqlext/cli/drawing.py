"""Draws photograph-like pictures: a varied background, shapes drawn by a :class:`Pen`, and the faults of a camera.

All randomness comes from the NumPy generator that the caller passes, so that the same seed gives the same pictures.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Points = NDArray[np.float64]

# Shapes are drawn this much larger and then reduced, because Pillow does not smooth the edges of polygons.
OVERSAMPLE = 2


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, darker (factor < 1) or lighter (factor > 1)."""
    r, g, b = (max(0, min(255, int(c * factor))) for c in colour)
    return r, g, b


def vary(rng: np.random.Generator, colour: Colour, amount: float = 22.0) -> Colour:
    """A random colour near ``colour``, with a standard deviation of ``amount`` levels per channel."""
    r, g, b = (int(max(0, min(255, c + rng.normal(0, amount)))) for c in colour)
    return r, g, b


def any_colour(rng: np.random.Generator) -> Colour:
    """A random, rather saturated colour."""
    hue, low, high = rng.uniform(0, 6), rng.uniform(0, 130), rng.uniform(140, 255)
    levels = [low + (high - low) * max(0.0, min(1.0, abs((hue + shift) % 6 - 3) - 1)) for shift in (0, 4, 2)]
    return int(levels[0]), int(levels[1]), int(levels[2])


class Pen:
    """Draws in unit coordinates (y down), which are turned by ``angle``, scaled to ``size`` pixels and moved to ``centre``.

    :param squeeze: the factor by which heights are reduced, as if the shape were seen at an angle.
    """

    def __init__(
        self, image: Image.Image, centre: tuple[float, float], size: float, angle: float = 0.0, squeeze: float = 1.0
    ) -> None:
        self.draw = ImageDraw.Draw(image)
        self.centre = np.array(centre)
        self.size = size
        cos, sin = math.cos(angle), math.sin(angle)
        self.matrix = np.array([[cos, -sin * squeeze], [sin, cos * squeeze]]) * size

    def place(self, points: Points) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in points @ self.matrix.T + self.centre]

    def polygon(self, points: Points | list[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon(self.place(np.asarray(points, float)), fill=colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, angle: float = 0.0) -> None:
        self.polygon(oval(x, y, rx, ry, angle), colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self.ellipse(x, y, radius, radius, colour)

    def line(self, points: Points | list[tuple[float, float]], width: float, colour: Colour) -> None:
        pixels = max(1, round(width * self.size))
        self.draw.line(self.place(np.asarray(points, float)), fill=colour, width=pixels, joint="curve")

    def petal(self, angle: float, inner: float, outer: float, width: float, colour: Colour, tip: float = 1.0) -> None:
        """Draws a petal in the direction ``angle`` from radius ``inner`` to ``outer``; a ``tip`` above 1 is pointed."""
        t = np.linspace(0, 1, 9)
        half = width * np.sin(np.pi * t**0.8) ** (0.6 * tip)
        along = inner + (outer - inner) * t
        outline = np.concatenate([np.stack([along, half], 1), np.stack([along, -half], 1)[::-1]])
        self.polygon(turn(outline, angle), colour)


def oval(x: float, y: float, rx: float, ry: float, angle: float = 0.0, corners: int = 20) -> Points:
    """The outline of an ellipse."""
    t = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    outline: Points = turn(np.stack([rx * np.cos(t), ry * np.sin(t)], 1), angle) + np.array([x, y])
    return outline


def turn(points: Points, angle: float) -> Points:
    """The points turned around the origin."""
    cos, sin = math.cos(angle), math.sin(angle)
    turned: Points = points @ np.array([[cos, sin], [-sin, cos]])
    return turned


# --- backgrounds ------------------------------------------------------------------------------------------------------


def _cloudy(rng: np.random.Generator, width: int, height: int, colours: list[Colour]) -> Image.Image:
    """Soft patches between a few colours, like ground that is out of focus."""
    cells = rng.integers(2, 9)
    mix = rng.random((cells, cells, len(colours))) ** 2 + 0.02
    pixels = (mix / mix.sum(2, keepdims=True)) @ np.array(colours, float)
    return Image.fromarray(pixels.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


def _strokes(rng: np.random.Generator, image: Image.Image, colours: list[Colour], upright: bool) -> Image.Image:
    """Draws blades of grass and twigs over the image."""
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(10, 45)):
        x, y = rng.uniform(0, image.width), rng.uniform(0, image.height)
        angle = rng.normal(-math.pi / 2, 0.3) if upright else rng.uniform(0, math.pi)
        length = rng.uniform(0.1, 0.5) * image.height
        end = (x + length * math.cos(angle), y + length * math.sin(angle))
        colour = vary(rng, colours[rng.integers(len(colours))])
        draw.line([(x, y), end], fill=colour, width=int(rng.integers(1, 6)))
    return image


def background(rng: np.random.Generator, width: int, height: int, colours: list[Colour]) -> Image.Image:
    """A picture without a subject: patches of the colours, often strokes, often out of focus."""
    image = _cloudy(rng, width, height, colours)
    if rng.random() < 0.6:
        image = _strokes(rng, image, colours, upright=rng.random() < 0.7)
    if rng.random() < 0.7:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 4)))
    return image


# --- the camera -------------------------------------------------------------------------------------------------------


def camera(rng: np.random.Generator, image: Image.Image, noise: float = 10.0, blur: float = 1.2) -> Image.Image:
    """Adds the faults of a camera: poor focus, exposure and white balance, uneven light and noise."""
    image = image.filter(ImageFilter.GaussianBlur(abs(rng.normal(0, blur))))
    pixels = np.asarray(image, np.float64) / 255  # float32 results, and so pixels, would depend on the CPU
    pixels = np.clip(pixels, 0, 1) ** math.exp(rng.normal(0, 0.22)) * rng.normal(1, 0.06, 3)
    x, y = np.meshgrid(np.linspace(-1, 1, image.width), np.linspace(-1, 1, image.height))
    light = 1 + rng.normal(0, 0.12) * x + rng.normal(0, 0.12) * y - abs(rng.normal(0, 0.08)) * (x * x + y * y)
    pixels = pixels * light[..., None] + rng.normal(0, abs(rng.normal(0, noise)) / 255, pixels.shape)
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def jpeg(rng: np.random.Generator, image: Image.Image) -> bytes:
    """The image as a JPEG file of random quality."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(45, 93)))
    return file.getvalue()


def scene(
    rng: np.random.Generator,
    width: int,
    height: int,
    colours: list[Colour],
    subject: Callable[[np.random.Generator, Image.Image], None],
) -> Image.Image:
    """A background in ``colours`` on which ``subject`` draws, reduced to ``width`` x ``height`` pixels."""
    large = background(rng, width * OVERSAMPLE, height * OVERSAMPLE, colours)
    subject(rng, large)
    return large.resize((width, height), Image.Resampling.BOX)
