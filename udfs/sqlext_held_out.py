"""sqlext_held_out(model): the rows that a training held out, with the model's predictions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from sqlext.catalog.layout import HELD_OUT
from sqlext.text import string_literal
from sqlext.udfs.base import MODEL, Call, TableFunction, TableRow, argument_list, scan

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class SqlextHeldOut(TableFunction):
    """Returns the held-out rows of a version; none for a version trained with VALIDATE NONE or an imported network.

    ``row_hash`` is Spark's ``xxhash64`` of the feature columns: join it with the source to see the rows themselves.
    """

    name = "sqlext_held_out"
    signature = "sqlext_held_out(model)"
    usage = "_FUNC_(model) - Returns the rows that training held out, with their labels and predictions."
    arguments = argument_list(MODEL)
    examples = """
    Examples:
      > SELECT label, predicted_label, count(*) FROM _FUNC_('shop.flowers') GROUP BY 1, 2;
    """
    OUTPUT: ClassVar[dict[str, str]] = {
        "namespace": "STRING",
        "model": "STRING",
        "version": "INT",
        "split": "STRING",
        "row_hash": "BIGINT",
        "label": "STRING",
        "predicted_label": "STRING",
        "score": "DOUBLE",
        "target": "DOUBLE",
        "predicted_value": "DOUBLE",
    }

    def bind(self, call: Call) -> dict[str, Any]:
        self.expect(call, 1)
        catalog, version = self.version(call)
        if HELD_OUT not in catalog.read_manifest(version).get("files", {}):
            return {}
        # The file of the version that the name refers to now: a running query reads it even if the model changes.
        own = {
            "namespace": string_literal(version.name.namespace),
            "model": string_literal(version.name.name),
            "version": f"CAST({version.version} AS INT)",
        }
        stored = {name: kind for name, kind in self.OUTPUT.items() if name not in own}
        columns = [f"{sql} AS {name}" for name, sql in own.items()] + list(stored)
        return scan(f"{version.model_folder}/{HELD_OUT}", stored, columns)

    def rows(self, spark: SparkSession, bound: dict[str, Any]) -> Iterable[TableRow]:
        """Only a version without held-out rows gets here; Spark scans the file of the others."""
        return ()
