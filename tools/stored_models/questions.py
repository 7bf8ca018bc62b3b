"""The statements and queries whose answers are recorded."""

from __future__ import annotations

from collections.abc import Iterator

from places import entries
from pyspark.sql import SparkSession

from tests.support.stored import DATABASES, MODELS, SHOP


def statements(spark: SparkSession) -> list[str]:
    """Returns the statements and queries to record."""
    found = [f"{what} IN {database}" for database in DATABASES for what in ("SHOW MODELS", "SHOW TRAINING RUNS")]
    for entry in entries(spark):
        found.append(f"SHOW MODEL VERSIONS {entry.name}")
        for version in entry.versions:
            name = f"{entry.name} VERSION {version.version}"
            found += [
                f"DESCRIBE MODEL EXTENDED {name}",
                f"SHOW CREATE MODEL {name}",
                f"SHOW TRAINING HISTORY MODEL {name}",
            ]
    runs = spark.sql(f"SHOW TRAINING RUNS IN {SHOP}").collect()
    found += [f"SHOW TRAINING HISTORY FOR RUN '{run.run_id}'" for run in runs if run.version is None]
    found += [f"SELECT * FROM {SHOP}.{model} ORDER BY version, epoch" for model in ("shapes", "vectors")]
    evaluated = ("shapes VERSION 1", "shapes ALIAS champion", "price", "sizes", "vectors", "tuned", "carried")
    found += [f"EVALUATE MODEL {SHOP}.{model}" for model in evaluated]
    found += [f"EVALUATE MODEL {SHOP}.shapes {form}" for form in ("PER CLASS", "CONFUSION MATRIX")]
    found += [
        f"EVALUATE MODEL {SHOP}.shapes, {SHOP}.carried FROM {SHOP}.pictures",
        f"EVALUATE MODEL {SHOP}.price FROM {SHOP}.houses",
        f"SELECT predict('{MODELS}.erf', picture) AS prediction FROM {SHOP}.pictures WHERE id < 3 ORDER BY id",
    ]
    found += [
        f"SELECT * FROM sqlext_held_out('{SHOP}.{model}') ORDER BY split, row_hash"
        for model in ("shapes@prod", "price")
    ]
    found += [f"PURGE MODELS IN {database} KEEP 1 VERSIONS DRY RUN" for database in DATABASES]
    return [*found, *predictions()]


def predictions() -> Iterator[str]:
    pictures, houses = f"{SHOP}.pictures WHERE id % 4 = 2", f"{SHOP}.houses WHERE id < 6"
    calls = {
        pictures: [
            *(f"predict('{SHOP}.{m}', picture)" for m in ("shapes", "shapes@prod", "sizes", "vectors", "carried")),
            *(f"predict('{MODELS}.{m}', picture)" for m in ("tiny", "tiny@2", "shapes", "sizes")),
            f"predict('{SHOP}.vectors', embed('{MODELS}.tiny@1', picture))",
            f"embed('{MODELS}.tiny@newest', picture)",
            f"classify_topk('{SHOP}.shapes@champion', picture, 2)",
            f"classify_score_of('{MODELS}.tiny', 'class 3', picture)",
        ],
        houses: [
            f"predict('{SHOP}.price', area, rooms, age)",
            f"predict('{SHOP}.sales', area, age)",
            f"predict('{SHOP}.tuned', struct(age, area))",
        ],
    }
    for source, functions in calls.items():
        for function in functions:
            yield f"SELECT id, {function} AS answer FROM {source} ORDER BY id"
