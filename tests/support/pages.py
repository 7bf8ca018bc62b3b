"""The pages of the documentation and their examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
FENCE = re.compile(
    r"(?:<!-- (?P<mark>parsed only|result) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, kind: str) -> Iterator[str]:
    """The text of the fenced blocks of one kind, such as sql."""
    return (found["text"] for found in FENCE.finditer(page.read_text()) if found["kind"] == kind)


def examples(page: Path) -> Iterator[tuple[str, str | None]]:
    """The SQL blocks that are not marked as parsed only, each with the printed result of its last statement, if any.

    The result is the next block, if it is marked ``<!-- result -->``.
    """
    fences = list(FENCE.finditer(page.read_text()))
    for fence, following in zip(fences, [*fences[1:], None], strict=True):
        if fence["kind"] == "sql" and fence["mark"] is None:
            yield fence["text"], following["text"] if following and following["mark"] == "result" else None
