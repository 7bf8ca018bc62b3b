"""Runs statements in a warehouse with an odd name and prints what they gave as JSON (test_odd_names.py)."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import sqlext
from sqlext.cli.common import settings
from sqlext.cli.serve import only_the_warehouse
from sqlext.text import string_literal


def main(warehouse: str) -> None:
    # Under the limits of `sqlext serve`, so that everything below is also allowed there.
    spark = sqlext.session("local[2]", warehouse, settings(only_the_warehouse(warehouse, {})))
    folder = Path(warehouse)
    network = folder / "net é#50%25+$;.onnx"
    shutil.copy(Path(sqlext.__file__).parent / "networks" / "small.onnx", network)
    export, board = (string_literal(str(folder / name)) for name in ("ex port é#%41;'", "board é%20#"))
    found: dict[str, str] = {}

    def run(sql: str) -> Any:
        try:
            rows = spark.sql(sql).collect()
        except Exception as error:
            found[sql] = str(error)
            return None
        found[sql] = ""
        return rows

    run("CREATE TABLE rows USING PARQUET AS SELECT double(id) v, double(id % 7) w, id % 2 y FROM range(60)")
    run("CREATE DATABASE d")
    run("CREATE TABLE d.hive STORED AS PARQUET AS SELECT * FROM rows")
    run(f"IMPORT MODEL d.small FROM {string_literal(str(network))} FORMAT ONNX")
    run(f"SELECT length(read_image({string_literal(network.as_uri())}))")
    run(f"TRAIN MODEL d.m FROM d.hive FEATURES (v, w) LABEL y OPTIONS (epochs = 2, tensorboard = {board})")
    label = run("SELECT classify('d.m', v, w) FROM rows ORDER BY v")
    run("SELECT * FROM sqlext_held_out('d.m')")
    run("SHOW TRAINING HISTORY FOR MODEL d.m")
    run("EVALUATE MODEL d.m")
    run("TRAIN MODEL d.m")
    run(f"EXPORT MODEL d.m VERSION 1 TO {export}")
    run(f"IMPORT MODEL copied FROM {export}")
    again = run("SELECT classify('copied', v, w) FROM rows ORDER BY v")
    run("ALTER MODEL copied RENAME TO other")
    run("PURGE MODELS IN d ORPHANS DRY RUN")
    inside = sorted(path.name for path in folder.iterdir())
    run("DROP MODEL other")
    run("DROP TABLE d.hive")
    answers = {"statements": dict(found), "inside": inside, "label": label and label[0][0], "same": label == again}
    answers["events"] = [p.name for p in (folder / "board é%20#").rglob("*tfevents*")]
    sibling = string_literal(f"{folder}2/net.onnx")  # the name of the allowed folder begins that of this one
    run(sql := f"IMPORT MODEL n FROM {sibling} FORMAT ONNX")
    print(json.dumps({**answers, "sibling": found[sql]}))


if __name__ == "__main__":
    main(sys.argv[1])
