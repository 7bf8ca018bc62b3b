"""The prompt of ``sqlext sql``: multi-line statements and history on a terminal, or statements from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import click

from sqlext.cli.common import StatementFailed, run_all, state_folder
from sqlext.cli.encoding import decoded
from sqlext.cli.statements import complete, split

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyPressEvent
    from pyspark.sql import SparkSession

LEAVE = {"quit", "exit", "\\q"}


def prompt(spark: SparkSession, form: str, stream: TextIO) -> None:
    """Runs statements from standard input until ``quit`` or the end of input.

    :raises StatementFailed: only without a terminal: an error ends a piped script, but not a prompt.
    """
    interactive = sys.stdin.isatty()
    for text in _typed() if interactive else _piped(sys.stdin.buffer):
        try:
            run_all(spark, split(text), form, stream)
        except StatementFailed as failure:
            if not interactive:
                raise
            for line in failure.lines:
                click.echo(line, err=True)
        except KeyboardInterrupt:
            if not interactive:
                raise
            click.echo("interrupted", err=True)


def leaves(text: str) -> bool:
    """Whether the text is a word that leaves the prompt."""
    return text.strip().rstrip(";").strip().lower() in LEAVE


def _piped(source: BinaryIO) -> Iterator[str]:
    """Yields each statement as soon as it is complete, so that a program can wait for a result before it writes more."""
    text = ""
    for number, line in enumerate(source, 1):
        text += decoded(line, "standard input", number)
        if leaves(text):
            return
        if complete(text):
            yield text
            text = ""
    yield text


def _typed() -> Iterator[str]:
    session = _prompt_session()
    click.echo("End each statement with ';'. Type quit or press Ctrl-D to leave.", err=True)
    while True:
        try:
            text = session.prompt("sqlext> ")
        except KeyboardInterrupt:  # discards the text typed so far
            continue
        except EOFError:
            return
        if leaves(text):
            return
        yield text


def _prompt_session() -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.lexers import PygmentsLexer
    from prompt_toolkit.output import create_output
    from pygments.lexers.sql import SqlLexer  # type: ignore[import-untyped]

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if complete(buffer.text) or leaves(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    options: dict[str, Any] = {"history": FileHistory(str(_history())), "lexer": PygmentsLexer(SqlLexer)}
    # Standard output is reserved for results, so the prompt is drawn on standard error.
    return PromptSession(
        multiline=True, key_bindings=keys, prompt_continuation="   ... ", output=create_output(sys.stderr), **options
    )


def _history() -> Path:
    """The history file, readable only by its owner because statements can contain secrets."""
    file = state_folder() / "history"
    file.touch(mode=0o600)
    return file
