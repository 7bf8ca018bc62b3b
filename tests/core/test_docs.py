"""The pages of docs/: their SQL parses and runs, their links have targets, and the errors that they name exist."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sqlext.cli.statements import split
from sqlext.errors import ERROR_CLASSES, SqlExtError
from sqlext.statements import STATEMENTS, parse_statement
from sqlext.udfs import FUNCTIONS, TABLE_FUNCTIONS
from tests.support.pages import FENCE, PAGES, ROOT, blocks, examples, names
from tests.support.printed import differences

HEADS = {head for statement in STATEMENTS for head in statement.HEADS}
EXPORTS = tempfile.TemporaryDirectory(prefix="sqlext-docs-")  # for the files that the pages export
NO_ERRORS = re.compile(
    r"SQLEXT_DATA|PYSPARK_PYTHON|JAVA_HOME|XDG_\w+|IMAGENET\w+|CV_8UC3|NOT_FOUND|FORMAT_VERSION"
)  # variables, formats, a status, a constant


def is_ours(sql: str) -> bool:
    words = tuple(re.sub(r"--.*", "", sql).upper().split()[:4])
    return any(words[: len(head)] == head for head in HEADS)


# --- without running --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_links_have_targets(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{names(page)} links to {target}, which does not exist"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{names(page)} links to {target}, but {file.name} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_errors_exist(page: Path) -> None:
    for name in re.findall(r"`([A-Z]+(?:_[A-Z0-9]+)+)`", page.read_text()):
        known = name in ERROR_CLASSES or NO_ERRORS.fullmatch(name)
        assert known, f"{names(page)} names the error {name}, which does not exist"


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_python_blocks_compile_and_prose_is_plain(page: Path) -> None:
    for block in blocks(page, "python"):
        ast.parse(block)
    prose = FENCE.sub("", page.read_text())
    word = re.search(r"\b(simply|just|obviously|easily)\b", prose, re.IGNORECASE)
    assert word is None, f"{names(page)}: leave out '{word and word[0]}'"
    place = re.search(r"(?<![\w/:.])/(home|root|work|tmp|Users)/", page.read_text())
    assert place is None, f"{names(page)} names a folder that only one machine has: {place and place[0]}"


@pytest.mark.parametrize("page", [p for p in PAGES if "```sql" in p.read_text()], ids=names)
def test_our_statements_parse(page: Path) -> None:
    for block in blocks(page, "sql"):
        for statement in split(block):
            if is_ours(statement.text):
                try:
                    parse_statement(statement.text)
                except SqlExtError as error:
                    pytest.fail(f"{names(page)}: {error}\n{statement.text}")


def test_the_examples_of_the_functions_name_known_functions() -> None:
    known = (
        {f.name for f in (*FUNCTIONS, *TABLE_FUNCTIONS)}
        | {f"sqlext_{f.name}" for f in FUNCTIONS}
        | {"sqlext_bigdl_forward"}
    )
    for page in PAGES:
        for name in re.findall(r"\b(sqlext_\w+)\(", page.read_text()):
            assert name in known, f"{names(page)} names {name}(), which does not exist"


REFERENCE = [
    *sorted(p for folder in ("statements", "functions", "formats") for p in (ROOT / "docs" / folder).glob("*.md")),
    ROOT / "docs/explain_train.md",
]
NOT_COMPARED: dict[str, str] = {}  # pages none of whose results can be compared, and why


@pytest.mark.parametrize("page", REFERENCE, ids=names)
def test_a_page_prints_a_result_that_is_compared(page: Path) -> None:
    if page.stem in NOT_COMPARED:
        return
    cells = [
        cell.strip()
        for _, printed in examples(page)
        if printed
        for line in printed.splitlines()[1:]
        for cell in line.split("│")
    ]
    assert any(cell and ".." not in cell for cell in cells), (
        f"{names(page)}: print a result of an example, with <!-- result --> above it (CONTRIBUTING, Tests)"
    )


@pytest.mark.parametrize("page", REFERENCE, ids=names)
def test_text_after_an_example_is_compared(page: Path) -> None:
    fences = list(FENCE.finditer(page.read_text()))
    for example, following in itertools.pairwise(fences):
        if (example["kind"], example["mark"], following["kind"]) == ("sql", None, "text"):
            assert following["mark"] == "result", f"{names(page)}: put <!-- result --> above\n{following['text']}"


# --- running ----------------------------------------------------------------------------------------------------------


def here(sql: str, run_id: str = "") -> str:
    """Returns the page's SQL with the databases of this module, and the package's network in place of a reader's file.

    :param run_id: replaces the id of a run on the page.
    """
    sql = re.sub(r"\b(shop|models)\.(?=\w)", r"docs_\1.", sql)
    sql = re.sub(r"(\bIN |namespace = ')shop\b", r"\1docs_shop", sql)
    sql = re.sub(r"'[0-9a-f]{12}'", f"'{run_id}'", sql)
    sql = sql.replace("file:/data/exports", f"file:{EXPORTS.name}")
    return re.sub(r"'file:/data/models/[^']*\.onnx'", "'sqlext:small'", sql)


@pytest.fixture(scope="module")
def world(spark: SparkSession, shop: str) -> Iterator[SparkSession]:
    """Databases docs_shop, with the pictures that the pages use, and docs_models."""
    for statement in (
        "CREATE DATABASE docs_shop",
        "CREATE DATABASE docs_models",
        f"CREATE VIEW docs_shop.flower_images AS SELECT id AS file, image, species FROM {shop}.images",
        f"CREATE VIEW docs_shop.flower_holdout AS SELECT id AS file, image, species FROM {shop}.holdout",
        "SET spark.sqlext.resnet = docs_models.resnet50",
    ):
        spark.sql(statement)
    yield spark
    spark.sql("RESET spark.sqlext.resnet")
    spark.sql("DROP DATABASE docs_shop CASCADE")
    spark.sql("DROP DATABASE docs_models CASCADE")
    spark.sql("DROP DATABASE IF EXISTS sqlext CASCADE")  # docs/administration.md creates it


def run_page(spark: SparkSession, page: Path) -> None:
    """Runs the examples and compares their results with those on the page (tests/support/printed.py).

    A run_id on the page stands for that of the last result that had one. Waits for a training in the background.
    """
    run_id = submitted = ""
    for block, printed in examples(page):
        for statement in split(block):
            try:
                result = spark.sql(here(statement.text, run_id))
                rows = result.collect()
            except Exception as error:
                pytest.fail(f"{names(page)}: {str(error)[:500]}\n{statement.text}")
            if rows and "run_id" in result.columns:
                run_id = rows[0].run_id
                submitted = run_id if rows[0].asDict().get("status") == "SUBMITTED" else submitted
        if printed is not None:
            wrong = differences(printed, result.columns, rows)
            assert not wrong, f"{names(page)}: {'; '.join(wrong)}\n{block}"
    if submitted:
        wait_for(spark, submitted)


def wait_for(spark: SparkSession, run_id: str) -> None:
    """Waits until the run has ended."""
    for _ in range(240):
        run = spark.sql(f"SELECT status FROM sqlext_training_runs() WHERE run_id = '{run_id}'").first()
        if run and run.status not in ("QUEUED", "RUNNING"):
            return
        time.sleep(0.5)
    pytest.fail(f"run {run_id} did not end")


ORDERED = [page for folder in ("statements", "formats") for page in (ROOT / "docs" / folder).glob("*.md")]
# The pages of IMPORT and TRAIN create what the others use. The page of DROP, which removes some of it, runs last.
ORDER = [
    "import_model",
    "train_model",
    "create_model",
    "evaluate_model",
    "show_models",
    "show_model_versions",
    "show_create_model",
    "show_training_history",
    "cancel_training",
    "show_training_runs",
    "export_model",
    "folder",
    "onnx",
    "bigdl",
    "describe_model",
    "alter_model",
    "comment_on_model",
    "purge_models",
]


@pytest.mark.parametrize("name", ORDER)
def test_examples_run(world: SparkSession, name: str) -> None:
    [page] = [page for page in ORDERED if page.stem == name]
    run_page(world, page)


FURTHER = [
    *sorted((ROOT / "docs/functions").glob("*.md")),
    *(ROOT / "docs" / f"{name}.md" for name in ("scoring", "explain_train", "administration", "backbones")),
]


@pytest.mark.parametrize("page", FURTHER, ids=names)
def test_further_examples_run(world: SparkSession, page: Path) -> None:
    run_page(world, page)


def test_examples_of_drop_run(world: SparkSession) -> None:
    run_page(world, ROOT / "docs/statements/drop_model.md")
    assert world.sql("SHOW MODELS IN docs_shop LIKE 'flowers'").first().versions == 1


def test_every_page_of_a_statement_or_format_is_run() -> None:
    pages = sorted(page.stem for page in ORDERED)
    assert pages == sorted([*ORDER, "drop_model"]), "add the new page to ORDER, so that its examples run"


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=names)
def test_examples_compile(script: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "py_compile", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
