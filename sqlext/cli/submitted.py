"""Waits for the trainings that were submitted with OPTIONS (async = true), since they end with the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sqlext.cli.interrupt import cancelling
from sqlext.cli.progress import showing
from sqlext.training.background import Submitted, take_submitted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def await_submitted(spark: SparkSession) -> bool:
    """Waits for the submitted runs and reports the outcome of each; returns False if one ended without a version.

    :raises KeyboardInterrupt: if Ctrl-C cancelled them.
    """
    runs = take_submitted()
    waiting = [run for run in runs if not run.ended.is_set()]
    if waiting:
        click.echo(f"waiting for {len(waiting)} submitted training{'s' if len(waiting) > 1 else ''}", err=True)
    with cancelling(spark):
        for run in runs:
            with showing(f"run {run.run_id} of {run.model}", spark):
                while not run.ended.wait(0.5):
                    pass
            click.echo(_sentence(run), err=True)
    return all(run.error is None for run in runs)


def _sentence(run: Submitted) -> str:
    if run.row is None:
        return f"run {run.run_id} of {run.model} ended without a version: {run.error}"
    return f"run {run.run_id} of {run.model}: version {run.row['version']} {run.row['status']}; {run.row['message']}"
