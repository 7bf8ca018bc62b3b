"""Writes results as one self-contained HTML page: images are embedded thumbnails, everything else is escaped text."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from pyspark.sql.types import NumericType

from sqlext.cli.cells import is_image, text
from sqlext.cli.output import Result

THUMBNAIL = 160  # pixels of the longer side


@dataclass(frozen=True)
class Cell:
    """A text, or an image as a data: URL with the text as its description."""

    text: str
    url: str = ""
    number: bool = False


@dataclass(frozen=True)
class Card:
    """An image with a caption; ``wrong`` cards are marked."""

    picture: Cell
    caption: str
    wrong: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, a statement, and its result as a table or a grid of cards; ``note`` is printed below the table."""

    title: str = ""
    sql: str = ""
    columns: list[str] = field(default_factory=list)
    rows: list[list[Cell]] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    note: str = ""


def section(result: Result, sql: str = "", title: str = "", note: str = "") -> Section:
    """The section that shows a result as a table."""
    numbers = [isinstance(column.dataType, NumericType) for column in result.schema.fields]
    rows = [[cell(value, number) for value, number in zip(row, numbers, strict=True)] for row in result.rows]
    return Section(title, sql, result.columns, rows, note=note)


def cell(value: Any, number: bool = False) -> Cell:
    """The cell of one value; an image becomes a thumbnail."""
    return Cell(text(value), _thumbnail(value) if is_image(value) else "", number)


def page(title: str, sections: Iterable[Section]) -> str:
    """The whole page as HTML."""
    folder = FileSystemLoader(Path(__file__).parent)
    # Values come from tables: without autoescape, a stored text could run a script in the reader's browser.
    environment = Environment(loader=folder, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html").render(title=title, sections=list(sections))


def _thumbnail(value: Any) -> str:
    """A small JPEG as a data: URL, or '' for an image with a valid header that cannot be decoded."""
    from sqlext.images.decode import ImageError, decode

    try:
        picture = decode(value)
    except ImageError:
        return ""
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
