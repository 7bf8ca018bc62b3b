"""What a running statement has at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlext.catalog.names import ModelName, ModelRef
from sqlext.errors import error_at
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import WrittenModel
from sqlext.settings import setting

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlext.catalog.facade import ModelCatalog

ResultRow = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """The caller's session and the text it sent."""

    spark: SparkSession
    sql: str

    @cached_property
    def catalog(self) -> ModelCatalog:
        from sqlext.catalog.facade import ModelCatalog

        return ModelCatalog(self.spark)

    def setting(self, name: str) -> str | None:
        """The session's value of ``spark.sqlext.<name>``."""
        return setting(self.spark, name)

    def model_name(self, name: Name) -> ModelName:
        """``model`` or ``db.model``, resolved against the current database."""
        with error_at(name.offset):
            return ModelName.of(name.parts, self.catalog.current_namespace())

    def namespace(self, name: Name | None) -> str:
        """The database that FROM or IN names, or the current one.

        :raises SqlExtError: DATABASE_NOT_FOUND.
        """
        if name is None:
            return self.catalog.current_namespace()
        database = str(name).lower()
        with error_at(name.offset):
            self.catalog.metastore.database_location(database)
        return database

    def model_ref(self, reference: WrittenModel) -> ModelRef:
        alias = reference.alias.lower() if reference.alias else None
        return ModelRef(self.model_name(reference.name), reference.version, alias)

    def beside(self, sql: str | None = None, namespace: str | None = None) -> Context:
        """The context of a cloned session: with the caller's temporary views and settings, and nothing that the caller
        does later disturbs it.

        :param sql: the statement's text there; default: the same.
        :param namespace: the current database there; default, and where it is gone: the same.
        """
        from pyspark.sql import SparkSession

        original: Any = self.spark._jsparkSession
        spark = SparkSession(self.spark.sparkContext, original.cloneSession())
        if namespace is not None and spark._jsparkSession.sessionState().catalog().databaseExists(namespace):
            spark.catalog.setCurrentDatabase(namespace)
        return Context(spark, self.sql if sql is None else sql)
