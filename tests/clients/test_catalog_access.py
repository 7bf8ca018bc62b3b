"""An authorization extension of the session protects models as it protects tables.

The extension is a real one that is compiled here: an optimizer rule, like those of Ranger and Kyuubi, that refuses access by
table name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyspark
import pytest

from tests.support.reading import reading

SOURCE = """
package guard
import org.apache.spark.sql.SparkSessionExtensions
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.execution.command._
import org.apache.spark.sql.execution.datasources.LogicalRelation

object Deny extends Rule[LogicalPlan] {
  private def no(right: String, table: String): Unit =
    if (table.startsWith("no_" + right)) throw new SecurityException(s"user has no $right on $table")
  def apply(plan: LogicalPlan): LogicalPlan = {
    plan.foreach {
      case r: LogicalRelation => r.catalogTable.foreach(t => no("select", t.identifier.table))
      case a: AlterTableSetPropertiesCommand => no("alter", a.tableName.table)
      case d: DropTableCommand => no("drop", d.tableName.table)
      case c: CreateTableCommand => no("create", c.table.identifier.table)
      case _ =>
    }
    plan
  }
}
class Guard extends (SparkSessionExtensions => Unit) {
  def apply(extensions: SparkSessionExtensions): Unit = extensions.injectOptimizerRule(_ => Deny)
}
"""


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled classes of the extension."""
    from sqlext.spark.java import find_java

    tmp_path = tmp_path_factory.mktemp("guard")
    (tmp_path / "Guard.scala").write_text(SOURCE)
    classes = tmp_path / "classes"
    classes.mkdir()
    java, jars = str(find_java() / "bin" / "java"), str(Path(pyspark.__path__[0]) / "jars" / "*")
    command = [
        java,
        "-cp",
        jars,
        "scala.tools.nsc.Main",
        "-cp",
        jars,
        "-d",
        str(classes),
        str(tmp_path / "Guard.scala"),
    ]
    subprocess.run(command, check=True)
    return classes


@pytest.fixture(scope="module")
def answers(guard: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a session with the extension answers (main)."""
    folder = str(tmp_path_factory.mktemp("session"))
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, __file__, str(guard), folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_each_right_is_asked_for(answers: dict[str, Any]) -> None:
    seen = {key: value for key, value in answers.items() if key not in ("reading", "broken")}
    assert seen.pop("draft") == "No CREATE permission on default.no_create_yet: user has no create on no_create_yet"
    assert seen.pop("open") == {"SELECT": None, "ALTER": None, "DROP": None, "CREATE": None}
    for model, answers in seen.items():
        right = model.removeprefix("no_").upper()
        refusal = f"No {right} permission on default.{model}: user has no {right.lower()} on {model}"
        assert answers == {r: refusal if r == right else None for r in ("SELECT", "ALTER", "DROP", "CREATE")}
    assert len(seen) == 4


def test_a_source_without_rights_is_one_sentence(answers: dict[str, Any]) -> None:
    for sql, (error_class, text) in answers["reading"].items():
        assert error_class == "SOURCE_UNREADABLE", (sql, text)
        assert text == "[SOURCE_UNREADABLE] The source cannot be read: user has no select on no_select_rows", sql
    assert len(answers["reading"]) == len(reading("t"))
    # An error that is not about permissions is not called one.
    assert "Cannot find catalog plugin class" in answers["broken"]
    assert "PERMISSION_DENIED" not in answers["broken"]
    assert "Exception" not in answers["broken"]


def ask(catalog: Any, model: str) -> dict[str, str | None]:
    """For each right: None if it is granted, otherwise the error."""
    from sqlext.catalog import ModelName
    from sqlext.errors import SqlExtError

    answers: dict[str, str | None] = {}
    for right in ("SELECT", "ALTER", "DROP", "CREATE"):
        try:
            catalog.check(ModelName("default", model), right)
            answers[right] = None
        except SqlExtError as error:
            assert error.error_class == "PERMISSION_DENIED"
            answers[right] = str(error)
    return answers


def refused_reading(spark: Any, sql: str) -> tuple[str, str]:
    """The class and the text of the error."""
    if not spark.catalog.tableExists("m"):
        for table in ("good", "no_select_rows"):
            spark.sql(
                f"CREATE TABLE {table} USING PARQUET AS SELECT double(id) v, int(id % 2) y, string(id) s FROM range(9)"
            )
        spark.sql("TRAIN MODEL m FROM good FEATURES (v) LABEL y OPTIONS (epochs = 1)")
    try:
        spark.sql(sql).collect()
    except Exception as error:
        return str(getattr(error, "getErrorClass", lambda: "")()), str(error).split("\n\n== SQL ==")[0].strip()
    return "", "was accepted"


def main(classes: str, folder: str) -> None:
    from pyspark.sql import SparkSession

    from sqlext import configure
    from sqlext.catalog import ModelCatalog, ModelName
    from sqlext.errors import SqlExtError

    options = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraClassPath": classes,
        "spark.sql.extensions": "guard.Guard",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:access;create=true",
    }
    builder = SparkSession.builder.master("local[1]")
    for key, value in options.items():
        builder = builder.config(key, value)
    spark = configure(builder.enableHiveSupport()).getOrCreate()
    catalog = ModelCatalog(spark)
    models = ["open", "no_select", "no_alter", "no_drop", "no_create"]
    for model in models:
        name = ModelName("default", model)
        location = f"{catalog.metastore.database_location('default')}/{model}"
        catalog.metastore.create_table(name, location, {}, None)
    answers: dict[str, Any] = {model: ask(catalog, model) for model in models}
    try:
        catalog.draft(ModelName("default", "no_create_yet"), "classifier")
    except SqlExtError as error:
        answers["draft"] = str(error)
    answers["reading"] = {sql: refused_reading(spark, sql) for sql in reading("no_select_rows")}
    spark.conf.set("spark.sql.catalog.broken", "nosuch.Catalog")
    answers["broken"] = refused_reading(spark, "TRAIN MODEL n FROM broken.d.t LABEL y")[1]
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:3])
