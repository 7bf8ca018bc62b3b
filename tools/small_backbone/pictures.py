"""The images on which the small backbone is trained, with one class per shape and per texture."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from drawing import Pen, any_colour, camera, scene, shade
from numpy.typing import NDArray
from PIL import Image
from shapes import SHAPES

SIDE = 64
Pattern = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]

# Patterns in two colours that fill the image: whether the point (x, y), rotated and scaled, has the second colour.
TEXTURES: dict[str, Pattern] = {
    "stripes": lambda x, y: x % 1 < 0.5,
    "checks": lambda x, y: (x % 1 < 0.5) ^ (y % 1 < 0.5),
    "dots": lambda x, y: (x % 1 - 0.5) ** 2 + (y % 1 - 0.5) ** 2 < 0.08,
    "waves": lambda x, y: (x + 0.3 * np.sin(2 * math.pi * y)) % 1 < 0.5,
    "zigzag": lambda x, y: (x + 0.6 * abs(y % 1 - 0.5)) % 1 < 0.5,
    "grid": lambda x, y: (x % 1 < 0.18) | (y % 1 < 0.18),
    "bricks": lambda x, y: (y % 1 < 0.15) | ((x / 2 + 0.5 * (y // 1 % 2)) % 1 < 0.08),
    "rings": lambda x, y: np.hypot(x, y) % 1 < 0.5,
    "scales": lambda x, y: np.hypot((x + 0.5 * (y // 1 % 2)) % 1 - 0.5, y % 1) % 0.5 < 0.12,
}
CLASSES: tuple[str, ...] = tuple(SHAPES) + tuple(TEXTURES)


def _texture(rng: np.random.Generator, name: str) -> Image.Image:
    grid = np.arange(SIDE * 2) / (SIDE * 2) - rng.uniform(0.3, 0.7)
    x, y = np.meshgrid(grid, grid)
    angle, scale = rng.uniform(0, 2 * math.pi), rng.uniform(3, 8)
    turned = (x * math.cos(angle) - y * math.sin(angle)) * scale, (x * math.sin(angle) + y * math.cos(angle)) * scale
    colour = any_colour(rng)
    other = any_colour(rng) if rng.random() < 0.5 else shade(colour, rng.uniform(0.3, 0.65))
    pixels = np.where(TEXTURES[name](*turned)[..., None], np.array(colour), np.array(other)).astype(np.uint8)
    return Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX)


def picture(rng: np.random.Generator, name: str) -> Image.Image:
    """One image of the class, 64 x 64 pixels, with random sizes, places, angles and colours; sometimes with several objects."""
    if name in TEXTURES:
        return camera(rng, _texture(rng, name), noise=9, blur=0.5)

    def subject(rng: np.random.Generator, image: Image.Image) -> None:
        for i in range(int(rng.choice([1, 1, 1, 2, 3]))):
            size = image.width * rng.uniform(0.2, 0.42) * (1 if i == 0 else 0.7)
            centre = (image.width * rng.uniform(0.27, 0.73), image.height * rng.uniform(0.27, 0.73))
            SHAPES[name](rng, Pen(image, centre, size, rng.normal(0, 0.6), rng.uniform(0.65, 1)))

    ground = [any_colour(rng) for _ in range(3)] + [(int(g), int(g), int(g)) for g in rng.uniform(30, 220, 2)]
    ground = [shade(colour, 0.8) for colour in ground]
    return camera(rng, scene(rng, SIDE, SIDE, ground, subject), noise=9, blur=0.5)


def draw_set(seed: int, per_class: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draws ``per_class`` images of every class. Each class has a separate seed, so that adding classes changes no others.

    :return: the images, N x 64 x 64 x 3, and the index of each image's class in :data:`CLASSES`.
    """
    pictures = []
    for index, name in enumerate(CLASSES):
        rng = np.random.default_rng([seed, index])
        pictures += [np.asarray(picture(rng, name)) for _ in range(per_class)]
    return np.stack(pictures), np.repeat(np.arange(len(CLASSES)), per_class)
