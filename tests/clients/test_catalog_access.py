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


@pytest.fixture
def guard(tmp_path: Path) -> Path:
    """The folder with the compiled classes of the extension."""
    from sqlext.spark.java import find_java

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


def test_each_right_is_asked_for(guard: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, __file__, str(guard), str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen.pop("draft") == "No CREATE permission on default.no_create_yet: user has no create on no_create_yet"
    assert seen.pop("open") == {"SELECT": None, "ALTER": None, "DROP": None, "CREATE": None}
    for model, answers in seen.items():
        right = model.removeprefix("no_").upper()
        refusal = f"No {right} permission on default.{model}: user has no {right.lower()} on {model}"
        assert answers == {r: refusal if r == right else None for r in ("SELECT", "ALTER", "DROP", "CREATE")}
    assert len(seen) == 4


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


def main(classes: str, folder: str) -> None:
    from pyspark.sql import SparkSession

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
    catalog = ModelCatalog(builder.enableHiveSupport().getOrCreate())
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
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:3])
