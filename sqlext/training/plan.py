"""TRAIN MODEL checked against catalog and schemas before any job runs: every error that can be known now is raised now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame

from sqlext.bigdl.training import TrainSettings
from sqlext.catalog import ModelEntry, ModelName, ModelRef, ModelVersion
from sqlext.catalog.backbones import require_backbone
from sqlext.engines.choose import choose_for_embedding
from sqlext.errors import SqlExtError
from sqlext.settings import setting
from sqlext.statements.base import Context, located
from sqlext.statements.train_model import TrainModel
from sqlext.training.clauses import Validation
from sqlext.training.features import Embedder
from sqlext.training.sources import ColumnOf, find_column, find_features, find_label, read_source
from sqlext.udfs.base import is_image

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_BATCH = 32


@dataclass(frozen=True)
class TrainPlan:
    """What will be trained. ``backbone`` made the features (or will); ``options`` are resolved, as DESCRIBE shows them."""

    name: ModelName
    existing: ModelEntry | None
    source: DataFrame
    source_text: str
    label: ColumnOf
    embedder: Embedder
    validation: Validation
    validation_rows: DataFrame | None
    options: dict[str, Any]
    settings: TrainSettings
    standardize: bool

    @property
    def backbone(self) -> ModelVersion | None:
        return self.embedder.backbone

    @property
    def split_seed(self) -> int:
        """SEED of VALIDATE fixes the split; else OPTIONS seed does."""
        return self.validation.seed if self.validation.seed is not None else int(self.options["seed"])


def existing_model(context: Context, statement: TrainModel) -> tuple[ModelName, ModelEntry | None]:
    """The model of that name, if there is one; training onto it needs ALTER.

    :raises SqlExtError: DATABASE_NOT_FOUND, NOT_A_MODEL for a table or view of that name, NOT_A_CLASSIFIER for a backbone.
    """
    name = context.model_name(statement.name)

    def find() -> ModelEntry | None:
        context.catalog.metastore.database_location(name.namespace)  # the database must be there
        return context.catalog.find(name)

    entry: ModelEntry | None = located(statement.name.offset, find)
    if entry is not None and entry.kind != "classifier":
        raise SqlExtError("NOT_A_CLASSIFIER", model=name, kind=entry.kind, offset=statement.name.offset)
    if entry is not None and not statement.if_not_exists:
        context.catalog.check(name, "ALTER")
    return name, entry


def make_plan(context: Context, statement: TrainModel, name: ModelName, existing: ModelEntry | None) -> TrainPlan:
    """Binds source, columns, backbone and options.

    :raises SqlExtError: with the position of what is wrong.
    """
    source = read_source(context, statement.source)
    label = find_label(source, statement.label, statement.source)
    features = find_features(source, statement.features, statement.label, statement.source)
    embedder = _embedder(context, statement, features)
    options, settings = _options(statement, embedded=embedder.backbone is not None)
    return TrainPlan(
        name=name,
        existing=existing,
        source=source,
        source_text=statement.source.text,
        label=label,
        embedder=embedder,
        validation=statement.validation,
        validation_rows=_validation_rows(context, statement, features, label),
        options=options,
        settings=settings,
        standardize=embedder.backbone is None,
    )


def _embedder(context: Context, statement: TrainModel, features: ColumnOf) -> Embedder:
    """An image needs a backbone, named or by default; an array may say which one made it."""
    given, image = statement.backbone, is_image(features.type)
    if given is None and not image:
        return Embedder(features, None, None)
    if given is not None:
        reference = context.model_ref(given)
        offset: int = given.name.offset
    else:
        default = str(setting(context.spark, "backbone") or setting(context.spark, "resnet"))
        reference = ModelRef.parse(default, context.catalog.current_namespace())
        offset = statement.name.offset
    version = located(offset, lambda: require_backbone(context.catalog, reference))
    manifest = context.catalog.read_manifest(version)
    choice = located(offset, lambda: choose_for_embedding(context.spark, manifest)) if image else None
    # What is stored and mixed is f32; spark.sqlext.embed.precision does not change what a head is trained on.
    return Embedder(features, version, replace(choice, precision="f32") if choice else None)


def _options(statement: TrainModel, *, embedded: bool) -> tuple[dict[str, Any], TrainSettings]:
    options = dict(statement.options)
    validates = statement.validation.kind != "none"
    if options["early_stop"] is None:
        options["early_stop"] = not embedded and validates
    elif options["early_stop"] and not validates:
        raise SqlExtError(
            "INVALID_OPTION_VALUE",
            option="early_stop",
            value=True,
            accepted="false with VALIDATE NONE: there are no validation rows",
        )
    if options["epochs"] is None:
        options["epochs"] = 100 if options["early_stop"] and not embedded else 20
    if options["learning_rate"] is None:
        options["learning_rate"] = 1e-3 if embedded else 1e-2
    if options["optimizer"] == "sgd" and options["momentum"] is None:
        options["momentum"] = 0.9
    return options, _settings(options)


def _settings(options: Mapping[str, Any]) -> TrainSettings:
    return TrainSettings(
        epochs=options["epochs"],
        batch_size=options["batch_size"],
        optimizer=options["optimizer"],
        learning_rate=options["learning_rate"],
        momentum=options["momentum"],
        dampening=None,
        weight_decay=options["weight_decay"],
        early_stop=options["early_stop"],
        seed=options["seed"],
    )


def _validation_rows(context: Context, statement: TrainModel, features: ColumnOf, label: ColumnOf) -> DataFrame | None:
    """The rows of VALIDATE FROM, with the training source's columns of the same types."""
    source = statement.validation.source
    if source is None:
        return None
    rows = read_source(context, source)
    for column, name in ((label, statement.label), (features, None)):
        from sqlext.tokens import Name

        wanted = name or Name(tuple(column.text.split(".")), source.offset)
        found = find_column(rows, Name(wanted.parts, source.offset), source)
        if found.type.simpleString() != column.type.simpleString():
            problem = f"is {found.type.simpleString()} in {source.text}, {column.type.simpleString()} in {statement.source.text}"
            raise SqlExtError("COLUMN_TYPE_DIFFERS", column=column.text, problem=problem, offset=source.offset)
    return rows
