"""Every statement, function, format, option, column and setting is listed, documented and tested.

Each message says which step of CONTRIBUTING.md was forgotten. These tests need no Spark.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlext.bigdl.operators import OPERATORS
from sqlext.errors import ERROR_CLASSES, RAISED_BY_JVM
from sqlext.grammar.options import Option
from sqlext.images.preprocessing import ACCEPTED
from sqlext.networks.bigdl_layers import LAYERS
from sqlext.server import VIEWS
from sqlext.settings import SETTINGS
from sqlext.statements import STATEMENTS, export_model, import_model, train_model
from sqlext.statements.base import Statement
from sqlext.transfer.formats import FORMATS
from sqlext.transfer.formats.base import FOLDER, format_of
from sqlext.udfs import FUNCTIONS, TABLE_FUNCTIONS, comments_of
from sqlext.udfs.base import SqlFunction, TableFunction

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HEAVY = ("numpy", "pandas", "onnx", "onnxruntime", "openvino", "PIL", "sklearn", "bigdl", "pyarrow")
SELF = ("test_layout.py", "test_docs.py")  # not tests of the statements and functions that they name
NO_STATEMENTS = {"__init__", "base"}
NO_FUNCTIONS = {"__init__", "base"}
NO_FORMATS = {"__init__", "base", "listing"}


def module(thing: object) -> str:
    """Returns the file name, without .py, of a statement's or function's class."""
    kind = thing if isinstance(thing, type) else type(thing)
    return kind.__module__.rpartition(".")[2]


def tables(page: Path) -> Iterator[tuple[tuple[str, ...], list[list[str]]]]:
    """Yields (header, rows) of each Markdown table of a page, with stripped cells; an escaped bar belongs to its cell."""
    block: list[list[str]] = []
    for line in [*page.read_text().splitlines(), ""]:
        if line.startswith("|"):
            block.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif block:
            yield tuple(block[0]), block[2:]
            block = []


def table(page: Path, *header: str) -> list[list[str]]:
    found = [rows for head, rows in tables(page) if head[: len(header)] == header]
    assert len(found) == 1, (
        f"{page.relative_to(ROOT)} needs one table that starts with the columns {', '.join(header)}; it has {len(found)}"
    )
    return found[0]


def all_tests() -> str:
    return "\n".join(p.read_text() for p in (ROOT / "tests").rglob("*.py") if p.name not in SELF)


def ids(thing: object) -> str:
    return module(thing)


# --- lists ----------------------------------------------------------------------------------------------------------


def test_every_file_is_listed() -> None:
    for folder, listed, exempt, where in (
        ("sqlext/statements", STATEMENTS, NO_STATEMENTS, "STATEMENTS in sqlext/statements/__init__.py"),
        ("udfs", (*FUNCTIONS, *TABLE_FUNCTIONS), NO_FUNCTIONS, "FUNCTIONS in udfs/__init__.py"),
    ):
        files = {p.stem for p in (ROOT / folder).glob("*.py") if not p.stem.startswith("_")} - exempt
        known = {module(thing) for thing in listed}
        assert files == known, (
            f"{folder}: add {sorted(files - known)} to {where}, or remove {sorted(known - files)} from it"
        )


@pytest.mark.parametrize("thing", [*STATEMENTS, *FUNCTIONS, *TABLE_FUNCTIONS], ids=ids)
def test_has_a_page_a_readme_row_and_a_test(thing: type[Statement] | SqlFunction | TableFunction) -> None:
    if isinstance(thing, SqlFunction | TableFunction):
        name, page, used = thing.name, DOCS / "functions" / f"{module(thing)}.md", rf"\b{thing.name}\("
        assert module(thing) == name, f"udfs/{module(thing)}.py defines {name}: name the file after the function"
    else:
        name, page, used = thing.NAME, DOCS / "statements" / f"{module(thing)}.md", thing.NAME
        assert name.lower().replace(" ", "_") == module(thing), (
            f"{name} is in {module(thing)}.py: name the file after the statement"
        )
    assert page.is_file(), f"write {page.relative_to(ROOT)}"
    link = f"[{name}]({page.relative_to(ROOT)})"
    assert link in (ROOT / "README.md").read_text(), f"add a row with {link} to README's table"
    assert re.search(used, all_tests()), f"no test uses {name}: add one to tests/core"


def test_every_format_is_listed() -> None:
    files = {p.stem for p in (ROOT / "sqlext/transfer/formats").glob("*.py")} - NO_FORMATS
    known = {name.lower() for name in (*FORMATS, FOLDER)}
    assert files == known, (
        f"add {sorted(files - known)} to FORMATS in sqlext/transfer/formats/__init__.py, or write {sorted(known - files)} there"
    )


def statements_of(name: str) -> list[str]:
    """Returns which of IMPORT and EXPORT have this format; sqlext/transfer/import_folder.py reads the folder."""
    module = format_of(name)
    readable = name == FOLDER or hasattr(module, "open_graph")
    return ["IMPORT"] * readable + ["EXPORT"] * hasattr(module, "stage")


@pytest.mark.parametrize("name", [*FORMATS, FOLDER])
def test_a_format_has_a_page_and_a_test(name: str) -> None:
    page = DOCS / "formats" / f"{name.lower()}.md"
    assert page.is_file(), f"write {page.relative_to(ROOT)}"
    titles = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    missing = {"The files", *statements_of(name), "Limits and errors", "Engines"} - {*titles}
    assert not missing, f"{page.relative_to(ROOT)}: write about {sorted(missing)}, each with a heading"
    used = "EXPORT MODEL" if name == FOLDER else f"FORMAT {name}"
    assert used in all_tests(), f"no test uses {used}: add one to tests/core"


@pytest.mark.parametrize("name", [*FORMATS, FOLDER])
def test_tables_link_to_the_page_of_a_format(name: str) -> None:
    target = f"formats/{name.lower()}.md"
    links = {"README.md": f"docs/{target}"}
    links |= {f"docs/statements/{verb.lower()}_model.md": f"../{target}" for verb in statements_of(name)}
    for file, link in links.items():
        row = rf"^\| \[{name}\]\({re.escape(link)}[)#]"
        assert re.search(row, (ROOT / file).read_text(), re.MULTILINE), (
            f"add a row with [{name}]({link}) to the table of formats in {file}"
        )


def test_no_page_is_left_over() -> None:
    for folder, listed in (
        ("statements", map(module, STATEMENTS)),
        ("functions", map(module, (*FUNCTIONS, *TABLE_FUNCTIONS))),
        ("formats", map(str.lower, (*FORMATS, FOLDER))),
    ):
        pages = {p.stem for p in (DOCS / folder).glob("*.md")}
        left = pages - {*listed}
        assert not left, f"docs/{folder}: remove {sorted(left)}, which describe nothing that is listed"


# --- pages against code ---------------------------------------------------------------------------------------------


def accepted(option: Option) -> str:
    """Returns what the option takes, in the words of the code."""
    if option.name in ACCEPTED and option in import_model.OPTIONS:
        return ACCEPTED[option.name]
    try:
        option.read(object())
    except ValueError as error:
        return str(error)
    return "text"


@pytest.mark.parametrize(
    "statement", [train_model, import_model, export_model], ids=lambda m: m.__name__.rpartition(".")[2]
)
def test_options_equal_the_code(statement: object) -> None:
    name = statement.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
    options: tuple[Option, ...] = statement.OPTIONS  # type: ignore[attr-defined]
    page = DOCS / "statements" / f"{name}.md"
    rows = table(page, "option", "takes", "default", "meaning")
    assert [row[0] for row in rows] == [o.name for o in options], (
        f"the option table of {page.name} lists other options than OPTIONS in {name}.py"
    )
    for row, option in zip(rows, options, strict=True):
        assert row[1] == accepted(option), f"{page.name}: {option.name} takes: {accepted(option)}"
        default = "" if option.default is None else str(option.default)
        default = default.lower() if isinstance(option.default, bool) else default
        assert row[2] and row[2].startswith(default), (
            f"{page.name}: say what the default of {option.name} is{default and f', {default}'}"
        )
        assert row[3], f"{page.name}: say what {option.name} means"


@pytest.mark.parametrize("statement", STATEMENTS, ids=ids)
def test_result_columns_equal_the_code(statement: type[Statement]) -> None:
    page = DOCS / "statements" / f"{module(statement)}.md"
    rows = table(page, "column", "type", "meaning")
    documented = [(row[0], row[1]) for row in rows]
    assert documented == list(statement.OUTPUT.items()), (
        f"the result table of {page.name} differs from {statement.__name__}.OUTPUT"
    )
    assert all(row[2] for row in rows), f"{page.name}: say what each column means"
    assert statement.HEADS[0][0] in page.read_text(), f"{page.name} shows no syntax"


def test_every_column_of_a_view_has_a_comment() -> None:
    for function in VIEWS.values():
        assert "COMMENT ''" not in comments_of(function)
        shown = next(f for f in TABLE_FUNCTIONS if f.name == function)
        assert list(shown.comments) == list(shown.OUTPUT), f"{function}: COMMENTS and OUTPUT have other columns"


@pytest.mark.parametrize("function", FUNCTIONS, ids=ids)
def test_signature_and_return_type_equal_the_code(function: SqlFunction) -> None:
    page = DOCS / "functions" / f"{module(function)}.md"
    text = page.read_text()
    assert f"```text\n{function.signature}\n```" in text, f"{page.name}: show the signature {function.signature}"
    returns = re.match(r"([A-Z]\w*(?:<.*?>)?)[:; ]", function.__doc__ or "")
    assert returns, f"the docstring of {type(function).__name__} starts with the return type"
    assert f"Returns **{returns[1]}**" in text, f"{page.name}: write 'Returns **{returns[1]}**'"
    assert "NULL" in text or "errors are those of" in text.lower(), f"{page.name}: say what NULL gives"
    assert "```sql" in text, f"{page.name}: give an example"


@pytest.mark.parametrize("function", TABLE_FUNCTIONS, ids=ids)
def test_columns_of_table_functions_equal_the_code(function: TableFunction) -> None:
    page = DOCS / "functions" / f"{module(function)}.md"
    text = page.read_text()
    assert f"```text\n{function.signature}\n```" in text, f"{page.name}: show the signature {function.signature}"
    same = [s for s in STATEMENTS if s.OUTPUT is function.OUTPUT]
    if same:
        assert f"../statements/{module(same[0])}.md" in text, (
            f"{page.name}: say that its columns are those of {same[0].NAME}"
        )
    else:
        documented = [(row[0], row[1]) for row in table(page, "column", "type", "meaning")]
        assert documented == list(function.OUTPUT.items()), f"the table of {page.name} differs from OUTPUT"


def test_settings_equal_the_code() -> None:
    rows = table(DOCS / "settings.md", "setting", "type", "default", "static", "meaning")
    documented = [tuple(row[:4]) for row in rows]
    declared = [(s.key, s.type, s.default or "not set", "yes" if s.static else "no") for s in SETTINGS]
    assert documented == declared, "docs/settings.md differs from SETTINGS in sqlext/settings.py"


def test_operators_equal_the_code() -> None:
    documented = [row[0] for row in table(DOCS / "operators.md", "operator", "limits")]
    assert documented == sorted(OPERATORS), "docs/operators.md differs from OPERATORS in sqlext/bigdl/operators.py"


def test_layers_equal_the_code() -> None:
    text = (DOCS / "formats/bigdl.md").read_text()
    [listed] = re.findall(r"The supported layers are\n\n(.+?)\n\n", text, re.DOTALL)
    assert re.split(r",\s", listed) == sorted(LAYERS), "docs/formats/bigdl.md differs from LAYERS in bigdl_layers.py"


def test_the_jvm_raises_what_errors_py_lists() -> None:
    sources = "\n".join(p.read_text() for p in (ROOT / "sqlext" / "jvm" / "src").glob("*.scala"))
    named = set(re.findall(r'"(?!PYSPARK_)([A-Z]+(?:_[A-Z]+)+)"', sources))  # those are environment variables
    assert named == set(RAISED_BY_JVM), "list the error classes of the Scala files in RAISED_BY_JVM of sqlext/errors.py"
    assert named <= set(ERROR_CLASSES)
    states = {state for state, _ in ERROR_CLASSES.values()}
    assert not [state for state in states if f'"{state}"' in sources], "write SQLSTATEs only in sqlext/errors.py"


# --- imports --------------------------------------------------------------------------------------------------------


def test_folders_are_imported_by_their_mounted_names() -> None:
    unmounted = re.compile(r"^\s*(?:from|import)\s+(?:udfs|catalog)\b", re.MULTILINE)
    folders = ("sqlext", "udfs", "catalog", "tests", "examples", "benchmarks", "tools")
    found = [p for f in folders for p in (ROOT / f).rglob("*.py") if unmounted.search(p.read_text())]
    assert not found, f"write sqlext.udfs and sqlext.catalog in {[str(p.relative_to(ROOT)) for p in found]}"


def test_what_the_build_imports_is_light() -> None:
    blocker = f"""
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY!r}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocker())
import sqlext.jvm.language
sqlext.jvm.language.language()
"""
    done = subprocess.run([sys.executable, "-c", blocker], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        "sqlext.statements, sqlext.udfs and sqlext.settings are imported while the package is built: import heavy libraries "
        f"inside functions there. {done.stderr.strip()[-400:]}"
    )
