"""Draws the demo's pictures of five species of flowers, each picture different; the same seed gives the same files.

No class of ``tools/small_backbone`` is a flower, so the shipped backbone was not trained on what the demo teaches it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from sqlext.cli.drawing import Colour, Pen, camera, jpeg, scene, shade, vary

# Colours of the background: grass, leaves, earth, sky, straw.
GROUND: list[Colour] = [(52, 94, 40), (96, 130, 62), (120, 100, 70), (150, 180, 205), (60, 70, 50), (190, 180, 130)]


TULIPS: list[Colour] = [
    (205, 45, 55),
    (235, 195, 60),
    (225, 130, 165),
    (130, 70, 150),
    (240, 235, 225),
    (230, 120, 50),
]


def _choose(rng: np.random.Generator, *colours: Colour, amount: float = 16.0) -> Colour:
    return vary(rng, colours[int(rng.integers(len(colours)))], amount)


def _stem(rng: np.random.Generator, pen: Pen, width: float = 0.07) -> None:
    green = vary(rng, (70, 120, 50))
    bend = rng.normal(0, 0.25)
    pen.line([(0, 0), (bend * 0.4, 0.8), (bend, 2.6)], width, green)
    if rng.random() < 0.6:
        side = rng.choice([-1, 1])
        pen.ellipse(bend * 0.5 + side * 0.35, 1.3, 0.4, 0.11, shade(green, 1.15), -side * 0.6)


def _ring(
    rng: np.random.Generator, pen: Pen, petals: int, inner: float, width: float, colour: Colour, tip: float
) -> None:
    """A ring of petals, each slightly different; now and then one is missing."""
    start = rng.uniform(0, 2 * math.pi)
    for i in range(petals):
        if rng.random() < 0.04:
            continue
        angle = start + 2 * math.pi * (i + rng.normal(0, 0.12)) / petals
        pen.petal(angle, inner, rng.normal(1, 0.06), width, vary(rng, shade(colour, rng.normal(1, 0.07)), 6), tip)


def daisy(rng: np.random.Generator, pen: Pen) -> None:
    _stem(rng, pen, 0.06)
    petals = _choose(rng, (240, 240, 235), (240, 240, 235), (235, 215, 228), (238, 232, 190))
    _ring(rng, pen, int(rng.integers(12, 22)), 0.2, 0.13, petals, 0.8)
    pen.disc(0, 0, rng.uniform(0.24, 0.36), _choose(rng, (225, 180, 40), (200, 150, 40)))


def sunflower(rng: np.random.Generator, pen: Pen) -> None:
    _stem(rng, pen, 0.12)
    petals = _choose(rng, (240, 190, 30), (235, 165, 35), (240, 215, 110))
    _ring(rng, pen, int(rng.integers(14, 24)), 0.35, 0.14, shade(petals, 0.85), 1.4)
    _ring(rng, pen, int(rng.integers(12, 20)), 0.35, 0.12, petals, 1.4)
    seeds = _choose(rng, (80, 50, 25), (110, 70, 30), (140, 105, 40))
    radius = rng.uniform(0.38, 0.56)
    pen.disc(0, 0, radius, seeds)
    pen.disc(0, 0, radius * 0.6, shade(seeds, 0.75))


def poppy(rng: np.random.Generator, pen: Pen) -> None:
    _stem(rng, pen, 0.05)
    petals = _choose(rng, (205, 40, 30), (225, 80, 40), (225, 130, 120), (235, 150, 50))
    start = rng.uniform(0, 2 * math.pi)
    for i in range(int(rng.integers(4, 6))):
        angle = start + i * math.pi / 2 + rng.normal(0, 0.15)
        x, y = 0.42 * math.cos(angle), 0.42 * math.sin(angle)
        pen.ellipse(x, y, 0.52, rng.uniform(0.5, 0.68), vary(rng, shade(petals, rng.normal(1, 0.09)), 5), angle)
    pen.disc(0, 0, rng.uniform(0.14, 0.26), _choose(rng, (45, 35, 40), (70, 80, 45), (60, 45, 70)))


def tulip(rng: np.random.Generator, pen: Pen) -> None:
    _stem(rng, pen, 0.1)
    petals = _choose(rng, *TULIPS)
    opening = rng.uniform(0.7, 1.25)
    for side in (-1, 1):
        cup = [(side * 0.08, 0.55), (side * 0.6, 0.25), (side * 0.55 * opening, -0.95), (side * 0.1, -0.25)]
        pen.polygon(cup, vary(rng, shade(petals, 0.86), 5))
    pen.petal(-math.pi / 2, -0.6, rng.uniform(0.75, 1.0), 0.42, petals, 0.9)
    pen.petal(-math.pi / 2, -0.4, 0.6, 0.14, shade(petals, 1.1), 1.0)


def bluebell(rng: np.random.Generator, pen: Pen) -> None:
    bells = _choose(rng, (75, 85, 190), (110, 90, 200), (150, 130, 215), (205, 160, 210))
    bend = rng.uniform(0.3, 0.9) * rng.choice([-1, 1])
    t = np.linspace(0, 1, 8)
    stalk = np.stack([bend * (1 - t) ** 2, -1 + 3.2 * t], 1)
    pen.line(stalk, 0.06, vary(rng, (80, 120, 60)))
    for i in range(int(rng.integers(4, 8))):
        x, y = bend * (1 - i * 0.11) ** 2, -1 + 0.35 * i
        x, y = x + rng.choice([-1, 1]) * rng.uniform(0.15, 0.3), y + 0.12
        colour = vary(rng, bells, 10)
        pen.polygon(
            [(x - 0.1, y - 0.2), (x + 0.1, y - 0.2), (x + 0.2, y + 0.25), (x, y + 0.15), (x - 0.2, y + 0.25)], colour
        )


SPECIES: dict[str, Callable[[np.random.Generator, Pen], None]] = {
    "bluebell": bluebell,
    "daisy": daisy,
    "poppy": poppy,
    "sunflower": sunflower,
    "tulip": tulip,
}


def picture(rng: np.random.Generator, species: str) -> Image.Image:
    """Draws one photograph-like picture with one to four flowers of the species, 128 to 240 pixels wide and high."""
    width, height = int(rng.integers(128, 241)), int(rng.integers(128, 241))

    def subject(rng: np.random.Generator, image: Image.Image) -> None:
        for i in range(int(rng.choice([1, 1, 1, 2, 3, 4]))):
            size = min(image.size) * rng.uniform(0.16, 0.36) * (1 if i == 0 else 0.75)
            centre = (image.width * rng.uniform(0.25, 0.75), image.height * rng.uniform(0.25, 0.7))
            SPECIES[species](rng, Pen(image, centre, size, rng.normal(0, 0.3), rng.uniform(0.6, 1)))

    return camera(rng, scene(rng, width, height, GROUND, subject), noise=16, blur=1.6)


def write_flowers(folder: Path, train: int = 40, validation: int = 20, seed: int = 1) -> int:
    """Draws ``folder/train/<species>/*.jpg`` and ``folder/val/<species>/*.jpg``.

    :param train: number of training pictures per species.
    :param validation: number of held-out pictures per species.
    :return: the number of all pictures.
    """
    for part, count in enumerate((train, validation)):
        for index, species in enumerate(SPECIES):
            place = folder / ("train", "val")[part] / species
            place.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng([seed, part, index])
            for number in range(count):
                (place / f"{species}_{number:03d}.jpg").write_bytes(jpeg(rng, picture(rng, species)))
    return len(SPECIES) * (train + validation)
