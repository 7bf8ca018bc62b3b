"""read_image: bytes of paths with and without a scheme, NULL if there is no file, and the folders of allowedPaths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, QueryExecutionException
from pyspark.sql import SparkSession

from tests.support.results import one

KEY = "spark.sqlext.allowedPaths"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Returns a folder that contains pictures/ with two files, and a secret next to it."""
    (tmp_path / "pictures" / "deep er").mkdir(parents=True)
    (tmp_path / "pictures" / "a.bin").write_bytes(b"\x00\xffA")
    (tmp_path / "pictures" / "deep er" / "b%20.bin").write_bytes(b"B")
    (tmp_path / "secret").write_bytes(b"S")
    return tmp_path


@pytest.fixture
def allowed(spark: SparkSession, files: Path) -> Iterator[Path]:
    """Allows only the folder pictures/, as the configuration of a server would."""
    conf = spark._jsparkSession.sessionState().conf()
    conf.setConfString(KEY, f"{files}/pictures/, hdfs://nowhere/images")
    yield files / "pictures"
    conf.unsetConf(KEY)


def read(spark: SparkSession, *paths: str | None) -> list[bytes | None]:
    """Reads the paths on the executors, because they come from rows."""
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


def test_paths_of_another_file_system(spark: SparkSession, files: Path) -> None:
    """Paths like those of HDFS, scheme://authority/path: Hadoop's view file system has them and needs no server."""
    mount = "fs.viewfs.mounttable.pictures.link./all"
    spark.conf.set(mount, (files / "pictures").as_uri())
    conf = spark._jsparkSession.sessionState().conf()
    try:
        assert read(spark, "viewfs://pictures/all/a.bin", "viewfs://pictures/all/none") == [b"\x00\xffA", None]
        conf.setConfString(KEY, "viewfs://pictures/all/deep er")
        assert read(spark, "viewfs://pictures/all/deep er/b%20.bin") == [b"B"]
        with pytest.raises(AnalysisException, match="PATH_NOT_ALLOWED"):
            spark.sql("SELECT read_image('viewfs://pictures/all/a.bin')").collect()
    finally:
        conf.unsetConf(KEY)
        spark.conf.unset(mount)


def test_only_below_allowed_folders(spark: SparkSession, allowed: Path) -> None:
    assert read(spark, str(allowed / "a.bin"), f"file:{allowed}/x/../a.bin", f"{allowed}/nothing") == [
        b"\x00\xffA",
        b"\x00\xffA",
        None,
    ]
    folders = (
        f"is outside the folders that this server may use: file:{allowed}, hdfs://nowhere/images "
        "(spark.sqlext.allowedPaths)."
    )
    outside = [f"{allowed}/../secret", f"{allowed}s/a", "/etc/hostname", "relative", f"file:{allowed}/../../../etc"]
    for path in outside:
        with pytest.raises(QueryExecutionException) as refused:
            read(spark, path)
        assert refused.value.getErrorClass() == "PATH_NOT_ALLOWED"
        assert str(refused.value) == f"[PATH_NOT_ALLOWED] '{path}' {folders}"
    with pytest.raises(AnalysisException, match="PATH_NOT_ALLOWED.*is outside") as caught:
        spark.sql("SELECT read_image('/etc/hostname')")
    assert caught.value.getErrorClass() == "PATH_NOT_ALLOWED"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT i, count(read_image(path)) FROM {t} GROUP BY i",
        "SELECT /*+ REPARTITION(2) */ read_image(path) FROM {t} LIMIT 5",
        "SELECT a.i FROM {t} a JOIN {t} b ON read_image(a.path) = read_image(b.path) ORDER BY 1",
        "SELECT 1 WHERE (SELECT max(read_image(path)) FROM {t}) IS NULL",
        "CREATE TABLE copied STORED AS PARQUET AS SELECT read_image(path) AS b FROM {t}",
        "INSERT OVERWRITE DIRECTORY '{folder}' USING parquet SELECT read_image(path) AS b FROM {t}",
        "TRAIN MODEL m FROM (SELECT 1.0D * length(read_image(path)) AS a, i AS y FROM {t}) LABEL y OPTIONS (epochs = 1)",
        "CACHE TABLE cached AS SELECT read_image(path) AS b FROM {t}",
    ],
)
@pytest.mark.parametrize("adaptive", [True, False])
def test_a_refused_row_ends_any_query_with_one_sentence(
    spark: SparkSession, allowed: Path, database: str, sql: str, adaptive: bool
) -> None:
    spark.createDataFrame([(1, f"{allowed}/a.bin"), (2, "/etc/hostname")], "i INT, path STRING").write.saveAsTable("t")
    spark.sql(f"SET spark.sql.adaptive.enabled = {adaptive}")
    try:
        with pytest.raises(QueryExecutionException) as refused:
            spark.sql(sql.format(t="t", folder=allowed.parent / "written")).collect()
        assert refused.value.getErrorClass() == "PATH_NOT_ALLOWED"
        assert str(refused.value).startswith("[PATH_NOT_ALLOWED] '/etc/hostname' is outside")
        assert str(refused.value).endswith("(spark.sqlext.allowedPaths).")
        assert "\n" not in str(refused.value)
    finally:
        spark.sql("RESET spark.sql.adaptive.enabled")
        spark.catalog.dropTempView("cached")


def test_other_plans_are_unchanged(spark: SparkSession, allowed: Path) -> None:
    def plan(sql: str) -> str:
        return str(spark.sql(sql)._jdf.queryExecution().executedPlan().toString())

    assert plan("SELECT read_image(CAST(id AS STRING)) FROM range(3)").startswith("RowErrors")
    assert "RowErrors" not in plan("SELECT concat('a', CAST(id AS STRING)) FROM range(3)")


NAMES = ("my cat é.png", "100%.png", "a%20b.png", "a b.png", "a#b.png", "a+b.png", "a?b.png", "a&'b.png")


@pytest.fixture(scope="module")
def encoded(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an odd name that contains NAMES, each with its own bytes."""
    folder = tmp_path_factory.mktemp("odd") / "my pictures é#50%20"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.mark.parametrize("column", ["path", "_metadata.file_path", "input_file_name()"])
def test_a_file_is_found_by_any_column_that_names_it(spark: SparkSession, encoded: Path, column: str) -> None:
    rows = spark.sql(f"SELECT content, read_image({column}) AS read FROM binaryFile.`{encoded}`").collect()
    assert len(rows) == len(NAMES)
    assert [bytes(row.read) for row in rows] == [bytes(row.content) for row in rows]


def test_the_literal_name_is_tried_first(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("a%20b.bin", "a b.bin", "c d.bin"):
        (tmp_path / name).write_bytes(name.encode())
    assert read(spark, f"{tmp_path}/a%20b.bin", f"{tmp_path}/c%20d.bin") == [b"a%20b.bin", b"c d.bin"]


def test_decoded_paths_are_checked_before_they_are_read(spark: SparkSession, allowed: Path) -> None:
    conf = spark._jsparkSession.sessionState().conf()
    inside = f"{allowed}/deep er"
    conf.setConfString(KEY, inside)
    assert read(spark, f"file://{allowed}/deep%20er/b%2520.bin") == [b"B"]
    secret = f"file://{allowed}/deep%20er/..%2f..%2fsecret"
    for path in (secret, f"{inside}/..%2f..%2fsecret", f"file://{allowed}/deep%20er%2f..%2fa.bin"):
        try:
            assert read(spark, path) == [None]
        except QueryExecutionException as refused:
            assert refused.getErrorClass() == "PATH_NOT_ALLOWED"


def test_the_reason_names_the_file(spark: SparkSession, files: Path) -> None:
    query = (
        "image_error(read_image(path)) AS why, image_info(read_image(path)).width AS width, read_image(path) AS bytes"
    )
    path = f"{files}/no%20thing.png"
    row = spark.createDataFrame([(path,)], "path STRING").selectExpr(*query.split(", ")).first()
    assert row is not None
    assert row.why == f"no image: file:{path} and file:{files}/no thing.png was not found or cannot be read"
    assert (row.width, row.bytes) == (None, None)
