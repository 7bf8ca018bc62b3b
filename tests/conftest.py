"""One local Spark session per test process, with its own warehouse and metastore."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.support.class_archive import jvm_options

ARCHIVE = Path(__file__).parents[1] / "build" / "test-classes.jsa"
_names = itertools.count(1)
# The slowest files run first: two processes share the files, and a slow one at the end would leave the other process idle.
LONGEST_FIRST = (
    "test_transfer",
    "test_docs",
    "test_recipes",
    "test_train",
    "test_stored_models",
    "test_show_create_model",
    "test_train_options",
    "test_evaluate",
    "test_train_again",
    "test_catalog_crash",
    "test_types",
    "test_large_numbers",
)

# Hive and native libraries leave files in Java's temporary folder, which a JVM does not remove.
JAVA_FILES = tempfile.mkdtemp(prefix="sqlext-tests-")
atexit.register(shutil.rmtree, JAVA_FILES, ignore_errors=True)
# For every JVM that a test starts, directly or through a command; not JDK_JAVA_OPTIONS, which each JVM reports on stderr.
_OPTIONS = (os.environ.get("SPARK_SUBMIT_OPTS", ""), jvm_options(ARCHIVE), f"-Djava.io.tmpdir={JAVA_FILES}")
os.environ["SPARK_SUBMIT_OPTS"] = " ".join(_OPTIONS).strip()


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """An ordinary session, as ``sqlext.session()`` returns it."""
    import sqlext

    session = sqlext.session(master="local[2]", warehouse=str(tmp_path_factory.mktemp("warehouse")))
    yield session
    session.stop()


@pytest.fixture
def database(spark: SparkSession) -> Iterator[str]:
    """A new database, which is current during the test and dropped with all its tables afterwards."""
    name = f"db{next(_names)}"
    spark.sql(f"CREATE DATABASE {name}")
    spark.sql(f"USE {name}")
    yield name
    spark.sql("USE default")
    spark.sql(f"DROP DATABASE {name} CASCADE")


def pytest_configure(config: pytest.Config) -> None:
    """Preserves the order below: pytest-xdist would start with the files that have most tests, which are fast grammar tests."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests by their fixtures, because a list of them would become outdated.

    A test without a Spark session is ``fast``. A test with the photographs and the 100 MB of ResNet-50's weights is ``slow``.
    """
    for item in items:
        needs_session = "spark" in getattr(item, "fixturenames", ())
        if not needs_session and "clients" not in item.path.parts:
            item.add_marker(pytest.mark.fast)
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def data_folder() -> Path | None:
    """The real photographs and weights; ``SQLEXT_DATA`` set but missing is a failure, not a skip."""
    named = os.environ.get("SQLEXT_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if named and not folder.is_dir():
        pytest.exit(f"SQLEXT_DATA is {named}, which is not a folder", returncode=1)
    return folder.resolve() if folder.is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, or a skip that says how to get it."""
    folder = data_folder()
    if folder is None:
        pytest.skip("no real data: set SQLEXT_DATA to a folder with hymenoptera/ and models/resnet50.onnx")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Reports whether the tests used the real data."""
    folder = data_folder()
    terminalreporter.write_line(
        f"real data: {'used, from ' + str(folder) if folder else 'NOT used (SQLEXT_DATA is not set)'}"
    )
