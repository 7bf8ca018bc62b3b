"""The Hive metastore, through Spark's own external catalog.

Tables and partitions are returned as the JSON of Spark's CatalogTable and CatalogTablePartition, which carry Jackson
annotations: one Py4J call reads what would otherwise take a call per field.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors.exceptions.base import PySparkException
from pyspark.sql import SparkSession

from sqlext.catalog.names import ModelName
from sqlext.errors import SqlExtError, nearest
from sqlext.spark.java_classes import java_classes
from sqlext.spark.java_errors import is_refusal, java_causes, java_message
from sqlext.text import identifier, string_literal

# The table of a model has the training history of its versions: column -> type and comment.
COLUMNS = {
    "run_id": ("STRING", "the training run, as in SHOW TRAINING RUNS"),
    "epoch": ("INT", "number of the epoch, from 1"),
    "iteration": ("BIGINT", "optimizer steps so far"),
    "loss": ("DOUBLE", "mean loss over all training rows at the end of the epoch"),
    "val_loss": ("DOUBLE", "mean loss over all validation rows at the end of the epoch"),
    "metric_name": ("STRING", "accuracy, or rmse for a regression"),
    "metric_value": ("DOUBLE", "that metric on the validation rows at the end of the epoch"),
    "learning_rate": ("DOUBLE", "learning rate of that epoch"),
    "rows_per_second": ("DOUBLE", "training rows per second in that epoch"),
    "recorded_at": ("TIMESTAMP", "when the epoch ended"),
}
VERSION = "the version of the model"
_RIGHTS = {
    # No LIMIT 0: the optimizer would replace the relation before an authorization rule sees it.
    "SELECT": "SELECT * FROM {table}",
    "ALTER": "ALTER TABLE {table} SET TBLPROPERTIES ('sqlext.kind' = '')",
    "DROP": "DROP TABLE {table}",
}


@dataclass(frozen=True)
class Unread:
    """A database or table that the metastore lists, but that it does not let the caller read."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} cannot be read ({self.reason})"

    def denied(self, consequence: str) -> SqlExtError:
        return SqlExtError("PERMISSION_DENIED", right="SELECT", model=self.name, reason=f"{self.reason}; {consequence}")


class Metastore:
    """Tables and partitions by name. Every method is one metastore call unless it says otherwise."""

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark
        jvm = java_classes(spark)
        self._jvm = jvm
        self._state: Any = spark._jsparkSession.sessionState()
        self._external: Any = self._state.catalog().externalCatalog()
        self._mapper: Any = jvm.com.fasterxml.jackson.databind.ObjectMapper()
        scala_module = getattr(jvm.com.fasterxml.jackson.module.scala, "DefaultScalaModule$")
        self._mapper.registerModule(getattr(scala_module, "MODULE$"))

    def databases(self) -> list[str]:
        return list(self._read(self._external.listDatabases()))

    def current_database(self) -> str:
        return str(self._state.catalog().getCurrentDatabase())

    def current_place(self) -> list[str]:
        """The current catalog and its current namespace, which is empty for some catalogs."""
        manager = self._state.catalogManager()
        return [str(manager.currentCatalog().name()), *map(str, manager.currentNamespace())]

    def database_location(self, database: str) -> str:
        """The folder of a database as a Hadoop path.

        :raises SqlExtError: DATABASE_NOT_FOUND.
        """
        if not self._external.databaseExists(database):
            hint = nearest(database, self.databases())
            raise SqlExtError("DATABASE_NOT_FOUND", database=database, hint=hint)
        uri = self._external.getDatabase(database).locationUri()
        return str(self._jvm.org.apache.hadoop.fs.Path(uri).toString())

    def user(self) -> str:
        """The user who runs this session's statement: over JDBC the connected user, otherwise the user of the driver."""
        remote = self._jvm.org.apache.spark.sql.catalyst.CurrentUserContext.CURRENT_USER().get()
        return str(remote or self.spark.sparkContext.sparkUser())

    def table_names(self, database: str) -> list[str]:
        return list(self._read(self._external.listTables(database))) if self._external.databaseExists(database) else []

    def tables(self, database: str, names: Iterable[str]) -> list[dict[str, Any]]:
        """The named tables that exist, all in one call; empty for a database that does not exist."""
        try:
            return list(self._read(self._external.getTablesByName(database, self._seq(names))))
        except (Py4JJavaError, PySparkException):
            if self._external.databaseExists(database):
                raise
            return []

    def table(self, name: ModelName) -> dict[str, Any] | None:
        return next(iter(self.tables(name.namespace, [name.name])), None)

    def partitions(self, name: ModelName) -> list[dict[str, Any]]:
        """All partitions of a table; empty for a table that does not exist."""
        # Py4J passes None as null, of which Option makes Scala's None.
        nothing = self._jvm.scala.Option.apply(None)
        try:
            return list(self._read(self._external.listPartitions(name.namespace, name.name, nothing)))
        except PySparkException:
            if self._external.tableExists(name.namespace, name.name):
                raise
            return []

    def create_table(self, name: ModelName, location: str, properties: Mapping[str, str], comment: str | None) -> bool:
        """Creates a model's table. Returns False if a table of that name already exists."""
        # Spark's analysis fills in what a CatalogTable needs besides: serde, schema, provider and owner.
        plan = self.plan(self._create_statement(name, location)).analyzed()
        storage = self._located(plan.table().storage(), location)
        option = self._jvm.scala.Option.apply
        # Fields are named by constructor position. Comment and properties are free text and are not written as SQL, since
        # Spark has two modes of reading string literals, which need different escapes.
        table = _copy(plan.table(), {2: storage, 11: self._map(properties), 14: option(comment)})
        try:
            self._state.catalog().createTable(table, False, False)
        except PySparkException:
            # Spark's or Hive's exception, depending on who notices another session's table first: look at the result instead.
            if self._external.tableExists(name.namespace, name.name):
                return False
            raise
        return True

    def alter_table(self, name: ModelName, properties: Mapping[str, str], comment: str | None) -> None:
        """Replaces the properties and comment of a table (reads it first); not through SQL, since both are free text."""
        table = self._external.getTable(name.namespace, name.name)
        # Hive stores these two as properties itself: the comment, and the time of the change.
        own = {key: value for key, value in properties.items() if key not in ("comment", "transient_lastDdlTime")}
        changed = _copy(table, {11: self._map(own), 14: self._jvm.scala.Option.apply(comment)})
        self._state.catalog().alterTable(changed)
        self.refresh(name)

    def rename_table(self, name: ModelName, to: ModelName) -> None:
        """Renames a table within its database; the folders of an external table and of its partitions stay in place."""
        # Spark takes no catalog in the new name.
        new = f"{identifier(to.namespace)}.{identifier(to.name)}"
        self.spark.sql(f"ALTER TABLE {name.sql} RENAME TO {new}")

    def drop_table(self, name: ModelName) -> None:
        """Removes an external table and its partitions from the metastore; the files stay."""
        self.spark.sql(f"DROP TABLE IF EXISTS {name.sql}")

    def create_partition(self, name: ModelName, version: int, location: str, parameters: Mapping[str, str]) -> bool:
        """Adds one partition with all its parameters (reads the table first). Returns False if the version exists."""
        storage = self._located(self._external.getTable(name.namespace, name.name).storage(), location)
        now = int(time.time() * 1000)
        partition = self._jvm.org.apache.spark.sql.catalyst.catalog.CatalogTablePartition(
            self._map({"version": str(version)}),
            storage,
            self._map(parameters),
            now,
            now,
            self._jvm.scala.Option.apply(None),
        )
        try:
            # This call decides a race: the metastore refuses a second partition of the same version.
            self._external.createPartitions(name.namespace, name.name, self._seq([partition]), False)
        except PySparkException:
            if any(p["spec"].get("version") == str(version) for p in self.partitions(name)):
                return False
            raise
        # A table in Spark's cache (CACHE TABLE) would otherwise stay without the new version.
        self.refresh(name)
        return True

    def alter_partition(self, name: ModelName, version: int, parameters: Mapping[str, str]) -> None:
        """Replaces all parameters of one partition (reads it first)."""
        spec = self._map({"version": str(version)})
        partition = self._external.getPartition(name.namespace, name.name, spec)
        changed = _copy(partition, {2: self._map(parameters)})
        self._external.alterPartitions(name.namespace, name.name, self._seq([changed]))

    def drop_partition(self, name: ModelName, version: int) -> None:
        """Removes one partition of an external table from the metastore; the files stay."""
        specs = self._seq([self._map({"version": str(version)})])
        # The last arguments: ignore a missing partition, do not purge, leave the files.
        self._external.dropPartitions(name.namespace, name.name, specs, True, False, True)
        self.refresh(name)

    def refresh(self, name: ModelName) -> None:
        """Invalidates what Spark has cached about a table."""
        self.spark._jsparkSession.catalog().refreshTable(name.sql)

    def plan(self, statement: str) -> Any:
        """The QueryExecution of a statement, which is only planned and does not run, even if it is a command."""
        skip = self._jvm.org.apache.spark.sql.execution.CommandExecutionMode.SKIP()
        return self._state.executePlan(self._state.sqlParser().parsePlan(statement), skip)

    def check(self, name: ModelName, right: str, location: str = "file:/") -> None:
        """Plans a statement that needs ``right`` on a table, so that authorization extensions of the session can refuse it.

        :param right: SELECT, ALTER, DROP, or CREATE (of a table at ``location``).
        :raises SqlExtError: PERMISSION_DENIED with the extension's message.
        """
        text = self._create_statement(name, location) if right == "CREATE" else _RIGHTS[right].format(table=name.sql)
        try:
            self.plan(text).optimizedPlan()
        except (Py4JJavaError, PySparkException) as error:
            if not is_refusal(java_causes(error)):
                raise
            raise SqlExtError("PERMISSION_DENIED", right=right, model=name, reason=java_message(error)) from error

    def _create_statement(self, name: ModelName, location: str) -> str:
        columns = ", ".join(f"{column} {kind} COMMENT '{text}'" for column, (kind, text) in COLUMNS.items())
        layout = f"({columns}) PARTITIONED BY (version INT COMMENT '{VERSION}') STORED AS PARQUET"
        return f"CREATE EXTERNAL TABLE {name.sql} {layout} LOCATION {string_literal(location)}"

    def _located(self, storage: Any, location: str) -> Any:
        uri = self._jvm.org.apache.hadoop.fs.Path(location).toUri()
        return _copy(storage, {0: self._jvm.scala.Option.apply(uri)})

    def _read(self, value: Any) -> Any:
        return json.loads(self._mapper.writeValueAsString(value))

    def _map(self, values: Mapping[str, str]) -> Any:
        return self._jvm.org.apache.spark.api.python.PythonUtils.toScalaMap(dict(values))

    def _seq(self, values: Iterable[Any]) -> Any:
        return self._jvm.org.apache.spark.api.python.PythonUtils.toSeq(list(values))


@contextmanager
def noting(unread: MutableSequence[Unread], name: object) -> Iterator[None]:
    """Adds ``name`` to ``unread`` if the metastore refuses to read it in the block."""
    try:
        yield
    except (Py4JJavaError, PySparkException) as error:
        unread.append(Unread(str(name), java_message(error)))


def _copy(instance: Any, changes: Mapping[int, Any]) -> Any:
    """``copy`` of a Scala case class, with new values for the fields at the positions in ``changes``."""
    arguments: Sequence[Any] = [
        changes[i] if i in changes else getattr(instance, f"copy$default${i + 1}")()
        for i in range(instance.productArity())
    ]
    return instance.copy(*arguments)
