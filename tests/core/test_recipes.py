"""The recipes and the page for users of other systems: every SQL block runs, in the order of its page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sqlext.cli.statements import split
from tests.support.pages import ROOT, examples

DATABASES = ("shop", "models", "production")


@pytest.fixture(scope="module")
def recipes(spark: SparkSession, shop: str) -> Iterator[SparkSession]:
    """Databases recipes_shop, recipes_models and recipes_production with the tables that the pages use."""
    for database in DATABASES:
        spark.sql(f"CREATE DATABASE recipes_{database}")
    spark.sql("IMPORT MODEL recipes_models.small FROM 'sqlext:small' FORMAT ONNX")
    for table, columns in (
        ("images", "id, image, species, DATE'2024-05-01' AS loaded FROM shop.images"),
        ("arrivals", "id, image, DATE'2024-06-01' AS loaded FROM shop.holdout"),
        ("flower_images", "id AS file, image, species FROM shop.images"),
        (
            "sales",
            "50000.0 + 900 * area + 4000 * rooms - 300 * age AS price, rooms, area, age, part FROM "
            "(SELECT CAST(1 + id % 5 AS DOUBLE) AS rooms, 40.0 + id * 7 % 90 AS area, CAST(id * 13 % 60 AS DOUBLE) AS age, "
            "IF(id % 5 = 0, 'validation', 'train') AS part FROM range(120))",
        ),
    ):
        spark.sql(f"CREATE TABLE recipes_shop.{table} STORED AS PARQUET AS SELECT {columns}")
    yield spark
    for database in reversed(DATABASES):
        spark.sql(f"DROP DATABASE recipes_{database} CASCADE")


def here(sql: str, folder: Path) -> str:
    """Returns a page's SQL with the databases of this module and with ``folder``."""
    names = "|".join(DATABASES)
    sql = re.sub(rf"\b({names})\.(?=\w)", r"recipes_\1.", sql)
    sql = re.sub(rf"(\bIN |namespace = ')({names})\b", r"\1recipes_\2", sql)
    return sql.replace("file:/exchange", f"file:{folder}")


def run_page(spark: SparkSession, name: str, folder: Path) -> list[list[object]]:
    results = []
    for block, _ in examples(ROOT / "docs" / name):
        for statement in split(block):
            try:
                results.append([*spark.sql(here(statement.text, folder)).collect()])
            except Exception as error:
                pytest.fail(f"docs/{name}: {str(error)[:500]}\n{statement.text}")
    return results


@pytest.mark.slow
def test_recipes_run(recipes: SparkSession, tmp_path: Path) -> None:
    run_page(recipes, "recipes.md", tmp_path)
    scored = recipes.table("recipes_shop.scored")
    assert scored.count() == recipes.table("recipes_shop.arrivals").count()
    again = recipes.table("recipes_shop.scored_again")
    assert again.select("id").distinct().count() == scored.count()
    (quality,) = recipes.table("recipes_shop.quality").collect()
    assert (quality.version, quality.images, quality.unreadable) == (1, scored.count(), 0)
    assert recipes.sql("SHOW MODEL VERSIONS recipes_shop.flowers").count() >= 2


@pytest.mark.slow
def test_statements_next_to_those_of_other_systems_run(recipes: SparkSession, tmp_path: Path) -> None:
    recipes.sql("DROP MODEL IF EXISTS recipes_shop.flowers")
    results = run_page(recipes, "coming-from.md", tmp_path)
    evaluated = results[1][0]
    assert evaluated["r2"] > 0.9  # type: ignore[index]


def test_statements_in_the_comparison_are_run() -> None:
    """Each statement or clause in a right-hand column is part of an SQL block, which the test above runs."""
    page = ROOT / "docs/coming-from.md"
    run = " ".join(" ".join(block for block, _ in examples(page)).split())
    cells = re.findall(r"^\| `.+ \| ([^|]+) \|$", page.read_text(), re.MULTILINE)
    assert len(cells) > 20
    left = [span for cell in cells for span in re.findall(r"`([^`]+)`", cell) if span not in run]
    assert not left, f"docs/coming-from.md: no SQL block runs {left}"


def test_the_glossary_has_one_sentence_per_word() -> None:
    rows = re.findall(r"^\| (?!word|---)(.+?) \| (.+) \|$", (ROOT / "docs/words.md").read_text(), re.MULTILINE)
    assert rows
    assert len({word for word, _ in rows}) == len(rows)
    assert all(". " not in meaning for _, meaning in rows), "one sentence each"
