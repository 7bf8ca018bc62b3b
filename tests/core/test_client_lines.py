"""The lines about a training that its client shows."""

from __future__ import annotations

import time

import pytest

from sqlext.progress import Progress, duration
from sqlext.training import client_lines
from sqlext.training.client_lines import ClientLines


@pytest.fixture
def written() -> list[str]:
    return []


@pytest.fixture
def lines(written: list[str]) -> ClientLines:
    return ClientLines("run 1 of m", written.append)


def test_each_phase_each_epoch_and_the_end_of_a_phase(lines: ClientLines, written: list[str]) -> None:
    for done in (0, 64, 120, 200):
        lines.take(Progress("embedding", done, 200, unit="images"))
    for epoch in (0, 1, 2):
        lines.take(Progress("training", epoch, 2, f"loss 0.{epoch}", "epochs"))
    lines.take(Progress("publishing", 0))
    lines.tick()
    assert written == [
        "run 1 of m: embedding 0 of 200 images",
        "run 1 of m: embedding 200 of 200 images",
        "run 1 of m: training 0 of 2 epochs, loss 0.0",
        "run 1 of m: training 1 of 2 epochs, loss 0.1",
        "run 1 of m: training 2 of 2 epochs, loss 0.2",
        "run 1 of m: publishing",
    ]


def test_many_short_epochs_do_not_flood_the_client(lines: ClientLines, written: list[str]) -> None:
    for epoch in range(100_001):
        lines.take(Progress("training", epoch, 100_000, unit="epochs"))
    assert written[0].endswith("training 0 of 100,000 epochs")
    assert written[-1].endswith("training 100,000 of 100,000 epochs")
    assert len(written) < 20


def test_a_step_without_news_is_shown_again(
    lines: ClientLines, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines.take(Progress("reading", 0))
    lines.tick()
    monkeypatch.setattr(client_lines, "EVERY", 0.0)
    time.sleep(1.1)
    lines.tick()
    assert written == ["run 1 of m: reading", "run 1 of m: reading, 1 s so far"]


def test_the_time_left() -> None:
    progress = Progress("training", 3, 20, "loss 0.5", "epochs", time.monotonic() + 300.4)
    assert progress.sentence() == "training 3 of 20 epochs, loss 0.5, about 5 min left"
    assert Progress("training", 3, 20, "", "epochs", time.monotonic() - 1).sentence() == "training 3 of 20 epochs"
    assert [duration(seconds) for seconds in (7.6, 119, 120, 9000)] == ["8 s", "119 s", "2 min", "2 h"]
