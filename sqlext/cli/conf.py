"""``sqlext conf``: the lines for spark-defaults.conf with which a stock Spark loads the extension."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command("conf")
@click.option(
    "--spark-home",
    envvar="SPARK_HOME",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the Spark installation; default: SPARK_HOME, otherwise the PySpark of this Python.",
)
@click.option("--master", default="spark://", metavar="URL", help="Spark master, if the lines are for only one.")
def command(spark_home: Path | None, master: str) -> None:
    """Print the lines for spark-defaults.conf.

    With these lines spark-sql, HiveThriftServer2 and spark-submit load the extension. The hosts of the driver and of the
    executors need this Python environment at the same path.
    """
    from sqlext.spark.conf import stock_defaults

    if spark_home is not None:
        os.environ["SPARK_HOME"] = str(spark_home)
    for key, value in stock_defaults(master).items():
        click.echo(f"{key} {value}")
