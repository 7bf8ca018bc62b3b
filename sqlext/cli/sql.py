"""``sqlext sql``: statements from the command line, from a file, from a pipe or typed at a prompt."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, TextIO

import click

from sqlext.cli.common import StatementFailed, fail, open_session, run_all, session_options
from sqlext.cli.prompt import prompt
from sqlext.cli.statements import split

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@click.command("sql")
@click.option("-e", "texts", multiple=True, metavar="SQL", help="Statements to run; may be repeated.")
@click.option("-f", "file", type=click.File(encoding="utf-8"), help="A file of statements; '-' is standard input.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv", "html"]),
    default="table",
    show_default=True,
    help="json: one object per row, one line each; html: a page with images as thumbnails.",
)
@session_options
def command(
    texts: tuple[str, ...],
    file: TextIO | None,
    form: str,
    warehouse: str | None,
    master: str | None,
    conf: tuple[str, ...],
) -> None:
    """Run SQL statements in order; without -e and -f, start a prompt.

    The first error ends the run: one line says what and where, the exit status is 1. Results go to standard output,
    progress and errors to standard error.
    """
    if texts and file is not None:
        raise click.UsageError("give -e or -f, not both")
    from sqlext.cli.output import claim_stdout

    script = _script(texts, file)
    stream = claim_stdout()
    spark = open_session(warehouse, master, conf)
    try:
        _run(spark, script, form, stream)
    except StatementFailed as failure:
        fail(failure.lines)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # `sqlext sql .. | head`: the reader has enough
        sys.stderr.close()
        sys.exit(0)
    finally:
        with contextlib.suppress(Exception):
            spark.stop()


def _run(spark: SparkSession, script: str | None, form: str, stream: TextIO) -> None:
    """The script or the prompt, and then the trainings that it left in the background, also where it failed."""
    from sqlext.cli.submitted import await_submitted

    try:
        if script is None:
            prompt(spark, form, stream)
        else:
            run_all(spark, split(script), form, stream)
    except StatementFailed:
        await_submitted(spark)
        raise
    if not await_submitted(spark):
        sys.exit(1)


def _script(texts: tuple[str, ...], file: TextIO | None) -> str | None:
    """The statements to run; None: a prompt on a terminal. Without a terminal, standard input is a script."""
    if texts:
        return ";\n".join(texts)
    if file is not None:
        return file.read()
    return None
