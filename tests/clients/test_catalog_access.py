"""Rights on tables are rights on models: those of an authorization extension of the session, and those of the metastore.

The extension and the metastore's hooks are real ones that are compiled here. The extension is an optimizer rule, like those of
Ranger and Kyuubi, that refuses access by table name. The hooks refuse what the system property guard.locked names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyspark
import pytest

from tests.support.reading import reading

SOURCE = """
package guard
import java.util
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.hive.conf.HiveConf
import org.apache.hadoop.hive.metastore.{DefaultMetaStoreFilterHookImpl, MetaStorePreEventListener}
import org.apache.hadoop.hive.metastore.api.{MetaException, Table}
import org.apache.hadoop.hive.metastore.events.{PreEventContext, PreReadDatabaseEvent, PreReadTableEvent}
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
object Locked {
  def apply(what: String): Boolean = System.getProperty("guard.locked", "") == what
}
class Lock(conf: Configuration) extends MetaStorePreEventListener(conf) {
  override def onEvent(event: PreEventContext): Unit = event match {
    case e: PreReadDatabaseEvent if Locked(s"database ${e.getDatabase.getName}") => throw new MetaException("it is locked")
    case e: PreReadTableEvent if Locked(s"table ${e.getTable.getTableName}") => throw new MetaException("it is locked")
    case _ =>
  }
}
class Hide(conf: HiveConf) extends DefaultMetaStoreFilterHookImpl(conf) {
  override def filterTables(tables: util.List[Table]): util.List[Table] = {
    val shown = new util.ArrayList[Table](tables)
    shown.removeIf(table => Locked(s"answer ${table.getTableName}"))
    shown
  }
}
"""
MANAGER = "org.apache.hadoop.hive.ql.security.authorization.DefaultHiveAuthorizationProvider"
NET, USER = ("default", "net"), ("others", "no_select_user")


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled classes of the extension and the hooks."""
    from sqlext.spark.java import find_java

    folder = tmp_path_factory.mktemp("guard")
    (folder / "Guard.scala").write_text(SOURCE)
    classes = folder / "classes"
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
        str(folder / "Guard.scala"),
    ]
    subprocess.run(command, check=True)
    return classes


@pytest.fixture(scope="module")
def seen(guard: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a session with the extension and the hooks finds out."""
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    command = [sys.executable, "-m", __name__, str(guard), str(tmp_path_factory.mktemp("access"))]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=root, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_each_right_is_asked_for(seen: dict[str, Any]) -> None:
    rights = seen["rights"]
    assert rights.pop("draft") == "No CREATE permission on default.no_create_yet: user has no create on no_create_yet"
    assert rights.pop("open") == {"SELECT": None, "ALTER": None, "DROP": None, "CREATE": None}
    for model, answers in rights.items():
        right = model.removeprefix("no_").upper()
        refusal = f"No {right} permission on default.{model}: user has no {right.lower()} on {model}"
        assert answers == {r: refusal if r == right else None for r in ("SELECT", "ALTER", "DROP", "CREATE")}
    assert len(rights) == 4


def test_a_backbone_of_a_model_without_select_permission_is_not_removed(seen: dict[str, Any]) -> None:
    """An extension of the session does not hide models from DROP and PURGE."""
    found = seen["backbone"][""]
    in_use = "A version of default.net cannot be dropped because it is the backbone of others.no_select_user. Drop those models first."
    assert found["drop"] == ["BACKBONE_IN_USE", in_use]
    assert found["purge"]["net@1"] == ["KEPT", "backbone of others.no_select_user"]
    assert found["purge"]["m@1"] == ["WOULD PURGE", None]
    assert found["orphans"] == []


@pytest.mark.parametrize(
    ("locked", "name", "reason"),
    [
        ("database others", "others", "it is locked"),
        ("table no_select_user", "others.no_select_user", "it is locked"),
        ("answer no_select_user", "others.no_select_user", "the metastore does not return it"),
    ],
)
def test_a_backbone_is_not_removed_if_its_users_are_unknown(
    seen: dict[str, Any], locked: str, name: str, reason: str
) -> None:
    found = seen["backbone"][locked]
    error_class, message = found["drop"]
    assert (error_class, message.startswith(f"No SELECT permission on {name}: ")) == ("PERMISSION_DENIED", True)
    assert reason in message
    assert message.endswith(
        "whether a model needs the backbone default.net is therefore unknown, and it was not dropped"
    )
    status, message = found["purge"]["net@1"]
    assert (status, message.startswith(f"unknown whether a model needs it: {name} cannot be read (")) == ("KEPT", True)
    assert reason in message
    assert found["purge"]["m@1"] == ["WOULD PURGE", None]  # no model needs a classifier
    assert len(found["orphans"]) == (0 if locked.startswith("database") else 1)
    for status, message in found["orphans"]:
        assert (status, f"unknown whether a model owns it: {name} cannot be read (" in message) == ("KEPT", True)
    assert found["location_exists"]


def test_a_backbone_that_no_model_needs_is_removed(seen: dict[str, Any]) -> None:
    assert seen["backbone"]["dropped"] == [1]


def test_a_source_without_rights_is_one_sentence(seen: dict[str, Any]) -> None:
    for sql, (error_class, text) in seen["reading"].items():
        assert error_class == "SOURCE_UNREADABLE", (sql, text)
        assert text == "[SOURCE_UNREADABLE] The source cannot be read: user has no select on no_select_rows", sql
    assert len(seen["reading"]) == len(reading("t"))
    # An error that is not about permissions is not called one.
    assert "Cannot find catalog plugin class" in seen["broken"]
    assert "PERMISSION_DENIED" not in seen["broken"]
    assert "Exception" not in seen["broken"]


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


def rights(catalog: Any) -> dict[str, Any]:
    from sqlext.catalog import ModelName
    from sqlext.errors import SqlExtError

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
    return answers


def backbone(catalog: Any) -> dict[str, Any]:
    """What DROP and PURGE do with a backbone that a model of another database needs, by what is locked."""
    from sqlext.catalog import ModelName
    from tests.support.catalog_models import publish

    catalog.spark.sql("CREATE DATABASE others")
    net, user = ModelName(*NET), ModelName(*USER)
    first, _ = publish(catalog, net, kind="backbone"), publish(catalog, net, kind="backbone")
    for _ in range(2):
        publish(catalog, ModelName("default", "m"))
    location = publish(catalog, user, backbone_id=first.id).location
    found: dict[str, Any] = {}
    system = catalog.spark._jvm.java.lang.System
    for locked in ("", f"database {user.namespace}", f"table {user.name}", f"answer {user.name}"):
        system.setProperty("guard.locked", locked)
        found[locked] = {"drop": drop(catalog, net), "purge": purge(catalog), "orphans": orphans(catalog, user, locked)}
        found[locked]["location_exists"] = catalog.files.exists(location)
    system.setProperty("guard.locked", "")
    catalog.drop_model(user)
    return {**found, "dropped": catalog.drop_version(net, 1).versions}


def drop(catalog: Any, name: Any) -> list[str]:
    """The class and the text of the error."""
    from sqlext.errors import SqlExtError

    try:
        catalog.drop_version(name, 1)
    except SqlExtError as error:
        return [error.error_class, str(error)]
    return ["", "dropped"]


def purge(catalog: Any) -> dict[str, list[str | None]]:
    """The status and message of each version of database default."""
    from sqlext.catalog.purge import Rule, purge_model
    from sqlext.catalog.users import backbone_users

    users = backbone_users(catalog)
    found = [row for e in catalog.list("default") for row in purge_model(catalog, e, Rule(keep=1, dry_run=True), users)]
    return {f"{row.model.partition('.')[2]}@{row.version}": [row.status, row.message] for row in found}


def orphans(catalog: Any, user: Any, locked: str) -> list[list[str | None]]:
    """Removes orphans of the user's database as if its folders were old; does nothing if that database is locked."""
    from sqlext.catalog.orphans import purge_orphans

    if locked.startswith("database"):
        return []
    later = datetime.now(UTC) + timedelta(days=2)
    found = purge_orphans(catalog, user.namespace, lambda name: True, dry_run=False, now=later)
    return [[row.status, row.message] for row in found]


def sources(spark: Any) -> dict[str, Any]:
    """The errors of a source that the caller may not read, and of a catalog that cannot load."""
    for table in ("good", "no_select_rows"):
        spark.sql(
            f"CREATE TABLE {table} USING PARQUET AS SELECT double(id) v, int(id % 2) y, string(id) s FROM range(9)"
        )
    spark.sql("TRAIN MODEL of_good FROM good FEATURES (v) LABEL y OPTIONS (epochs = 1)")
    statements = reading("no_select_rows", model="of_good")
    spark.conf.set("spark.sql.catalog.broken", "nosuch.Catalog")
    broken = refused_reading(spark, "TRAIN MODEL n FROM broken.d.t LABEL y")[1]
    return {"reading": {sql: refused_reading(spark, sql) for sql in statements}, "broken": broken}


def refused_reading(spark: Any, sql: str) -> tuple[str, str]:
    """The class and the text of the error."""
    try:
        spark.sql(sql).collect()
    except Exception as error:
        return str(getattr(error, "getErrorClass", lambda: "")()), str(error).split("\n\n== SQL ==")[0].strip()
    return "", "was accepted"


def main(classes: str, folder: str) -> None:
    from pyspark.sql import SparkSession

    from sqlext import configure
    from sqlext.catalog import ModelCatalog

    options = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraClassPath": classes,
        "spark.sql.extensions": "guard.Guard",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.sql.hive.metastore.sharedPrefixes": "guard",
        "spark.hadoop.hive.metastore.pre.event.listeners": "guard.Lock",
        "spark.hadoop.hive.metastore.filter.hook": "guard.Hide",
        # With any manager of the newer kind, Hive replaces the hook.
        "spark.hadoop.hive.security.authorization.manager": MANAGER,
        "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:access;create=true",
    }
    builder = SparkSession.builder.master("local[1]")
    for key, value in options.items():
        builder = builder.config(key, value)
    spark = configure(builder.enableHiveSupport()).getOrCreate()
    catalog = ModelCatalog(spark)
    print(json.dumps({"rights": rights(catalog), "backbone": backbone(catalog), **sources(spark)}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
