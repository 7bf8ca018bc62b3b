"""The training data: drawn pictures and a table of numbers, the same in every run."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageDraw

from tests.support.stored import binary

SIDE = 16
COLOURS = ("#c03020", "#2060c0", "#e0b020", "#30a050")


def inputs() -> dict[str, dict[str, Any]]:
    """Returns the tables by name, each with `schema` and `rows`."""
    houses = [[i, 40.0 + 3 * (i % 17), 1 + i % 5, 0.5 * (i % 23), _price(i), i % 3 == 0, _split(i)] for i in range(40)]
    return {
        "pictures": {"schema": "id INT, picture BINARY, shape STRING, size DOUBLE", "rows": list(_pictures())},
        "houses": {
            "schema": "id INT, area DOUBLE, rooms INT, age DOUBLE, price DOUBLE, sold BOOLEAN, part STRING",
            "rows": houses,
        },
    }


def _price(i: int) -> float:
    return 100_000.0 + 2_500 * (40 + 3 * (i % 17)) - 1_000 * (i % 23) + 37 * (i % 7)


def _split(i: int) -> str:
    return {7: "validation", 8: "validation", 9: "test"}.get(i % 10, "train")


def _pictures() -> Iterator[list[Any]]:
    """Draws PNG files, because JPEG decoders differ in the last bit. One file cannot be decoded."""
    for i in range(30):
        shape, width = ("circle", "cross", "square")[i % 3], 5 + i % 4
        yield [i, binary(_png(shape, width, COLOURS[i % 4], COLOURS[(i + 1 + i // 4) % 4])), shape, float(width)]
    yield [30, binary(b"no picture"), "square", 1.0]


def _png(shape: str, width: int, colour: str, ground: str) -> bytes:
    picture = Image.new("RGB", (SIDE, SIDE), ground)
    draw, low, high = ImageDraw.Draw(picture), 8 - width, 7 + width
    if shape == "circle":
        draw.ellipse((low, low, high, high), fill=colour)
    elif shape == "square":
        draw.rectangle((low, low, high, high), fill=colour)
    else:
        draw.line((low, low, high, high), fill=colour, width=3)
        draw.line((low, high, high, low), fill=colour, width=3)
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return content.getvalue()
