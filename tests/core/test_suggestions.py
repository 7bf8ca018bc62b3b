"""Which names "Did you mean" proposes."""

from __future__ import annotations

import pytest

from sqlext.errors import nearest


@pytest.mark.parametrize(
    ("word", "known", "says"),
    [
        ("shop.nope", ["shop.ph", "shop.flowers"], "Available: shop.flowers, shop.ph."),
        ("shop.flwoers", ["shop.ph", "shop.flowers"], "Did you mean shop.flowers?"),
        (
            "spark.sqlext.trian.maxConcurrent",
            ["spark.sqlext.train.maxConcurrent"],
            "Did you mean spark.sqlext.train.max",
        ),
        ("t.`pm2.5`", ["t.`PM2.6`", "t.`id`"], "Did you mean t.`PM2.6`?"),
        ("t.`pm2.5`", ["t.`id`"], "Available: t.`id`."),
        ("shop.nope", [], ""),
    ],
)
def test_nearest(word: str, known: list[str], says: str) -> None:
    assert nearest(word, known).startswith(says)
    assert bool(says) == bool(nearest(word, known))
