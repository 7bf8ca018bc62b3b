"""The command line: ``sqlext sql``, ``serve``, ``conf``, ``demo`` and ``doctor``.

Each command is in the module with its name and is imported when it is called, so that ``sqlext --help`` is instant.
"""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "sql": "Run SQL statements, or start a prompt.",
    "serve": "Start a Thrift server for JDBC clients, beeline and BI tools.",
    "conf": "Print the settings with which a stock Spark loads the extension.",
    "demo": "Train and use a model on drawn flowers, or on your own pictures.",
    "doctor": "Show what is installed, what is missing and how to get it.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"sqlext.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bigdl-sqlext", prog_name="sqlext")
def main() -> None:
    """Deep learning on the images in Hive tables, using only SQL."""
