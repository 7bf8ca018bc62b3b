"""A driver that dies at any step of a publish or drop leaves a complete model or none, and no number is used twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pyspark import InheritableThread
from pyspark.sql import SparkSession

from sqlext.catalog import ModelCatalog, ModelName, ModelVersion, RunStore
from sqlext.errors import SqlExtError
from tests.support.catalog_models import epochs, folders, local, publish

PUBLISH = ["publish.uploading", "publish.uploaded", "publish.table", "publish.partition"]


class DriverDied(BaseException):
    """Not an Exception, so that no handler cleans up after it."""


def dying(spark: SparkSession, at: str, error: type[BaseException] = DriverDied) -> ModelCatalog:
    def after(step: str) -> None:
        if step == at:
            raise error(step)

    return ModelCatalog(spark, after=after)


def at_step(spark: SparkSession, at: str, action: Callable[[], Any]) -> ModelCatalog:
    """A catalog that runs ``action`` once, after a step."""
    pending = [action]

    def after(step: str) -> None:
        if step == at and pending:
            pending.pop()()

    return ModelCatalog(spark, after=after)


@pytest.fixture
def name(database: str) -> ModelName:
    return ModelName(database, "flowers")


def check_whole(spark: SparkSession, catalog: ModelCatalog, name: ModelName, rows: dict[int, int]) -> None:
    """Checks that every version is readable as a table and as a model; ``rows`` maps versions to numbers of epochs."""
    entry = catalog.get(name)
    assert [v.version for v in entry.versions] == sorted(rows)
    for version in entry.versions:
        assert catalog.read_manifest(version)["model_id"] == entry.model_id
        assert catalog.read_bytes(version, "head.onnx") == b"weights"
        assert version.location == f"{entry.location}/v{version.version}-{version.run_id}"
    counted = spark.sql(f"SELECT version, count(*) FROM {name} GROUP BY version").collect()
    assert {r[0]: r[1] for r in counted} == {number: n for number, n in rows.items() if n}


@pytest.mark.parametrize("step", PUBLISH)
def test_publish_of_a_first_version(spark: SparkSession, name: ModelName, step: str) -> None:
    with pytest.raises(DriverDied):
        publish(dying(spark, step), name)
    catalog = ModelCatalog(spark)
    if step == "publish.partition":
        check_whole(spark, catalog, name, {1: 2})
    else:
        assert catalog.find(name) is None
        assert catalog.list(name.namespace) == []
        with pytest.raises(SqlExtError, match="was not found"):
            catalog.get(name)
    version = publish(catalog, name)
    # After the step 'publish.table', the next publish uses the existing table and skips the number of the orphan folder.
    assert version.version == (2 if step in ("publish.table", "publish.partition") else 1)
    catalog.drop_model(name)
    orphans = folders(catalog.metastore.database_location(name.namespace))
    assert len(orphans) == (0 if step == "publish.partition" else 1)


@pytest.mark.parametrize("step", PUBLISH)
def test_publish_of_a_further_version(spark: SparkSession, name: ModelName, step: str) -> None:
    catalog = ModelCatalog(spark)
    publish(catalog, name)
    with pytest.raises(DriverDied):
        publish(dying(spark, step), name, history=epochs(5))
    catalog = ModelCatalog(spark)
    done = {2: 5} if step == "publish.partition" else {}
    check_whole(spark, catalog, name, {1: 2, **done})
    assert catalog.get(name).default.version == (2 if done else 1)
    assert publish(catalog, name).version == 3


@pytest.mark.parametrize("step", PUBLISH[:-1])
def test_a_publish_that_fails_takes_its_files_with_it(spark: SparkSession, name: ModelName, step: str) -> None:
    with pytest.raises(RuntimeError):
        publish(dying(spark, step, RuntimeError), name)
    assert folders(ModelCatalog(spark).metastore.database_location(name.namespace)) == set()


@pytest.mark.parametrize("step", ["drop_model.table", "drop_model.folder"])
def test_drop_model(spark: SparkSession, name: ModelName, step: str) -> None:
    catalog = ModelCatalog(spark)
    before = publish(catalog, name)
    publish(catalog, name)
    with pytest.raises(DriverDied):
        dying(spark, step).drop_model(name)
    catalog = ModelCatalog(spark)
    assert catalog.find(name) is None
    after = publish(catalog, name)
    assert after.model_id != before.model_id  # a reference to '<model_id>@1' never means the new model
    check_whole(spark, catalog, name, {1: 2})
    catalog.drop_model(name)
    assert len(folders(catalog.metastore.database_location(name.namespace))) == 1


@pytest.mark.parametrize("step", ["drop_version.marked", "drop_version.partition", "drop_version.folder"])
def test_drop_version(spark: SparkSession, name: ModelName, step: str) -> None:
    catalog = ModelCatalog(spark)
    publish(catalog, name)
    publish(catalog, name, promote=False)
    with pytest.raises(DriverDied):
        dying(spark, step).drop_version(name, 2)
    catalog = ModelCatalog(spark)
    gone = step != "drop_version.marked"
    check_whole(spark, catalog, name, {1: 2} if gone else {1: 2, 2: 2})
    if not gone:
        catalog.drop_version(name, 2)
    assert publish(catalog, name).version == 3


# --- other sessions at the same time ------------------------------------------------------------------------------


def test_two_first_publishes_at_once(spark: SparkSession, name: ModelName) -> None:
    barrier, published = threading.Barrier(2), list[ModelVersion]()

    def one() -> None:
        published.append(publish(at_step(spark, "publish.uploaded", barrier.wait), name))

    threads = [InheritableThread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({v.model_id for v in published}) == 1
    catalog = ModelCatalog(spark)
    check_whole(spark, catalog, name, {1: 2, 2: 2})
    catalog.drop_model(name)
    assert folders(catalog.metastore.database_location(name.namespace)) == set()


@pytest.mark.parametrize("dropped", [False, True])
def test_the_last_publish_has_the_highest_number(spark: SparkSession, name: ModelName, dropped: bool) -> None:
    catalog = ModelCatalog(spark)
    publish(catalog, name)

    def other() -> None:
        faster = publish(catalog, name, promote=False)
        assert faster.version == 3
        if dropped:
            catalog.drop_version(name, 3)

    version = publish(at_step(spark, "publish.table", other), name)
    assert version.version == 4
    check_whole(spark, catalog, name, {1: 2, 4: 2} if dropped else {1: 2, 3: 2, 4: 2})
    assert folders(version.location) >= {"_model", "history.parquet"}


def test_a_model_dropped_while_it_is_imported_comes_back_as_a_new_one(spark: SparkSession, name: ModelName) -> None:
    catalog = ModelCatalog(spark)
    before = publish(catalog, name)
    after = publish(at_step(spark, "publish.table", lambda: catalog.drop_model(name)), name)
    assert (after.version, after.model_id != before.model_id) == (1, True)
    check_whole(spark, catalog, name, {1: 2})
    assert not local(before.location).parent.exists()


def test_a_run_whose_model_is_dropped_while_it_publishes_does_not_bring_the_model_back(
    spark: SparkSession, name: ModelName
) -> None:
    catalog, store = ModelCatalog(spark), RunStore(spark)
    publish(catalog, name)
    run = store.start(name)
    dropping = at_step(spark, "publish.table", lambda: catalog.drop_model(name))

    def check() -> None:
        if store.cancel_requested_now(run.run_id):
            raise LookupError

    with dropping.draft(name, "classifier") as draft, pytest.raises(LookupError):
        dropping.publish(draft, check=check)
    store.finish(run.run_id, "CANCELLED")
    assert catalog.find(name) is None
    assert folders(catalog.metastore.database_location(name.namespace)) == {"_sqlext"}


def test_a_number_is_used_once(spark: SparkSession, name: ModelName) -> None:
    catalog = ModelCatalog(spark)
    first = publish(catalog, name)
    assert not catalog.metastore.create_partition(name, 1, first.location + "x", {})
    assert catalog.get(name).versions == (first,)


def test_parameters_of_one_version_set_from_many_threads(spark: SparkSession, name: ModelName) -> None:
    catalog = ModelCatalog(spark)
    version = publish(catalog, name)

    def setter(thread: int) -> None:
        own = ModelCatalog(spark)
        for i in range(5):
            own.set_parameters(version, {f"sqlext.tag.{thread}.{i}": "x"})

    threads = [InheritableThread(target=setter, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tags = [key for key in catalog.get(name).default.parameters if key.startswith("sqlext.tag.")]
    assert len(tags) == 15
