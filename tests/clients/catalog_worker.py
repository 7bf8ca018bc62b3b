"""One of several drivers in a test: it reads commands from stdin and answers each with a line of JSON on stdout.

``python catalog_worker.py METASTORE_URI WAREHOUSE``; commands: ``publish MODEL COUNT``, ``show MODEL``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pyspark.sql import SparkSession

from sqlext.catalog import ModelCatalog, ModelName


def session(uri: str, warehouse: str) -> SparkSession:
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.memory", "700m").config("spark.sql.warehouse.dir", warehouse)
    builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    return builder.config("spark.hadoop.hive.metastore.uris", uri).enableHiveSupport().getOrCreate()


def publish(catalog: ModelCatalog, name: ModelName, count: int) -> list[list[Any]]:
    """Publishes versions; returns the number and the run of each."""
    published = []
    for _ in range(count):
        with catalog.draft(name, "classifier") as draft:
            (draft.local / "head.onnx").write_text(draft.run_id)
            version = catalog.publish(draft, [{"epoch": 1, "loss": 0.5}])
        published.append([version.version, version.run_id])
    return published


def show(catalog: ModelCatalog, name: ModelName) -> list[list[Any]]:
    """For each version in the metastore: number, run, the run that wrote its files, and whether they belong to the model."""
    entry = catalog.get(name)
    return [
        [
            v.version,
            v.run_id,
            catalog.read_bytes(v, "head.onnx").decode(),
            catalog.read_manifest(v)["model_id"] == entry.model_id,
        ]
        for v in entry.versions
    ]


def main() -> None:
    spark = session(*sys.argv[1:3])
    spark.sql("SHOW DATABASES").collect()
    catalog = ModelCatalog(spark)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, model, *rest = line.split()
        name = ModelName.parse(model, "default")
        answer = publish(catalog, name, int(rest[0])) if command == "publish" else show(catalog, name)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
