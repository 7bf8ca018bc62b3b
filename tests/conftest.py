"""One local Spark session per test process, with its own warehouse and metastore."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

_names = itertools.count(1)

# The JVM of a test ends soon and its data with it: no optimising compiler beside the tests, and no fsync of the metastore.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dderby.system.durability=test"


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """An ordinary session with everything in place, as ``sqlext.session()`` gives it."""
    import sqlext

    # By the environment: the session's own settings stay an ordinary one's, and the processes that tests start a user's.
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JDK_JAVA_OPTIONS", f"{os.environ.get('JDK_JAVA_OPTIONS', '')} {SHORT_LIVED}")
        session = sqlext.session(master="local[2]", warehouse=str(tmp_path_factory.mktemp("warehouse")))
    yield session
    session.stop()


@pytest.fixture
def database(spark: SparkSession) -> Iterator[str]:
    """A fresh database, current during the test, dropped with all its tables afterwards."""
    name = f"db{next(_names)}"
    spark.sql(f"CREATE DATABASE {name}")
    spark.sql(f"USE {name}")
    yield name
    spark.sql("USE default")
    spark.sql(f"DROP DATABASE {name} CASCADE")


def data_folder() -> Path | None:
    """The real photographs and weights; ``SQLEXT_DATA`` set but missing is a failure, not a skip."""
    named = os.environ.get("SQLEXT_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if named and not folder.is_dir():
        pytest.exit(f"SQLEXT_DATA names {named}, which is no folder", returncode=1)
    return folder.resolve() if folder.is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, or a skip that says how to get it."""
    folder = data_folder()
    if folder is None:
        pytest.skip("no real data: set SQLEXT_DATA to a folder with hymenoptera/ and models/resnet50.onnx")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says whether the run saw the real data."""
    folder = data_folder()
    terminalreporter.write_line(
        f"real data: {'used, from ' + str(folder) if folder else 'NOT used (SQLEXT_DATA is not set)'}"
    )
