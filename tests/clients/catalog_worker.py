"""One driver of the tests with several: commands on stdin, a line of JSON each on stdout.

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
    """Number and run of each version published."""
    done = []
    for _ in range(count):
        with catalog.draft(name, "classifier") as draft:
            (draft.local / "head.onnx").write_text(draft.run_id)
            version = catalog.publish(draft, [{"epoch": 1, "loss": 0.5}])
        done.append([version.version, version.run_id])
    return done


def show(catalog: ModelCatalog, name: ModelName) -> list[list[Any]]:
    """Number, run, the run that wrote the files, and whether they say so, of each version in the metastore."""
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
