"""The shapes that the small backbone learns to distinguish, one function (rng, pen) per class. None is a flower."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from drawing import Colour, Pen, Points, any_colour, oval, shade, vary

Rng = np.random.Generator
Shape = Callable[[Rng, Pen], None]


def polygon(corners: int, inner: float = 1.0) -> Shape:
    """A regular polygon, or a star whose inner corners are at the radius ``inner``."""

    def draw(rng: Rng, pen: Pen) -> None:
        steps = corners * (1 if inner == 1.0 else 2)
        radius = np.where(np.arange(steps) % 2 == 0, 1.0, inner * rng.normal(1, 0.08)) if steps > corners else 1.0
        t = np.linspace(0, 2 * np.pi, steps, endpoint=False) + rng.normal(0, 0.05)
        outline = np.stack([np.cos(t) * radius, np.sin(t) * radius], 1)
        colour = any_colour(rng)
        pen.polygon(outline, colour)
        if rng.random() < 0.5:
            pen.polygon(outline * 0.6, shade(colour, rng.uniform(0.7, 1.3)))

    return draw


def outline(*points: tuple[float, float]) -> Shape:
    """Any polygon in a random colour, with its corners moved slightly each time."""

    def draw(rng: Rng, pen: Pen) -> None:
        moved = np.array(points) + rng.normal(0, 0.03, (len(points), 2))
        colour = any_colour(rng)
        pen.polygon(moved, colour)
        if rng.random() < 0.5:
            pen.polygon(moved * 0.7, shade(colour, rng.uniform(0.75, 1.3)))

    return draw


def mirrored(*points: tuple[float, float]) -> Shape:
    """A polygon with left-right symmetry; ``points`` are its right half from top to bottom."""
    return outline(*points, *[(-x, y) for x, y in reversed(points)])


def fruit(colour: Colour, height: float = 1.0, leaf: bool = False, pointed: bool = False) -> Shape:
    """A round object of a certain colour, since shape by itself does not distinguish these classes."""

    def draw(rng: Rng, pen: Pen) -> None:
        skin = vary(rng, colour, 14)
        pen.ellipse(0, 0, 0.9, 0.9 * height, skin)
        if pointed:
            pen.polygon([(-0.3, -0.7 * height), (0.3, -0.7 * height), (0, -1.15 * height)], skin)
        pen.ellipse(-0.3, -0.35 * height, 0.25, 0.18, shade(skin, 1.25))
        if leaf:
            pen.line([(0, -0.8), (0.1, -1.2)], 0.1, (90, 65, 40))
            pen.ellipse(0.35, -1.1, 0.3, 0.12, (70, 130, 50), -0.4)

    return draw


def ring(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    t = np.linspace(0, 2 * np.pi, 28)
    pen.line(np.stack([np.cos(t), np.sin(t)], 1) * 0.85, rng.uniform(0.2, 0.4), colour)


def spiral(rng: Rng, pen: Pen) -> None:
    t = np.linspace(0.2, rng.uniform(2, 3), 50)
    turns = rng.choice([-1, 1]) * 2 * np.pi * t
    pen.line(np.stack([np.cos(turns), np.sin(turns)], 1) * (t / t[-1])[:, None], 0.13, any_colour(rng))


def gear(rng: Rng, pen: Pen) -> None:
    teeth, colour = int(rng.integers(7, 12)), any_colour(rng)
    t = np.linspace(0, 2 * np.pi, teeth * 4, endpoint=False)
    radius = np.where(np.arange(teeth * 4) % 4 < 2, 1.0, 0.75)
    pen.polygon(np.stack([np.cos(t), np.sin(t)], 1) * radius[:, None], colour)
    pen.disc(0, 0, 0.3, shade(colour, 0.4))


def target(rng: Rng, pen: Pen) -> None:
    colours = any_colour(rng), any_colour(rng)
    for i in range(5):
        pen.disc(0, 0, 1 - i * 0.2, colours[i % 2])


def fish(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    pen.polygon([(0.5, 0), (1.1, -0.45), (1.1, 0.45)], shade(colour, 0.8))
    pen.ellipse(-0.1, 0, 0.8, rng.uniform(0.3, 0.5), colour)
    pen.disc(-0.6, -0.08, 0.08, (20, 20, 20))


def butterfly(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    for side in (-1, 1):
        pen.ellipse(side * 0.5, -0.35, 0.55, 0.4, colour, side * -0.6)
        pen.ellipse(side * 0.4, 0.4, 0.4, 0.3, shade(colour, 0.8), side * 0.6)
        pen.disc(side * 0.55, -0.35, 0.14, shade(colour, 0.4))
    pen.ellipse(0, 0, 0.08, 0.6, (40, 30, 30))


def beetle(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    for y in (-0.4, 0.0, 0.4):
        pen.line([(-1, y * 1.5), (0, y), (1, y * 1.5)], 0.07, (30, 25, 25))
    pen.ellipse(0, 0.1, 0.55, 0.8, colour)
    pen.line([(0, -0.6), (0, 0.9)], 0.06, shade(colour, 0.4))
    pen.disc(0, -0.75, 0.3, (40, 35, 35))


def spider(rng: Rng, pen: Pen) -> None:
    colour = vary(rng, (60, 45, 40), 25)
    for i in range(4):
        y = -0.6 + 0.4 * i
        pen.line([(-1, y * 1.3), (-0.5, y * 0.4 - 0.2), (0.5, y * 0.4 - 0.2), (1, y * 1.3)], 0.06, colour)
    pen.disc(0, 0.2, 0.4, colour)
    pen.disc(0, -0.3, 0.22, colour)


def snail(rng: Rng, pen: Pen) -> None:
    body, shell = vary(rng, (170, 140, 100)), any_colour(rng)
    pen.polygon([(-1, 0.7), (1, 0.7), (1.1, 0), (0.85, 0), (0.7, 0.4), (-0.6, 0.4)], body)
    pen.disc(-0.1, 0, 0.62, shell)
    pen.disc(-0.1, 0, 0.4, shade(shell, 0.7))
    pen.disc(-0.1, 0, 0.2, shell)


def bird(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    pen.ellipse(0, 0.1, 0.7, 0.4, colour)
    pen.disc(-0.65, -0.3, 0.3, colour)
    pen.polygon([(-0.9, -0.35), (-1.25, -0.2), (-0.9, -0.15)], (230, 170, 40))
    pen.polygon([(0.5, 0), (1.2, -0.2), (1.1, 0.25)], shade(colour, 0.75))
    pen.ellipse(0.1, 0.05, 0.4, 0.2, shade(colour, 0.7), 0.3)


def mushroom(rng: Rng, pen: Pen) -> None:
    cap = any_colour(rng)
    pen.polygon([(-0.22, 0), (0.22, 0), (0.3, 1), (-0.3, 1)], vary(rng, (225, 215, 195), 12))
    t = np.linspace(math.pi, 2 * math.pi, 16)
    pen.polygon(np.stack([np.cos(t), np.sin(t) * rng.uniform(0.6, 1)], 1), cap)
    if rng.random() < 0.6:
        for x, y in ((-0.4, -0.3), (0.1, -0.5), (0.5, -0.2)):
            pen.disc(x, y, 0.11, (240, 235, 225))


def conifer(rng: Rng, pen: Pen) -> None:
    green = vary(rng, (40, 90, 55))
    pen.polygon([(-0.1, 0.6), (0.1, 0.6), (0.1, 1.1), (-0.1, 1.1)], (95, 65, 40))
    for i in range(3):
        pen.polygon([(0, -1.1 + 0.5 * i), (0.35 + 0.2 * i, -0.3 + 0.5 * i), (-0.35 - 0.2 * i, -0.3 + 0.5 * i)], green)


def tree(rng: Rng, pen: Pen) -> None:
    crown = vary(rng, [(70, 130, 50), (190, 120, 40), (110, 150, 60)][int(rng.integers(3))])
    pen.polygon([(-0.12, 0), (0.12, 0), (0.16, 1.1), (-0.16, 1.1)], (95, 70, 45))
    for _ in range(7):
        pen.disc(rng.normal(0, 0.33), rng.normal(-0.4, 0.25), 0.4, shade(crown, rng.normal(1, 0.1)))


def fern(rng: Rng, pen: Pen) -> None:
    green = vary(rng, (60, 120, 50))
    pen.line([(0, 1.1), (0, -1)], 0.06, green)
    for i in range(9):
        y, length = 0.9 - 0.22 * i, 0.75 - 0.06 * i
        for side in (-1, 1):
            pen.ellipse(side * length / 2, y - 0.12, length / 2, 0.07, green, -side * 0.35)


def cactus(rng: Rng, pen: Pen) -> None:
    green = vary(rng, (60, 125, 75))
    pen.line([(0, 1), (0, -0.9)], 0.45, green)
    for side in (-1, 1):
        y = rng.uniform(-0.1, 0.4)
        pen.line([(0, y), (side * 0.6, y), (side * 0.6, y - 0.6)], 0.25, green)


def grapes(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    for row in range(5):
        for i in range(5 - row):
            x, y = (i - (4 - row) / 2) * 0.4, row * 0.36 - 0.7
            pen.disc(x, y, 0.23, shade(colour, rng.normal(1, 0.15)))


def cherries(rng: Rng, pen: Pen) -> None:
    colour = vary(rng, (170, 25, 45))
    for side in (-1, 1):
        pen.line([(0.1, -1), (side * 0.5, 0.3)], 0.06, (80, 110, 50))
        pen.disc(side * 0.5, 0.5, 0.42, colour)


def house(rng: Rng, pen: Pen) -> None:
    wall = any_colour(rng)
    pen.polygon([(-0.8, -0.1), (0.8, -0.1), (0.8, 1), (-0.8, 1)], wall)
    pen.polygon([(-1, -0.1), (0, -0.95), (1, -0.1)], any_colour(rng))
    pen.polygon([(-0.15, 0.4), (0.2, 0.4), (0.2, 1), (-0.15, 1)], shade(wall, 0.5))


def car(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    pen.polygon([(-0.6, -0.1), (-0.35, -0.55), (0.35, -0.55), (0.65, -0.1)], shade(colour, 0.7))
    pen.polygon([(-1.1, -0.1), (1.1, -0.1), (1.1, 0.4), (-1.1, 0.4)], colour)
    for x in (-0.6, 0.6):
        pen.disc(x, 0.42, 0.26, (30, 30, 30))


def boat(rng: Rng, pen: Pen) -> None:
    pen.polygon([(-1, 0.4), (1, 0.4), (0.6, 0.9), (-0.6, 0.9)], any_colour(rng))
    pen.line([(0, 0.4), (0, -1)], 0.07, (90, 65, 40))
    pen.polygon([(0.06, -0.95), (0.85, 0.25), (0.06, 0.25)], vary(rng, (230, 230, 220)))


def umbrella(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    t = np.linspace(math.pi, 2 * math.pi, 18)
    pen.polygon(np.stack([np.cos(t), np.sin(t) * 0.9], 1), colour)
    pen.polygon([(-0.35, 0), (0, -0.9), (0.35, 0)], shade(colour, 0.75))
    pen.line([(0, -0.9), (0, 0.85), (0.15, 1), (0.3, 0.85)], 0.07, (60, 50, 45))


def cup(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    t = np.linspace(-1.5, 1.5, 12)
    pen.line(np.stack([0.6 + 0.4 * np.cos(t), 0.4 * np.sin(t)], 1), 0.13, colour)
    pen.polygon([(-0.65, -0.7), (0.65, -0.7), (0.5, 0.75), (-0.5, 0.75)], colour)
    pen.ellipse(0, -0.7, 0.65, 0.17, shade(colour, 0.6))


def key(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    t = np.linspace(0, 2 * np.pi, 20)
    pen.line(np.stack([-0.65 + 0.32 * np.cos(t), 0.32 * np.sin(t)], 1), 0.15, colour)
    pen.line([(-0.33, 0), (1, 0), (1, 0.35)], 0.15, colour)
    pen.line([(0.65, 0), (0.65, 0.3)], 0.15, colour)


def ladder(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    for x in (-0.35, 0.35):
        pen.line([(x, -1.1), (x, 1.1)], 0.12, colour)
    for i in range(6):
        pen.line([(-0.35, -0.9 + 0.36 * i), (0.35, -0.9 + 0.36 * i)], 0.1, colour)


def eye(rng: Rng, pen: Pen) -> None:
    t = np.linspace(-1, 1, 15)
    lid = np.concatenate([np.stack([t, -0.55 * (1 - t**2)], 1), np.stack([t, 0.55 * (1 - t**2)], 1)[::-1]])
    pen.polygon(lid, vary(rng, (235, 230, 225), 10))
    pen.disc(0, 0, 0.42, any_colour(rng))
    pen.disc(0, 0, 0.2, (15, 15, 20))


def snowflake(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    for i in range(6):
        c, s = math.cos(i * math.pi / 3), math.sin(i * math.pi / 3)
        pen.line([(0, 0), (c, s)], 0.09, colour)
        for side in (-1, 1):
            end: Points = np.array([0.9 * c - side * 0.28 * s, 0.9 * s + side * 0.28 * c])
            pen.line([(0.6 * c, 0.6 * s), (float(end[0]), float(end[1]))], 0.08, colour)


def pinwheel(rng: Rng, pen: Pen) -> None:
    colours = any_colour(rng), any_colour(rng)
    for i in range(8):
        a, b = i * math.pi / 4, (i + 1) * math.pi / 4
        pen.polygon([(0, 0), (math.cos(a), math.sin(a)), (math.cos(b), math.sin(b))], colours[i % 2])


def clover(rng: Rng, pen: Pen) -> None:
    green = vary(rng, (60, 140, 60))
    pen.line([(0, 0), (0.2, 1.1)], 0.1, green)
    for i in range(3):
        a = -math.pi / 2 + i * 2 * math.pi / 3
        pen.disc(0.45 * math.cos(a), 0.45 * math.sin(a), 0.42, shade(green, rng.normal(1, 0.08)))


def dice(rng: Rng, pen: Pen) -> None:
    colour = any_colour(rng)
    pen.polygon([(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)], colour)
    spot = (245, 245, 240) if sum(colour) < 380 else (25, 25, 25)
    for x, y in ((-0.5, -0.5), (0.5, 0.5), (0.5, -0.5), (-0.5, 0.5), (0, 0)):
        pen.polygon(oval(x, y, 0.19, 0.19), spot)


# fmt: off
SHAPES: dict[str, Shape] = {
    "triangle": polygon(3),
    "square": polygon(4),
    "hexagon": polygon(6),
    "star_4": polygon(4, 0.4),
    "star_5": polygon(5, 0.45),
    "star_8": polygon(8, 0.6),
    "cross": outline((-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3), (0.3, 1),
                     (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3)),
    "arrow": outline((-1, -0.2), (0.2, -0.2), (0.2, -0.6), (1, 0), (0.2, 0.6), (0.2, 0.2), (-1, 0.2)),
    "bolt": outline((0.3, -1), (-0.5, 0.1), (0, 0.1), (-0.3, 1), (0.5, -0.2), (0, -0.2)),
    "heart": mirrored((0, -0.5), (0.3, -0.85), (0.75, -0.8), (0.95, -0.4), (0.75, 0.1), (0, 1)),
    "drop": mirrored((0, -1), (0.3, -0.3), (0.6, 0.25), (0.5, 0.75), (0.2, 0.98)),
    "crescent": outline((0.4, -0.95), (-0.3, -0.9), (-0.85, -0.3), (-0.85, 0.3), (-0.3, 0.9), (0.4, 0.95),
                        (-0.15, 0.5), (-0.3, 0), (-0.15, -0.5)),
    "bottle": mirrored((0.15, -1.1), (0.15, -0.5), (0.4, -0.2), (0.4, 1)),
    "hourglass": mirrored((0.7, -1), (0.1, 0), (0.7, 1)),
    "leaf": mirrored((0, -1), (0.35, -0.5), (0.45, 0), (0.3, 0.5), (0.05, 0.85), (0.05, 1.15)),
    "pear": mirrored((0.1, -1), (0.3, -0.6), (0.35, -0.1), (0.7, 0.4), (0.55, 0.85), (0.2, 1)),
    "banana": outline((-1, -0.3), (-0.8, 0.2), (-0.2, 0.55), (0.5, 0.5), (1, 0.05), (0.9, -0.1),
                      (0.4, 0.15), (-0.2, 0.15), (-0.7, -0.15)),
    "orange": fruit((235, 140, 30)),
    "tomato": fruit((205, 45, 35), 0.85),
    "plum": fruit((95, 45, 105)),
    "lime": fruit((120, 175, 50), pointed=True),
    "lemon": fruit((235, 210, 60), pointed=True),
    "apple": fruit((190, 50, 45), leaf=True),
    "blueberry": fruit((60, 70, 150)),
    "snowball": fruit((235, 238, 242)),
    "pebble": fruit((120, 110, 100), 0.6),
    **{
        shape.__name__: shape
        for shape in (
            ring, spiral, gear, target, fish, butterfly, beetle, spider, snail, bird, mushroom, conifer, tree, fern,
            cactus, grapes, cherries, house, car, boat, umbrella, cup, key, ladder, eye, snowflake, pinwheel, clover,
            dice,
        )
    },
}
# fmt: on
