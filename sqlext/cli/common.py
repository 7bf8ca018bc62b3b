"""What the commands share: their options, the session, and running statements one after another."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

import click

from sqlext.cli.errors import describe
from sqlext.cli.interrupt import cancelling
from sqlext.cli.statements import Statement

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sqlext.cli.html import Section
    from sqlext.cli.output import Result

F = TypeVar("F", bound=Callable[..., Any])
SHOWN_ROWS = 1000  # of a result for people


class StatementFailed(Exception):
    """A statement failed; ``lines`` is the text to print."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__(lines[0])


def session_options(command: F) -> F:
    """--warehouse, --master and --conf."""
    # click lists the option first that was added last.
    for option in (
        click.option("--conf", "conf", multiple=True, metavar="KEY=VALUE", help="A Spark setting; may be repeated."),
        click.option("--master", metavar="URL", help="Spark master; default: local[*], all cores of this machine."),
        click.option("--warehouse", metavar="DIR", help="Folder that stores tables and models between runs."),
    ):
        command = option(command)
    return command


def settings(conf: tuple[str, ...], option: str = "--conf") -> dict[str, str]:
    """``--conf key=value`` as a dictionary; an entry without '=' is a usage error of ``option``."""
    wrong = [entry for entry in conf if "=" not in entry]
    if wrong:
        raise click.BadParameter(f"'{wrong[0]}' is not of the form key=value", param_hint=option)
    return dict(entry.split("=", 1) for entry in conf)


def open_session(warehouse: str | None, master: str | None, conf: tuple[str, ...]) -> SparkSession:
    """Starts the command's session; if that fails, prints one line and exits with status 1."""
    from sqlext.cli.progress import showing

    # Also for a cluster's master: Spark's own progress bar would be drawn over ours.
    options = {"spark.ui.showConsoleProgress": "false"} | settings(conf)
    _log_to_file()
    try:
        with showing("starting Spark"):
            from sqlext.session import session

            return session(master=master, warehouse=warehouse, conf=options)
    except Exception as error:
        fail(describe(error).lines())


@contextmanager
def command_session(warehouse: str | None, master: str | None, conf: tuple[str, ...]) -> Iterator[SparkSession]:
    """The session of a command that runs statements: a failed statement or Ctrl-C ends the command; the session stops."""
    spark = open_session(warehouse, master, conf)
    try:
        yield spark
    except StatementFailed as failure:
        fail(failure.lines)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
    finally:
        with suppress(Exception):
            spark.stop()


def state_folder() -> Path:
    """The folder of the log and the prompt's history, by default ~/.local/state/sqlext."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "sqlext"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _log_to_file() -> None:
    """Sends tracebacks to a file, where the log id in an error finds them: SQL users see only one line."""
    handler = logging.FileHandler(state_folder() / "sqlext.log", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(process)d %(message)s"))
    logger = logging.getLogger("sqlext")
    logger.addHandler(handler)
    logger.propagate = False


def fail(lines: list[str]) -> NoReturn:
    """Prints the lines to standard error and exits with status 1."""
    for line in lines:
        click.echo(line, err=True)
    sys.exit(1)


def run(spark: SparkSession, statement: Statement, *, limit: int | None = None) -> Result:
    """Runs one statement.

    :param limit: fetch at most this many rows; None: fetch one partition at a time as the rows are read.
    :raises StatementFailed: with the lines to print.
    :raises KeyboardInterrupt: if Ctrl-C cancelled it.
    """
    from sqlext.cli.output import Result
    from sqlext.cli.progress import showing, title_of

    try:
        with cancelling(spark), showing(title_of(statement.text), spark):
            frame = spark.sql(statement.text)
            if not frame.columns:
                return Result(frame.schema, [])
            return Result(frame.schema, _streamed(frame) if limit is None else frame.limit(limit).collect())
    except Exception as error:
        raise _failed(error, statement) from None


def _failed(error: Exception, statement: Statement) -> StatementFailed:
    lines = describe(error).lines(statement.text, statement.line)
    return StatementFailed([*lines, f"  see {state_folder() / 'sqlext.log'}"] if "(log id " in lines[0] else lines)


def _streamed(frame: DataFrame) -> Any:
    """The rows, one partition at a time. The first row is fetched now, so that an error is raised before any output."""
    rows = iter(frame.toLocalIterator(prefetchPartitions=True))
    first = list(islice(rows, 1))
    return chain(first, rows)


def show(spark: SparkSession, statement: Statement, form: str, stream: TextIO) -> None:
    """Runs a statement and writes its result as ``form`` (table, json or csv)."""
    from sqlext.cli.output import WRITERS

    result, note = first_rows(spark, statement) if form == "table" else (run(spark, statement), "")
    if not result.columns:
        return
    try:
        WRITERS[form](result, stream)
    except BrokenPipeError:
        raise
    except Exception as error:  # a later partition of a streamed result
        raise _failed(error, statement) from None
    if note:
        click.echo(note, err=True)


def first_rows(spark: SparkSession, statement: Statement) -> tuple[Result, str]:
    """A result for people, and a note if it has more rows than are shown."""
    from sqlext.cli.output import Result

    result = run(spark, statement, limit=SHOWN_ROWS + 1)
    rows = list(result.rows)
    cut = f"only the first {SHOWN_ROWS:,} rows are shown; --format csv or json writes all of them"
    note = cut if len(rows) > SHOWN_ROWS else ""
    return Result(result.schema, rows[:SHOWN_ROWS]), note


def run_all(spark: SparkSession, statements: Iterable[Statement], form: str, stream: TextIO) -> None:
    """Runs the statements and writes their results; html collects them into one page."""
    if form != "html":
        for statement in statements:
            show(spark, statement, form, stream)
        return
    from sqlext.cli.html import page, section

    sections: list[Section] = []
    try:
        for statement in statements:
            result, note = first_rows(spark, statement)
            if result.columns:
                sections.append(section(result, statement.text, note=note))
    finally:
        # Also after an error: the page shows the results before it.
        stream.write(page("sqlext sql", sections))
