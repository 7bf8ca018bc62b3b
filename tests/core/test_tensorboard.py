"""OPTIONS (tensorboard = path): TensorBoard's own reader finds the epochs of a training in its event files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sqlext.bigdl.events import check_folder, event_file
from sqlext.bigdl.records import Epoch
from sqlext.errors import SqlExtError
from tests.support.event_files import scalars


def test_tensorboard_reads_what_was_written_while_it_is_written(spark: SparkSession, tmp_path: Path) -> None:
    def epoch(number: int, val_loss: float | None) -> Epoch:
        return Epoch(number, 10 * number, 1 / number, val_loss, None, 0.5, 100.0, datetime.now(UTC))

    with event_file(spark, tmp_path.as_uri(), "shop.flowers-run1") as file:
        file.epoch(epoch(1, 0.75), "accuracy")
        assert scalars(tmp_path / "shop.flowers-run1")["loss"] == [(1, 1.0)]
        file.epoch(epoch(2, None), "accuracy")
    assert scalars(tmp_path / "shop.flowers-run1") == {
        "loss": [(1, 1.0), (2, 0.5)],
        "val_loss": [(1, 0.75)],
        "learning_rate": [(1, 0.5), (2, 0.5)],
    }


def test_a_file_is_no_folder(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(SqlExtError, match="taken is a file"):
        check_folder(spark, (tmp_path / "taken").as_uri())
