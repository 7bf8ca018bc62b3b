"""``sqlext sql``: runs statements from the command line, a file, a pipe or a prompt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO, TextIO

import click

from sqlext.cli.common import StatementFailed, command_session, run_all, session_options
from sqlext.cli.encoding import decoded, decoded_argument
from sqlext.cli.prompt import prompt
from sqlext.cli.statements import split

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@click.command("sql")
@click.option("-e", "texts", multiple=True, metavar="SQL", help="Statements to run; may be repeated.")
@click.option("-f", "file", type=click.File("rb"), help="A file of statements; '-' is standard input.")
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
    file: BinaryIO | None,
    form: str,
    warehouse: str | None,
    master: str | None,
    conf: tuple[str, ...],
) -> None:
    """Run SQL statements in order; without -e and -f, start a prompt.

    The first error ends the run with exit status 1 and one line that says what failed and where. Results go to standard
    output, progress and errors to standard error.
    """
    if texts and file is not None:
        raise click.UsageError("use either -e or -f, not both")
    from sqlext.cli.output import claim_stdout

    script = _script(texts, file)
    stream = claim_stdout()
    with command_session(warehouse, master, conf) as spark:
        try:
            _run(spark, script, form, stream)
        except BrokenPipeError:  # `sqlext sql .. | head`: the reader has closed the pipe
            # Otherwise Python would report the closed pipe once more when it exits.
            sys.stderr.close()
            sys.exit(0)


def _run(spark: SparkSession, script: str | None, form: str, stream: TextIO) -> None:
    """Runs the script or the prompt and, even if it fails, waits for the trainings that it started in the background."""
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


def _script(texts: tuple[str, ...], file: BinaryIO | None) -> str | None:
    """The statements to run; None: read standard input, as a prompt on a terminal and otherwise as a script."""
    if texts:
        return ";\n".join(map(decoded_argument, texts))
    if file is not None:
        return decoded(file.read(), "standard input" if file.name == "<stdin>" else file.name)
    return None
