"""Names of files with characters that mean something to URIs, Hadoop, Derby, Java's options or lists of folders."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from sqlext.cli.serve import only_the_warehouse
from sqlext.errors import SqlExtError
from sqlext.spark.local_files import folder_named, hadoop_text, listed_folders, local_path
from sqlext.spark.warehouse import java_property, warehouse_options

NAMES = [
    "my data",
    "two  blanks",
    "é",
    "a#b",
    "50%",
    "a%20b",
    "a+b",
    "$x;y",
    "a'b",
    'a"b',
    "a&b",
    "a,b",
    "~old",
    "a\\b",
    "a?b",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_what_it_is(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    assert hadoop_text(folder) == f"file:{tmp_path}/{name}"
    assert local_path(hadoop_text(folder)) == local_path(f"file://{folder}") == folder
    assert folder_named(str(folder)) == folder


def test_other_file_systems_are_not_here() -> None:
    assert local_path("hdfs://host/a") is None
    assert local_path("/a") is None


def test_a_tilde_is_a_home_folder_only_of_a_known_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    assert folder_named("~/wh") == Path("/home/me/wh")
    assert folder_named("~nobody-has-this-name") == tmp_path / "~nobody-has-this-name"


@pytest.mark.parametrize("name", [n for n in NAMES if "\\" not in n and "?" not in n])
def test_a_warehouse_is_the_folder_that_was_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    options = warehouse_options(folder, {"spark.driver.extraJavaOptions": "-Da=b"})
    assert options["spark.sql.warehouse.dir"] == f"file:{folder}"
    # Spark reads the options as a shell reads words.
    words = shlex.split(options["spark.driver.extraJavaOptions"])
    assert words[:2] == ["-Da=b", f"-Dderby.stream.error.file={folder}/_derby.log"]
    url = options["spark.hadoop.javax.jdo.option.ConnectionURL"]
    if ";" in name:
        assert words[2] == f"-Dderby.system.home={folder}"
        assert url == "jdbc:derby:;databaseName=_metastore;create=true"
    else:
        assert url == f"jdbc:derby:;databaseName={folder}/_metastore;create=true"


def test_java_options_are_quoted() -> None:
    assert java_property("a", 'x \\"y') == r'-Da="x \\\"y"'
    assert shlex.split(java_property("a", 'x \\"y')) == ['-Da=x \\"y']


@pytest.mark.parametrize("name", NAMES)
def test_a_server_may_read_its_warehouse(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / name)
    (setting,) = only_the_warehouse(str(tmp_path / name), {})
    assert listed_folders(setting.partition("=")[2]) == [f"file:{tmp_path}/{name}"]
    (setting,) = only_the_warehouse(str(tmp_path / "link"), {})
    assert listed_folders(setting.partition("=")[2]) == [f"file:{tmp_path}/link", f"file:{tmp_path}/{name}"]


def test_a_list_of_folders() -> None:
    assert listed_folders(r" /a, hdfs://h/b\,c ,,/d ") == ["/a", "hdfs://h/b,c", "/d"]


@pytest.mark.parametrize(
    ("name", "shown"), [("a[1]", "\\[\\]"), ("b{c}", "{}"), ("d*?", "\\*\\?"), ("e\\f", "\\\\"), ("${g}", "{}")]
)
def test_a_warehouse_whose_tables_spark_would_not_find(tmp_path: Path, name: str, shown: str) -> None:
    with pytest.raises(SqlExtError, match=f"cannot be used: Spark reads {shown} in the path of a table as a pattern"):
        warehouse_options(tmp_path / name, {})
    assert not (tmp_path / name).exists()
