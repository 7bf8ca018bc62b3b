"""``sqlext demo``: the main workflow from images to predictions, where each step is one SQL statement with its result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from sqlext.cli.common import command_session, fail, run, session_options
from sqlext.cli.statements import Statement
from sqlext.text import string_literal

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sqlext.cli.html import Card, Section
    from sqlext.cli.output import Result

PARTS = ("train", "val")
SHOWN = 200  # pictures on the page


@dataclass(frozen=True)
class Job:
    """What the demo works with: a folder of images, a network file and the names of the models."""

    images: Path
    network: str
    backbone: str
    model: str = "demo.classifier"

    def source(self, part: str) -> str:
        """The files of one part as a table of Spark's binaryFile source; characters that mean a pattern are escaped."""
        path = "".join("\\" + c if c in "*?[]{}\\," else c for c in str(self.images.absolute()))
        return f"binaryFile.`file:{path.replace('`', '``')}/{part}/*`"


@click.command("demo")
@click.option(
    "--images",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder with train/ and val/, each with one folder per class.",
)
@click.option(
    "--backbone",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="An ONNX network; default: the small one in the package.",
)
@click.option("--output", metavar="DIR", default="demo-output", show_default=True, type=click.Path(path_type=Path))
@session_options
def command(
    images: Path | None,
    backbone: Path | None,
    output: Path,
    warehouse: str | None,
    master: str | None,
    conf: tuple[str, ...],
) -> None:
    """Train a model on drawn flowers, or on your own labelled pictures, and use it, all in SQL.

    Prints every statement with its result, and writes a page that shows the test pictures with the model's predictions.
    """
    _check(images, backbone)
    from sqlext.cli.output import claim_stdout

    stream = claim_stdout()
    output.mkdir(parents=True, exist_ok=True)
    job = Job(images or _flowers(output, stream), _network(backbone), "models.own" if backbone else "models.small")
    with command_session(warehouse or str(output / "warehouse"), master, conf) as spark:
        accuracy, page = Demo(spark, stream).play(job, output)
    stream.write(f"held-out accuracy: {accuracy:.2f}\npicture: {page}\n")


def _check(images: Path | None, backbone: Path | None) -> None:
    """Reports missing files and folders before Spark starts."""
    if backbone is not None and not backbone.is_file():
        fail([f"error: --backbone {backbone}: no such file"])
    for part in PARTS if images is not None else ():
        folder = Path(images or "") / part
        classes = [entry for entry in folder.iterdir() if entry.is_dir()] if folder.is_dir() else []
        if len(classes) < 2:
            found = f"holds {len(classes)} folders" if folder.is_dir() else "is not a folder"
            fail([f"error: --images: {folder} {found}; it must hold one folder of pictures per class, at least two"])


def _flowers(output: Path, stream: TextIO) -> Path:
    """Draws the demo's pictures."""
    from sqlext.cli.demo_images import SPECIES, write_flowers

    count = write_flowers(output / "images")
    stream.write(f"drew {count} pictures of {len(SPECIES)} kinds of flowers in {output / 'images'}\n\n")
    return output / "images"


def _network(backbone: Path | None) -> str:
    return "sqlext:small" if backbone is None else f"file:{backbone.absolute()}"


@dataclass
class Demo:
    """Runs statements one by one, prints their results and collects them for the page."""

    spark: SparkSession
    stream: TextIO
    sections: list[Section] = field(default_factory=list)

    def play(self, job: Job, output: Path) -> tuple[float, Path]:
        """Runs the whole job.

        :return: accuracy on the held-out pictures, and the page that was written.
        """
        for sql in preparation(job):
            self.say(sql)
        trained = self.say(training(job))
        version = next(iter(trained.rows)).version
        self.say(f"EVALUATE MODEL {job.model} FROM demo.val")
        for sql in uses(job, version):
            self.say(sql)
        accuracy = self.say(accuracy_query(job))
        page = output / "predictions.html"
        page.write_text(self._page(job), encoding="utf-8")
        return next(iter(accuracy.rows)).accuracy, page.absolute()

    def say(self, sql: str) -> Result:
        """Prints a statement, runs it and prints its result."""
        from sqlext.cli.html import section
        from sqlext.cli.output import write_table

        self.stream.write(f"{sql};\n")
        result = run(self.spark, Statement(sql, 1), limit=1000)
        if result.columns:
            write_table(result, self.stream)
        self.stream.write("\n")
        self.sections.append(section(result, sql))
        return result

    def _page(self, job: Job) -> str:
        from sqlext.cli.html import Section, page

        sql = page_query(job)
        self.stream.write(f"{sql};\n-- the pictures of the page\n\n")
        cards = list(_cards(run(self.spark, Statement(sql, 1), limit=SHOWN).rows))
        wrong = sum(card.wrong for card in cards)
        title = f"{len(cards)} held-out pictures, {wrong} of them misclassified (marked red)"
        return page(f"Predictions of {job.model}", [Section(title, sql, cards=cards), *self.sections])


def _cards(rows: Iterable[Any]) -> Iterable[Card]:
    from sqlext.cli.html import Card, cell

    for row in rows:
        if row.predicted is None:
            yield Card(cell(row.image), f"{row.label}: no prediction", wrong=True)
            continue
        wrong = row.predicted != row.label
        caption = f"{row.predicted} {row.score:.0%}" + (f", but it is {row.label}" if wrong else "")
        yield Card(cell(row.image), caption, wrong)


def preparation(job: Job) -> list[str]:
    """Loads the images into Hive tables and the network into the catalog.

    A second run in the same warehouse replaces the tables.
    """
    statements = ["CREATE DATABASE IF NOT EXISTS demo", "CREATE DATABASE IF NOT EXISTS models"]
    for part in PARTS:
        statements.append(f"DROP TABLE IF EXISTS demo.{part}")
        statements.append(
            f"CREATE TABLE demo.{part} STORED AS PARQUET AS\n"
            f"SELECT content AS image, element_at(split(path, '/'), -2) AS label FROM {job.source(part)}"
        )
    return [
        *statements,
        "SELECT label, count(*) AS pictures, first(image) AS one_of_them FROM demo.train GROUP BY label ORDER BY label",
        f"IMPORT MODEL {job.backbone} FROM {string_literal(job.network)} FORMAT ONNX",
    ]


def training(job: Job) -> str:
    return (
        f"TRAIN MODEL {job.model} FROM demo.train FEATURES (image) LABEL label\n"
        f"BACKBONE {job.backbone} VALIDATE FROM demo.val"
    )


# Only fixed names and an escaped path are put into the statements, so there is no way for SQL injection.
def uses(job: Job, version: int) -> list[str]:
    """Shows predictions, embeddings and a similarity search, the model as a table, and the list of models."""
    return [
        f"SELECT label, classify('{job.model}', image) AS predicted,\n"
        f"  round(classify_score('{job.model}', image), 3) AS score, image\n"
        "FROM demo.val ORDER BY xxhash64(image) LIMIT 8",
        "DROP TABLE IF EXISTS demo.embeddings",
        "CREATE TABLE demo.embeddings STORED AS PARQUET AS\n"
        f"SELECT xxhash64(image) AS id, label, embed('{job.backbone}', image) AS features FROM demo.val",
        "SELECT label, features FROM demo.embeddings ORDER BY id LIMIT 2",
        "SELECT a.label AS looked_for, b.label AS found,\n"
        "  round(cosine_similarity(a.features, b.features), 4) AS similarity\n"
        "FROM demo.embeddings a JOIN demo.embeddings b ON a.id <> b.id\n"
        "WHERE a.id = (SELECT min(id) FROM demo.embeddings) ORDER BY similarity DESC LIMIT 5",
        f"SELECT epoch, round(loss, 4) AS loss, round(val_loss, 4) AS val_loss FROM {job.model}\n"
        f"WHERE version = {version} ORDER BY epoch",
        "SHOW MODELS IN demo",
    ]


def accuracy_query(job: Job) -> str:
    return f"SELECT avg(if(classify('{job.model}', image) = label, 1, 0)) AS accuracy FROM demo.val"


def page_query(job: Job) -> str:
    return (
        "SELECT image, label, p.label AS predicted, p.score\n"
        f"FROM (SELECT image, label, predict('{job.model}', image) AS p FROM demo.val)\n"
        f"ORDER BY label, predicted, score DESC LIMIT {SHOWN}"
    )
