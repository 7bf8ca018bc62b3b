"""The context of a running statement: session, text, catalog, and names resolved against the current database."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlext.catalog.names import CATALOG, ModelName, ModelRef
from sqlext.errors import error_at
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import WrittenModel
from sqlext.settings import setting
from sqlext.text import identifier

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlext.catalog.facade import ModelCatalog

ResultRow = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """The session that runs a statement, and the statement's text."""

    spark: SparkSession
    sql: str

    @cached_property
    def catalog(self) -> ModelCatalog:
        from sqlext.catalog.facade import ModelCatalog

        return ModelCatalog(self.spark)

    def setting(self, name: str) -> str | None:
        """Returns the session's value of ``spark.sqlext.<name>``, or its default, or None."""
        return setting(self.spark, name)

    def model_name(self, name: Name) -> ModelName:
        """Resolves ``model`` or ``db.model`` against the current database.

        :raises SqlExtError: INVALID_MODEL_NAME.
        """
        with error_at(name.offset):
            return ModelName.of(name.parts, self.catalog.current_namespace())

    def namespace(self, name: Name | None) -> str:
        """Returns the database that FROM or IN names, or the current one for None.

        :raises SqlExtError: DATABASE_NOT_FOUND.
        """
        if name is None:
            return self.catalog.current_namespace()
        parts = name.parts[1:] if len(name.parts) == 2 and name.parts[0].lower() == CATALOG else name.parts
        database = ".".join(parts).lower()
        with error_at(name.offset):
            self.catalog.metastore.database_location(database)
        return database

    def model_ref(self, reference: WrittenModel) -> ModelRef:
        """Resolves a name with VERSION or ALIAS against the current database; does not look whether the model exists.

        :raises SqlExtError: INVALID_MODEL_NAME.
        """
        alias = reference.alias.lower() if reference.alias else None
        return ModelRef(self.model_name(reference.name), reference.version, alias)

    def beside(self, sql: str | None = None, namespace: str | None = None) -> Context:
        """Returns a context with a clone of the session: it has the same temporary views and settings, but later changes to
        the caller's session do not affect it.

        :param sql: the statement's text; default: the same text.
        :param namespace: the current database of the clone, as :meth:`CatalogReader.current_place` returns it; default, or
            if it no longer exists: the same database.
        """
        from pyspark.sql import SparkSession

        original: Any = self.spark._jsparkSession
        spark = SparkSession(self.spark.sparkContext, original.cloneSession())
        place = self.catalog.current_place() if namespace is None else namespace
        if not place.startswith("`"):  # a database of the session catalog
            known = spark._jsparkSession.sessionState().catalog().databaseExists(place)
            place = f"{CATALOG}.{identifier(place if known else self.catalog.current_namespace())}"
        # A clone starts in the session catalog, whatever catalog was current.
        spark.sql(f"USE {place}")
        return Context(spark, self.sql if sql is None else sql)
