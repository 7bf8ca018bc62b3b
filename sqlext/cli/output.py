"""Writes results: as tables for people, or as CSV or JSON lines for programs."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TextIO

from pyspark.sql.types import NumericType, StructType
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sqlext.cli.cells import plain, text

FORMATS = ("table", "json", "csv", "html")
DEFAULT_WIDTH = 160  # if neither a terminal nor COLUMNS sets the width of a line
NARROWEST = 10  # characters per column with its frame; a narrower table is unreadable


@dataclass(frozen=True)
class Result:
    """What a statement returned: its columns with their Spark types, and its rows, which can be read only once."""

    schema: StructType
    rows: Iterable[Any]

    @property
    def columns(self) -> list[str]:
        return list(self.schema.names)


def claim_stdout() -> TextIO:
    """Returns standard output as a stream for data; anything else that the JVM or a library prints goes to standard error.

    Call it before the JVM starts, because the JVM inherits standard output.
    """
    sys.stdout.flush()
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="", buffering=1)
    os.dup2(2, 1)
    return stream


def line_width(stream: TextIO) -> int:
    """The width of a line: COLUMNS or, if that is not set, the width of the terminal behind ``stream`` or a default."""
    if columns := os.environ.get("COLUMNS", ""):
        return int(columns) if columns.isdecimal() else DEFAULT_WIDTH
    return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else DEFAULT_WIDTH


# --- table ------------------------------------------------------------------------------------------------------------


def write_table(result: Result, stream: TextIO, width: int | None = None) -> None:
    """Writes a framed table. A single row wider than the line, and rows more than twice as wide, are written field by field."""
    width = width or line_width(stream)
    rows = [[text(value) for value in row] for row in result.rows]
    console = Console(file=stream, width=width, highlight=False, emoji=False, markup=False, soft_wrap=False)
    if len(rows) == 1 and len(rows[0]) == 1 and "\n" in rows[0][0]:
        stream.write(rows[0][0].rstrip("\n") + "\n")  # a plan or a statement, printed as is
        return
    natural = _natural_width(result.columns, rows)
    if not rows and natural > width:
        console.print(Text(f"no rows; columns: {', '.join(result.columns)}"))
        return
    cramped = width < NARROWEST * len(result.columns)
    if natural > width and (len(rows) == 1 or natural > 2 * width or cramped):
        for number, row in enumerate(rows, 1):
            if len(rows) > 1:
                console.print(Text(f"row {number}"))
            console.print(_record(result.columns, row))
        return
    console.print(_grid(result, rows))
    if len(rows) != 1:
        console.print(Text(f"{len(rows):,} rows"))


def _natural_width(columns: list[str], rows: list[list[str]]) -> int:
    widest = [max(_widest(cells) for cells in (name, *column)) for name, *column in zip(columns, *rows, strict=True)]
    return sum(widest) + 3 * len(columns) + 1


def _widest(cell: str) -> int:
    return max((cell_len(line) for line in cell.splitlines()), default=0)


def _grid(result: Result, rows: list[list[str]]) -> Table:
    table = Table(box=box.SQUARE, header_style="bold")
    for field in result.schema.fields:
        right = isinstance(field.dataType, NumericType)
        table.add_column(Text(field.name), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_styled, row))
    return table


def _record(columns: list[str], row: list[str]) -> Table:
    table = Table(box=box.SQUARE, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, cell in zip(columns, row, strict=True):
        table.add_row(Text(name), _styled(cell))
    return table


def _styled(cell: str) -> Text:
    return Text(cell, style="dim" if cell == "NULL" else "")


# --- for programs -----------------------------------------------------------------------------------------------------


def write_json(result: Result, stream: TextIO) -> None:
    """Writes each row as a JSON object on one line."""
    names, kinds = _distinct(result.columns), [field.dataType for field in result.schema.fields]
    for row in result.rows:
        record = {name: plain(value, kind) for name, kind, value in zip(names, kinds, row, strict=True)}
        stream.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def _distinct(names: list[str]) -> list[str]:
    """Makes names unique, as the keys of an object must be: the second column `id` becomes `id_2`."""
    return [name if name not in names[:i] else f"{name}_{names[:i].count(name) + 1}" for i, name in enumerate(names)]


def write_csv(result: Result, stream: TextIO) -> None:
    """Writes a header line and the rows (RFC 4180): NULL is empty, binary is base64; arrays, maps and structs are JSON."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(result.columns)
    kinds = [field.dataType for field in result.schema.fields]
    for row in result.rows:
        writer.writerow([_csv_cell(plain(value, kind)) for value, kind in zip(row, kinds, strict=True)])


def _csv_cell(value: Any) -> Any:
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else value


WRITERS: dict[str, Callable[[Result, TextIO], None]] = {"table": write_table, "json": write_json, "csv": write_csv}
