"""read_image: bytes of local and scheme-less paths, NULL where there is no file, and the folders of allowedPaths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from results import one

KEY = "spark.sqlext.allowedPaths"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """pictures/ with two files, and a secret beside it."""
    (tmp_path / "pictures" / "deep er").mkdir(parents=True)
    (tmp_path / "pictures" / "a.bin").write_bytes(b"\x00\xffA")
    (tmp_path / "pictures" / "deep er" / "b%20.bin").write_bytes(b"B")
    (tmp_path / "secret").write_bytes(b"S")
    return tmp_path


@pytest.fixture
def allowed(spark: SparkSession, files: Path) -> Iterator[Path]:
    """The folder pictures/ alone, as a server would start with."""
    conf = spark._jsparkSession.sessionState().conf()
    conf.setConfString(KEY, f"{files}/pictures/, hdfs://nowhere/images")
    yield files / "pictures"
    conf.unsetConf(KEY)


def read(spark: SparkSession, *paths: str | None) -> list[bytes | None]:
    """Through rows, on the executors."""
    frame = spark.createDataFrame([(i, p) for i, p in enumerate(paths)], "i INT, path STRING")
    found = frame.selectExpr("i", "read_image(path) AS bytes").orderBy("i").collect()
    return [None if row.bytes is None else bytes(row.bytes) for row in found]


def test_bytes_or_null(spark: SparkSession, files: Path) -> None:
    here = files / "pictures"
    assert read(
        spark, str(here / "a.bin"), (here / "a.bin").as_uri(), f"{here}/deep er/b%20.bin", f"{here}/../secret"
    ) == [
        b"\x00\xffA",
        b"\x00\xffA",
        b"B",
        b"S",
    ]
    nothing = (None, "", str(here), f"{here}/nothing", "nothing.bin", "nosuch://a/b", "a:b:c", "file://host/a")
    assert read(spark, *nothing) == [None] * len(nothing)
    row = one(spark, f"SELECT sqlext_read_image('{here}/a.bin') AS a, image_error(read_image('{here}/a.bin')) AS why")
    assert bytes(row.a) == b"\x00\xffA"
    assert "not an image" in row.why
    plan = spark.sql("SELECT read_image(concat('/', id)) AS b FROM range(3)")._jdf.queryExecution().toString()
    assert "read_image" in plan
    assert "Scoring" not in plan


def test_only_below_allowed_folders(spark: SparkSession, allowed: Path) -> None:
    assert read(spark, str(allowed / "a.bin"), f"file:{allowed}/x/../a.bin", f"{allowed}/nothing") == [
        b"\x00\xffA",
        b"\x00\xffA",
        None,
    ]
    outside = [f"{allowed}/../secret", f"{allowed}s/a", "/etc/hostname", "relative", f"file:{allowed}/../../../etc"]
    for path in outside:
        with pytest.raises(
            Exception, match=r"PATH_NOT_ALLOWED.*pictures, hdfs://nowhere/images \(spark.sqlext.allowed"
        ):
            read(spark, path)
    with pytest.raises(AnalysisException, match="PATH_NOT_ALLOWED.*lies outside") as caught:
        spark.sql("SELECT read_image('/etc/hostname')")
    assert caught.value.getErrorClass() == "PATH_NOT_ALLOWED"
