"""What a page prints of a result: found right when it is, and wrong when one figure is off."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.printed import differences

COLUMNS = ["model", "version", "accuracy", "message"]
ROW: tuple[Any, ...] = ("docs_shop.m", 2, 0.94512, "accuracy 0.945 on 10 rows")

RIGHT = [
    "model  │ version │ accuracy │ message\nshop.m │       2 │    0.945 │ accuracy 0.945 on 10 rows",
    "model  │ version │ ..\nshop.m │       2 │ ..",
    "model │ version │ accuracy │ message\n..    │ 2 │ 0.95 │ accuracy .. on 10 rows",
    "model    │ shop.m\nversion  │ 2\naccuracy │ 0.9\nmessage  │ ..10 rows",
    "model    │ shop.m\n..\naccuracy │ ..",
]
WRONG = [
    ("model │ version │ accuracy │ message\nshop.m │ 2 │ 0.946 │ ..", "accuracy"),
    ("model │ version │ ..\nshop.m │ 3 │ ..", "version"),
    ("model │ version │ ..\nshop.m │ 2 │ ..\nshop.m │ 2 │ ..", "rows"),
    ("model │ version │ ..", "rows"),
    ("model │ shop.m\nversion │ 2", "columns"),
    ("model │ shop.m\naccurate │ 2\n..", "columns"),
    ("model │ shop.m\n..\nmessage │ precision ..", "message"),
]


@pytest.mark.parametrize("printed", RIGHT)
def test_right(printed: str) -> None:
    assert differences(printed, COLUMNS, [ROW]) == []


@pytest.mark.parametrize(("printed", "named"), WRONG)
def test_wrong(printed: str, named: str) -> None:
    assert named in "; ".join(differences(printed, COLUMNS, [ROW]))


def test_rows_left_out_and_texts_of_several_lines() -> None:
    assert differences("n\n1\n..", ["n"], [(1,), (2,), (3,)]) == []
    assert differences("n\n1\n..", ["n"], [(2,), (2,)])
    assert differences("TRAIN MODEL shop.m\n  LABEL y", ["text"], [("TRAIN MODEL docs_shop.m\n  LABEL y",)]) == []
