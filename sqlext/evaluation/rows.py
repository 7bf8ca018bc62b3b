"""Predictions for rows with known answers: recorded by TRAIN, or made now for all models in one pass."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FloatType

from sqlext.catalog.backbones import recorded_backbone
from sqlext.catalog.entry import ModelVersion
from sqlext.catalog.layout import HELD_OUT
from sqlext.context import Context
from sqlext.errors import SqlExtError, error_at
from sqlext.evaluation.candidates import Candidate, Compared, compared_columns
from sqlext.evaluation.metrics import has_scores, may_lack_scores
from sqlext.grammar.notes import Name
from sqlext.grammar.reader import Source
from sqlext.scoring.choose import Choice, choose
from sqlext.scoring.inputs import Argument
from sqlext.scoring.steps import apply_steps, embedding_steps, prediction_steps
from sqlext.sources import ColumnOf, read_source
from sqlext.spark.types import is_image


@dataclass(frozen=True)
class Answers:
    """``rows`` has the columns expected and predicted (labels, or a regressor's numbers) and, for a classifier, scores:
    the probabilities in the order of its labels, unless they would take too much memory. ``skipped`` counts the rows without
    a known answer or a prediction."""

    split: str
    source: str
    skipped: int
    rows: pd.DataFrame


# --- recorded ---------------------------------------------------------------------------------------------------------


def recorded_rows(context: Context, candidate: Candidate) -> Answers:
    """Returns the rows that the training held out: its test rows if there are any, otherwise its validation rows.

    :raises SqlExtError: NOTHING_TO_EVALUATE, NO_HELD_OUT_ROWS.
    """
    version, manifest, offset = candidate.version, candidate.manifest, candidate.offset
    if candidate.is_imported:
        raise SqlExtError("NOTHING_TO_EVALUATE", model=version.name, offset=offset)
    validated_on = _validated_on(manifest)
    if HELD_OUT not in manifest.get("files", {}) or not candidate.held_out.get("rows"):
        raise SqlExtError(
            "NO_HELD_OUT_ROWS", model=version.name, version=version.version, trained=validated_on, offset=offset
        )
    with error_at(offset):
        data = context.catalog.read_bytes(version, HELD_OUT)
    frame = pd.read_parquet(io.BytesIO(data))
    split = "test" if (frame["split"] == "test").any() else "validation"
    names = ("target", "predicted_value") if candidate.is_regressor else ("label", "predicted_label", "scores")
    rows = frame.loc[frame["split"] == split, list(names)]
    return Answers(split, validated_on, 0, rows.set_axis(["expected", "predicted", "scores"][: len(names)], axis=1))


def _validated_on(manifest: dict[str, Any]) -> str:
    """Returns the source and VALIDATE clause of the training; for imported layers, the path of their file."""
    recorded = manifest.get("details", {}).get("validated_on")
    return str(recorded) if recorded else f"imported from '{manifest.get('source', {}).get('path')}'"


# --- of a source ------------------------------------------------------------------------------------------------------


def given_rows(
    context: Context, candidates: Sequence[Candidate], source: Source, label: Name | None, *, scores: bool = True
) -> list[Answers]:
    """Returns the predictions of each candidate for the source, which is read once and embedded once per backbone.

    :param scores: whether to collect the probabilities, which are much larger than the labels.
    :raises SqlExtError: those of :func:`read_source` and :func:`compared_columns`, NO_ROWS.
    """
    frame = read_source(context, source)
    compared = [compared_columns(frame, c, source, label) for c in candidates]
    scored = _scored(context, frame, candidates, compared, source)
    dropped = [f"scores_{i}" for i, c in enumerate(candidates) if not (scores and _has_scores(frame, c))]
    table = scored.drop(*dropped).toPandas()
    return [_answers(table, i, candidate, source) for i, candidate in enumerate(candidates)]


def _has_scores(frame: DataFrame, candidate: Candidate) -> bool:
    """Whether the scores fit into memory; the rows are counted only if that depends on them."""
    classes = len(candidate.labels)
    return not may_lack_scores(classes) or has_scores(frame.count(), classes)


def _answers(table: pd.DataFrame, index: int, candidate: Candidate, source: Source) -> Answers:
    names = {f"{name}_{index}": name for name in ("expected", "predicted", "scores")}
    rows = table[[column for column in names if column in table.columns]].rename(columns=names)
    good = rows[rows["expected"].notna() & rows["predicted"].notna()]
    if good.empty:
        reason = "it is empty" if table.empty else f"none of its {len(table)} rows has a label and a prediction"
        raise SqlExtError("NO_ROWS", source=source.text, reason=reason, offset=source.offset)
    return Answers("given", source.text, len(rows) - len(good), good)


def _scored(
    context: Context, frame: DataFrame, candidates: Sequence[Candidate], compared: Sequence[Compared], source: Source
) -> DataFrame:
    """Returns the columns expected_i, predicted_i and (for a classifier) scores_i of every candidate i."""
    rows, features = _needed_columns(frame, compared)
    rows, arguments = _embedded(context, rows, candidates, features)
    for i, candidate in enumerate(candidates):
        with error_at(source.offset):
            steps = prediction_steps(context.spark, candidate.version, arguments[i])
        field = "value" if candidate.is_regressor else "label"
        # The steps of the next candidate replace the column `scored`, so its fields are taken out at once.
        rows = apply_steps(rows, steps).withColumn(f"predicted_{i}", F.col(f"scored.{field}"))
        if not candidate.is_regressor:
            rows = rows.withColumn(f"scores_{i}", F.col("scored.scores"))
    wanted = ("expected_", "predicted_", "scores_")
    return rows.select(*[name for name in rows.columns if name.startswith(wanted)])


def _needed_columns(frame: DataFrame, compared: Sequence[Compared]) -> tuple[DataFrame, list[list[Argument]]]:
    """Selects each needed column once. An image without a known answer becomes NULL, so that it is not scored."""
    names: dict[str, str] = {}
    types: dict[str, ColumnOf] = {}
    for column in (column for one in compared for column in one.features):
        names.setdefault(column.sql, f"given_{len(names)}")
        types[column.sql] = column
    answers = [F.expr(one.answer).alias(f"expected_{i}") for i, one in enumerate(compared)]
    # An image is needed if one of the models has an answer for its row.
    known = F.coalesce(*[F.expr(one.answer).cast("string") for one in compared]).isNotNull()
    features = [
        (F.when(known, F.expr(sql)) if is_image(types[sql].type) else F.expr(sql)).alias(name)
        for sql, name in names.items()
    ]
    arguments = [[Argument(column.type, names[column.sql]) for column in one.features] for one in compared]
    return frame.select(*answers, *features), arguments


def _embedded(
    context: Context, rows: DataFrame, candidates: Sequence[Candidate], features: list[list[Argument]]
) -> tuple[DataFrame, list[list[Argument]]]:
    """If several heads share an image and a backbone, embeds the image once; the heads then take the array.

    A head that shares its backbone with no other takes the image, exactly as in classify().
    """
    networks = [_network(context, candidate, taken) for candidate, taken in zip(candidates, features, strict=True)]
    keys = [None if n is None else (taken[0].sql, n[0].id) for n, taken in zip(networks, features, strict=True)]
    arrays: dict[tuple[str, str], Argument] = {}
    for key, taken in zip(keys, features, strict=True):
        users = [n for k, n in zip(keys, networks, strict=True) if n is not None and k == key]
        if key is None or key in arrays or len(users) < 2:
            continue
        # If classify() would score these heads in different precisions, all of them are compared in f32.
        choice = min((choice for _, choice in users), key=lambda c: c.precision != "f32")
        column = f"embedded_{len(arrays)}"
        rows = apply_steps(rows, embedding_steps(context.spark, users[0][0], taken[0], choice))
        rows = rows.withColumn(column, F.col("embedded.embedding"))
        arrays[key] = Argument(ArrayType(FloatType()), column)
    return rows, [[arrays[key]] if key in arrays else taken for key, taken in zip(keys, features, strict=True)]


def _network(context: Context, candidate: Candidate, features: list[Argument]) -> tuple[ModelVersion, Choice] | None:
    """Returns the backbone, engine and precision that embed images for a trained head; None if it takes no image."""
    recorded = candidate.manifest.get("backbone")
    if candidate.is_imported or recorded is None or not is_image(features[0].type):
        return None

    with error_at(candidate.offset):
        backbone = recorded_backbone(context.catalog, recorded, candidate.version)
        return backbone, choose(context.spark, candidate.manifest, backbone)
