"""Models as metastore tables: publish, read, resolve, drop."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession

from sqlext.catalog import ModelCatalog, ModelName, ModelRef
from sqlext.catalog.users import backbone_users
from sqlext.errors import SqlExtError
from tests.support.catalog_models import RECORDED, epochs, folders, local, publish


@pytest.fixture
def catalog(spark: SparkSession, database: str) -> ModelCatalog:
    return ModelCatalog(spark)


@pytest.fixture
def name(database: str) -> ModelName:
    return ModelName(database, "flowers")


def refused(action: Callable[[], Any]) -> SqlExtError:
    with pytest.raises(SqlExtError) as error:
        action()
    return error.value


def test_a_version_is_a_partition_with_its_files(catalog: ModelCatalog, name: ModelName) -> None:
    version = publish(catalog, name, metric_name="accuracy", metric_value="0.95", rows_trained="244")
    assert (version.version, version.metric_name, version.metric_value, version.rows_trained) == (
        1,
        "accuracy",
        0.95,
        244,
    )
    assert version.created_by == catalog.spark.sparkContext.sparkUser()
    database_folder = catalog.metastore.database_location(name.namespace)
    assert version.location == f"{database_folder}/flowers-{version.model_id}/v1-{version.run_id}"
    manifest = catalog.read_manifest(version)
    assert manifest["labels"] == ["ant", "bee"]
    assert (manifest["model_id"], manifest["run_id"]) == (version.model_id, version.run_id)
    assert manifest["files"]["head.onnx"] == {"size": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}
    assert catalog.read_bytes(version, "head.onnx") == b"weights"
    assert catalog.local_copy(version, "deep/decoy.parquet").read_bytes() == b"no parquet"
    assert refused(lambda: catalog.read_bytes(version, "gone")).error_class == "MODEL_FILES_MISSING"
    assert version.size_bytes == len(b"weights") + len(b"no parquet")


@pytest.mark.parametrize("convert", ["true", "false"])
def test_its_rows_are_the_history(spark: SparkSession, catalog: ModelCatalog, name: ModelName, convert: str) -> None:
    publish(catalog, name, history=epochs(3))
    publish(catalog, name, history=[])
    publish(catalog, name, history=epochs(1))
    spark.sql(f"SET spark.sql.hive.convertMetastoreParquet={convert}")
    try:
        query = f"SELECT epoch, loss, recorded_at, run_id, val_loss FROM {name} WHERE version = 1 ORDER BY epoch"
        rows = spark.sql(query).collect()
        assert [(r.epoch, r.loss, r.val_loss) for r in rows] == [(1, 1.0, None), (2, 0.5, None), (3, 1 / 3, None)]
        assert {r.recorded_at for r in rows} == {datetime.fromtimestamp(RECORDED.timestamp())}
        assert {r.run_id for r in rows} == {catalog.get(name).version(1).run_id}
        per_version = f"SELECT version, count(*) AS n FROM {name} GROUP BY version ORDER BY version"
        assert [tuple(r) for r in spark.sql(per_version).collect()] == [(1, 3), (3, 1)]
    finally:
        spark.sql("RESET spark.sql.hive.convertMetastoreParquet")


def test_columns_of_the_table(spark: SparkSession, catalog: ModelCatalog, name: ModelName) -> None:
    publish(catalog, name)
    types = " ".join(f"{field.name}:{field.dataType.simpleString()}" for field in spark.table(str(name)).schema)
    assert types == (
        "run_id:string epoch:int iteration:bigint loss:double val_loss:double metric_name:string metric_value:double "
        "learning_rate:double rows_per_second:double recorded_at:timestamp version:int"
    )


def test_a_cached_table_shows_the_new_version(spark: SparkSession, catalog: ModelCatalog, name: ModelName) -> None:
    publish(catalog, name)
    spark.sql(f"CACHE TABLE {name}")
    publish(catalog, name, history=epochs(5))
    assert spark.table(str(name)).count() == 7
    catalog.drop_version(name, 1)
    assert spark.table(str(name)).count() == 5


def test_comment_and_properties_of_any_text(catalog: ModelCatalog, name: ModelName) -> None:
    wild = {"team": 'it\'s "q\\uoted" ${x} ü\n', "EXTERNAL": "FALSE", "k" * 200: "v" * 4000}
    with catalog.draft(name, "classifier", comment="o'brien \\ ünd; -- /*", properties=wild) as draft:
        catalog.publish(draft, epochs(1))
    entry = catalog.get(name)
    assert entry.properties == wild
    assert entry.comment == "o'brien \\ ünd; -- /*"


@pytest.mark.parametrize(
    "values",
    [
        {"properties": {"k" * 201: "v"}},
        {"properties": {"k": "v" * 4001}},
        {"properties": {"": "v"}},
        {"comment": "c" * 4001},
    ],
)
def test_properties_that_the_metastore_would_choke_on(
    catalog: ModelCatalog, name: ModelName, values: dict[str, Any]
) -> None:
    error = refused(lambda: catalog.draft(name, "classifier", **values))
    assert error.error_class == "INVALID_MODEL_PROPERTY"
    assert len(str(error)) < 300


def test_too_long_a_parameter_is_refused_before_anything_is_written(catalog: ModelCatalog, name: ModelName) -> None:
    error = refused(lambda: publish(catalog, name, source="s" * 4001))
    assert error.error_class == "INVALID_MODEL_PROPERTY"
    assert catalog.find(name) is None


# --- which version ------------------------------------------------------------------------------------------------


def test_default_is_the_highest_promoted_unless_pinned(catalog: ModelCatalog, name: ModelName) -> None:
    def default() -> int:
        return catalog.resolve(ModelRef(name)).version

    publish(catalog, name, promote=False)
    assert default() == 1  # never promoted, but the only version
    publish(catalog, name, promote=False)
    assert default() == 1
    publish(catalog, name)
    publish(catalog, name, promote=False)
    assert default() == 3
    catalog.pin(name, 1)
    publish(catalog, name)
    assert default() == 1
    catalog.pin(name, 2)
    assert default() == 2
    assert [v.version for v in catalog.get(name).versions if v.pinned] == [2]
    publish(catalog, name, promote=False)
    assert catalog.follow_latest(name).version == 6
    assert default() == 6
    publish(catalog, name)
    assert default() == 7


def test_alias_follows_the_latest_set(catalog: ModelCatalog, name: ModelName) -> None:
    for _ in range(3):
        publish(catalog, name)
    catalog.set_alias(name, "prod", 1)
    catalog.set_alias(name, "PROD", 2)
    catalog.set_alias(name, "stage", 1)
    assert {alias: v.version for alias, v in catalog.get(name).aliases.items()} == {"prod": 2, "stage": 1}
    assert catalog.resolve(ModelRef(name, alias="prod")).version == 2
    assert catalog.resolve(ModelRef(name, alias="latest")).version == 3
    assert "Did you mean prod?" in str(refused(lambda: catalog.resolve(ModelRef(name, alias="prd"))))
    catalog.unset_alias(name, "prod")
    assert refused(lambda: catalog.resolve(ModelRef(name, alias="prod"))).error_class == "ALIAS_NOT_FOUND"
    assert refused(lambda: catalog.unset_alias(name, "prod")).error_class == "ALIAS_NOT_FOUND"
    assert refused(lambda: catalog.set_alias(name, "latest", 1)).error_class == "INVALID_ALIAS"


def test_an_alias_on_two_partitions_means_the_later_one(catalog: ModelCatalog, name: ModelName) -> None:
    """Two sessions that set the alias at the same time leave it on two partitions."""
    first, second = publish(catalog, name), publish(catalog, name)
    catalog.set_parameters(second, {"sqlext.alias.prod": "2024-01-01T00:00:00.000000+00:00"})
    catalog.set_parameters(first, {"sqlext.alias.prod": "2024-01-01T00:00:00.000001+00:00"})
    assert catalog.get(name).aliases["prod"].version == 1
    assert catalog.get(name).version(2).aliases == {}


def test_names_that_do_not_exist(catalog: ModelCatalog, name: ModelName) -> None:
    publish(catalog, name)
    near = ModelName(name.namespace, "flowrs")
    assert str(refused(lambda: catalog.get(near))) == f"Model {near} was not found. Did you mean {name}?"
    assert refused(lambda: catalog.get(ModelName("nowhere", "m"))).error_class == "DATABASE_NOT_FOUND"
    assert refused(lambda: catalog.draft(ModelName("nowhere", "m"), "classifier")).error_class == "DATABASE_NOT_FOUND"
    error = refused(lambda: catalog.resolve(ModelRef(name, version=7)))
    assert str(error) == f"Model {name} has no version 7. Available: 1."
    assert catalog.find(near) is None


def test_a_table_that_is_not_a_model_is_never_touched(
    spark: SparkSession, catalog: ModelCatalog, name: ModelName
) -> None:
    spark.sql(f"CREATE TABLE {name} (a INT) STORED AS PARQUET")
    spark.sql(f"INSERT INTO {name} VALUES (1)")
    view = ModelName(name.namespace, "v")
    spark.sql(f"CREATE VIEW {view} AS SELECT 1 AS a")
    for action in (
        lambda: catalog.get(name),
        lambda: catalog.find(view),
        lambda: catalog.draft(name, "classifier"),
        lambda: catalog.drop_model(name),
        lambda: catalog.drop_version(name, 1),
    ):
        assert refused(action).error_class == "NOT_A_MODEL"
    assert spark.table(str(name)).count() == 1
    assert catalog.list(name.namespace) == []


def test_kinds_do_not_mix(catalog: ModelCatalog, name: ModelName) -> None:
    publish(catalog, name)
    assert refused(lambda: publish(catalog, name, kind="regressor")).error_class == "MODEL_KIND_MISMATCH"


@pytest.mark.parametrize("where", ["table", "version"])
def test_a_newer_format_names_the_release(
    spark: SparkSession, catalog: ModelCatalog, name: ModelName, where: str
) -> None:
    version = publish(catalog, name)
    newer = {"sqlext.format_version": "9", "sqlext.release": "7.0.0"}
    if where == "version":
        catalog.set_parameters(version, newer)
    else:
        spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES {tuple_of(newer)}")
    error = refused(lambda: catalog.resolve(ModelRef(name)))
    assert error.error_class == "MODEL_FORMAT_TOO_NEW"
    assert "Use bigdl-sqlext 7.0.0 or newer" in str(error)
    assert [e.name for e in catalog.list(name.namespace)] == [name]


def tuple_of(properties: dict[str, str]) -> str:
    return "(" + ", ".join(f"'{k}' = '{v}'" for k, v in properties.items()) + ")"


def test_list(spark: SparkSession, catalog: ModelCatalog, database: str) -> None:
    for model in ("flowers", "flours", "apples"):
        publish(catalog, ModelName(database, model), history=[])
    spark.sql("CREATE TABLE flowtable (a INT)")
    patterns = {
        None: ["apples", "flours", "flowers"],
        "fl*": ["flours", "flowers"],
        "FL%S": ["flours", "flowers"],
        "apples|*ours": ["apples", "flours"],
        "nothing": [],
        "flow.rs": [],
    }
    for pattern, expected in patterns.items():
        found = catalog.list(database, pattern)
        assert [e.name.name for e in found] == expected
        assert all(e.comment == "a comment" and len(e.versions) == 1 for e in found)


# --- drop ---------------------------------------------------------------------------------------------------------


def test_drop_deletes_only_our_files(spark: SparkSession, catalog: ModelCatalog, name: ModelName) -> None:
    entry_folder = local(publish(catalog, name).location).parent
    publish(catalog, name)
    (entry_folder / "notes.txt").write_text("mine")
    spark.sql(f"INSERT INTO {name} PARTITION (version = 40) SELECT 'x', 1, 1, 1, 1, 'm', 1, 1, 1, current_timestamp()")
    foreign = entry_folder / "version=40"
    assert foreign.is_dir()
    assert [v.version for v in catalog.get(name).versions] == [1, 2]
    dropped = catalog.drop_model(name)
    assert dropped.versions == (1, 2)
    assert [local(path) for path in dropped.kept] == [foreign]
    left = {entry for entry in folders(str(entry_folder)) if "_SUCCESS" not in entry}
    assert left == {"notes.txt", "version=40"}
    assert spark.sql(f"SHOW TABLES IN {name.namespace}").where("NOT isTemporary").count() == 0


def test_drop_leaves_no_folder(catalog: ModelCatalog, name: ModelName) -> None:
    location = catalog.metastore.database_location(name.namespace)
    publish(catalog, name)
    publish(catalog, name)
    catalog.drop_version(name, 1)
    catalog.drop_model(name)
    assert folders(location) == set()


def test_a_partition_that_points_elsewhere_is_not_followed(
    spark: SparkSession, catalog: ModelCatalog, name: ModelName
) -> None:
    other = publish(catalog, ModelName(name.namespace, "other"))
    publish(catalog, name)
    publish(catalog, name)
    spark.sql(f"ALTER TABLE {name} PARTITION (version = 1) SET LOCATION '{other.location}'")
    dropped = catalog.drop_model(name)
    assert dropped.kept == (other.location,)
    assert catalog.read_manifest(other)["run_id"] == other.run_id


def test_a_number_never_comes_back(spark: SparkSession, catalog: ModelCatalog, name: ModelName) -> None:
    for _ in range(3):
        publish(catalog, name)
    catalog.pin(name, 1)
    catalog.drop_version(name, 3)
    assert publish(catalog, name).version == 4
    (local(catalog.get(name).location) / "v8-abandoned").mkdir()
    assert publish(catalog, name).version == 9
    spark.sql(f"INSERT INTO {name} PARTITION (version = 20) SELECT 'x', 1, 1, 1, 1, 'm', 1, 1, 1, current_timestamp()")
    assert publish(catalog, name).version == 21


def test_versions_that_are_needed_are_not_dropped(catalog: ModelCatalog, name: ModelName) -> None:
    for _ in range(3):
        publish(catalog, name)
    catalog.set_alias(name, "prod", 1)
    assert "has an alias: prod" in str(refused(lambda: catalog.drop_version(name, 1)))
    error = refused(lambda: catalog.drop_version(name, 3))
    assert error.error_class == "DEFAULT_VERSION_DROP"
    assert f"(DROP MODEL {name})" in str(error)
    assert refused(lambda: catalog.drop_version(name, 9)).error_class == "MODEL_VERSION_NOT_FOUND"
    assert catalog.drop_version(name, 2).versions == (2,)
    assert [v.version for v in catalog.get(name).versions] == [1, 3]


def test_the_last_version_takes_the_model_with_it(catalog: ModelCatalog, name: ModelName) -> None:
    before = publish(catalog, name)
    catalog.set_alias(name, "prod", 1)
    catalog.drop_version(name, 1)
    assert catalog.find(name) is None
    after = publish(catalog, name)
    assert (after.version, after.model_id != before.model_id) == (1, True)


def test_a_backbone_in_use(spark: SparkSession, catalog: ModelCatalog, name: ModelName) -> None:
    backbone = publish(catalog, ModelName(name.namespace, "net"), kind="backbone")
    publish(catalog, backbone.name, kind="backbone")
    publish(catalog, name, backbone_id=backbone.id)
    assert backbone_users(catalog).of(backbone) == [name]
    assert str(name) in str(refused(lambda: catalog.drop_version(backbone.name, 1)))
    assert refused(lambda: catalog.drop_model(backbone.name)).error_class == "BACKBONE_IN_USE"
    spark.sql(f"ALTER TABLE {backbone.name} RENAME TO {name.namespace}.renamed")
    renamed = ModelName(name.namespace, "renamed")
    found = catalog.find_version(backbone.id, hint=backbone.name)
    assert found is not None
    assert (found.name, found.version, found.location) == (renamed, 1, backbone.location)
    assert catalog.find_version("0123456789ab@1") is None
    assert catalog.find_version(f"{backbone.model_id}@9") is None
    catalog.drop_model(name)
    assert catalog.drop_model(renamed).versions == (1, 2)


def test_rename_keeps_the_files_and_frees_the_name(spark: SparkSession, catalog: ModelCatalog, name: ModelName) -> None:
    first = publish(catalog, name)
    spark.sql(f"ALTER TABLE {name} RENAME TO {name.namespace}.old")
    second = publish(catalog, name)
    assert second.version == 1
    assert local(second.location).parent != local(first.location).parent
    catalog.drop_model(name)
    old = catalog.get(ModelName(name.namespace, "old"))
    assert catalog.read_manifest(old.default)["run_id"] == first.run_id


def test_names_that_begin_with_an_underscore(spark: SparkSession, catalog: ModelCatalog, database: str) -> None:
    hidden = ModelName(database, "_hidden")
    publish(catalog, hidden, history=epochs(4))
    assert spark.table(str(hidden)).count() == 4


@pytest.mark.parametrize("right", ["SELECT", "ALTER", "DROP", "CREATE"])
def test_check_runs_nothing(spark: SparkSession, catalog: ModelCatalog, name: ModelName, right: str) -> None:
    publish(catalog, name)
    before = catalog.get(name)
    catalog.check(name, right)
    assert catalog.get(name) == before


# --- files --------------------------------------------------------------------------------------------------------


def test_folders_take_the_mode_of_the_database(catalog: ModelCatalog, name: ModelName) -> None:
    database_folder = local(catalog.metastore.database_location(name.namespace))
    database_folder.chmod(0o2775)
    version = publish(catalog, name)
    publish(catalog, name)
    catalog.drop_version(name, 1)
    model = local(version.location).parent
    made = [model, model / "_dropped", *(p for p in model.glob("v2-*/**") if p.is_dir())]
    assert len(made) == 5
    assert {oct(p.stat().st_mode & 0o7777) for p in made} <= {"0o2775", "0o775"}


def test_a_refusal_names_folder_and_right(catalog: ModelCatalog, database: str) -> None:
    """The exception comes from Hadoop, whose permission check applies the mode bits even to root."""
    folder = catalog.metastore.database_location(database) + "/closed"
    catalog.files.make_folder(folder, catalog.metastore.database_location(database))
    local(folder).chmod(0o000)
    hadoop = catalog.spark._jvm.org.apache.hadoop.fs
    path = hadoop.Path(folder)

    def ask() -> None:
        with catalog.files._refusals(folder, "write"):
            path.getFileSystem(catalog.files._conf).access(path, hadoop.permission.FsAction.WRITE)

    error = refused(ask)
    local(folder).chmod(0o755)
    assert error.error_class == "FOLDER_ACCESS_DENIED"
    assert f"has no write permission on {folder}" in str(error)
