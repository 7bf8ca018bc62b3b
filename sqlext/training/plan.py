"""Checks TRAIN MODEL against the catalog and the schemas, so that every error that needs no job is raised before any job."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.types import BooleanType

from sqlext.bigdl.events import check_folder
from sqlext.bigdl.records import TrainSettings
from sqlext.catalog.backbones import require_backbone
from sqlext.catalog.entry import ModelEntry, ModelVersion
from sqlext.catalog.names import ModelName, ModelRef
from sqlext.context import Context
from sqlext.errors import SqlExtError, error_at
from sqlext.scoring.choose import choose_for_embedding
from sqlext.settings import backbone_of_settings
from sqlext.sources import ColumnOf, find_column, find_label, find_side, find_target, label_in, read_source
from sqlext.training.columns import Features, find_features
from sqlext.training.defaults import resolve_defaults, settings_of
from sqlext.training.features import Embedder
from sqlext.training.request import TrainRequest, Validation
from sqlext.training.split import side_sql

KINDS = {False: "classifier", True: "regressor"}


@dataclass(frozen=True)
class TrainPlan:
    """What will be trained.

    ``backbone`` computes the features or has computed them; ``options`` are resolved, as DESCRIBE shows them. ``label`` is
    the column to predict: classes, or the numbers of a ``regression``. ``side`` and ``group`` are the columns of VALIDATE
    BY and of SPLIT .. GROUP.
    """

    name: ModelName
    existing: ModelEntry | None
    source: DataFrame
    source_text: str
    source_offset: int
    label: ColumnOf
    label_offset: int
    regression: bool
    embedder: Embedder
    validation: Validation
    validation_rows: DataFrame | None
    side: ColumnOf | None
    group: ColumnOf | None
    architecture: str
    options: dict[str, Any]
    settings: TrainSettings
    start: ModelVersion | None = None  # warm_start

    @property
    def backbone(self) -> ModelVersion | None:
        return self.embedder.backbone

    @property
    def features(self) -> Features:
        return self.embedder.features

    @property
    def held_out_label(self) -> ColumnOf:
        """The label column of VALIDATE FROM if it is given, otherwise that of FROM."""
        return self.label if self.validation_rows is None else label_in(self.validation_rows, self.label)

    @property
    def standardize(self) -> bool:
        return bool(self.options["standardize"])

    @property
    def task(self) -> str:
        return "regression" if self.regression else "classification"

    @property
    def kind(self) -> str:
        """The kind of model, in the words of the catalog and of SHOW MODELS."""
        return KINDS[self.regression]

    @property
    def epoch_metric(self) -> str:
        """The metric that BigDL measures after each epoch."""
        return "rmse" if self.regression else "accuracy"

    @property
    def metric(self) -> str:
        """The metric of the result column metric_value."""
        return str(self.options["metric"])

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers; none in a linear head."""
        return tuple(int(width) for width in self.options["hidden"].split(",") if width)

    @property
    def split_seed(self) -> int:
        """The seed of the split: SEED of VALIDATE, otherwise the option seed."""
        return self.validation.seed if self.validation.seed is not None else int(self.options["seed"])

    @property
    def side_sql(self) -> str | None:
        """VALIDATE BY as SQL over the source that gives train, validation or test; None without VALIDATE BY."""
        if self.side is None:
            return None
        return side_sql(self.side.sql, boolean=isinstance(self.side.type, BooleanType))


def existing_model(context: Context, request: TrainRequest) -> tuple[ModelName, ModelEntry | None]:
    """The model's name and, if the model exists, its entry; a further version needs the ALTER right.

    :raises SqlExtError: DATABASE_NOT_FOUND, NOT_A_MODEL for a table or view of that name, NOT_A_CLASSIFIER for a backbone,
        MODEL_KIND_MISMATCH for a regressor where a classifier is to be trained, or the other way round.
    """
    name = context.model_name(request.name)

    with error_at(request.name.offset):
        context.catalog.metastore.database_location(name.namespace)  # raises if the database does not exist
        entry = context.catalog.find(name)
    if entry is not None and entry.kind not in KINDS.values():
        raise SqlExtError("NOT_A_CLASSIFIER", model=name, kind=entry.kind, offset=request.name.offset)
    if entry is not None and not request.if_not_exists:
        wanted = KINDS[request.regression]
        if entry.kind != wanted:
            offset = request.name.offset
            raise SqlExtError("MODEL_KIND_MISMATCH", model=name, kind=entry.kind, wanted=wanted, offset=offset)
        with error_at(request.name.offset):
            context.catalog.check(name, "ALTER")
            if request.replace:  # older versions are dropped after the training; raise now if that is not allowed
                context.catalog.replaceable(entry)
    return name, entry


def make_plan(context: Context, request: TrainRequest, name: ModelName, existing: ModelEntry | None) -> TrainPlan:
    """Resolves source, columns, backbone and options.

    :raises SqlExtError: with the offset of the part at fault.
    """
    wanted = request.target or request.label
    assert request.source is not None, "retrain.py has resolved TRAIN without FROM"
    assert wanted is not None
    source, validation = read_source(context, request.source), request.validation
    find = find_target if request.regression else find_label
    label = find(source, wanted, request.source)
    side = find_side(source, validation.column, request.source) if validation.column else None
    group = find_column(source, validation.group, request.source) if validation.group else None
    others = [column.name for column in (label, side, group) if column is not None]
    features = find_features(source, list(request.features), others, request.source)
    embedder = _embedder(context, request, features)
    options, start = resolve_defaults(request, embedded=embedder.backbone is not None), _start(context, request)
    if start is not None:
        options["warm_start"] = str(start)  # with the version: a name without one means another version later
    if options["tensorboard"] is not None:
        with error_at(request.option_offset("tensorboard")):
            check_folder(context.spark, options["tensorboard"])
    return TrainPlan(
        name=name,
        existing=existing,
        source=source,
        source_text=request.source.text,
        source_offset=request.source.offset,
        label=label,
        label_offset=wanted.offset,
        regression=request.regression,
        embedder=replace(embedder, as_double=bool(options["standardize"])),
        validation=validation,
        validation_rows=_validation_rows(context, request, [label, *features.columns]),
        side=side,
        group=group,
        architecture=request.architecture,
        options=options,
        settings=settings_of(options),
        start=start,
    )


def _embedder(context: Context, request: TrainRequest, features: Features) -> Embedder:
    """An image needs a backbone, named or the default; an array may name the one that computed it; columns take none."""
    named, image = request.backbone, features.kind == "image"
    if named is not None and features.kind == "columns":
        raise SqlExtError("BACKBONE_WITHOUT_IMAGE", columns=features.text, offset=named.name.offset)
    if named is None and not image:
        return Embedder(features, None, None)
    key: str | None = None
    if named is not None:
        reference = context.model_ref(named)
        offset: int = named.name.offset
    else:
        default, key = backbone_of_settings(context.spark)
        reference = ModelRef.parse(default, context.catalog.current_namespace())
        offset = request.name.offset
    with error_at(offset):
        version = require_backbone(context.catalog, reference, place="BACKBONE", setting=key)
    manifest = context.catalog.read_manifest(version)
    with error_at(offset):
        choice = choose_for_embedding(context.spark, manifest) if image else None
    # A head is trained on f32 features, whatever spark.sqlext.embed.precision says about embed().
    return Embedder(features, version, replace(choice, precision="f32") if choice else None)


def _validation_rows(context: Context, request: TrainRequest, columns: list[ColumnOf]) -> DataFrame | None:
    """The rows of VALIDATE FROM, whose label and feature columns must have the same types as those of FROM."""
    source = request.validation.source
    if source is None:
        return None
    assert request.source is not None
    rows = read_source(context, source)
    for column in columns:
        found = find_column(rows, replace(column.name, offset=source.offset), source)
        # As text, which leaves out whether values can be NULL: two tables often differ in that.
        if found.type.simpleString() != column.type.simpleString():
            types = found.type.simpleString(), column.type.simpleString()
            problem = f"is {types[0]} in {source.text}, but {types[1]} in {request.source.text}"
            raise SqlExtError("COLUMN_TYPE_DIFFERS", column=column.text, problem=problem, offset=source.offset)
    return rows


def _start(context: Context, request: TrainRequest) -> ModelVersion | None:
    """The version that warm_start names; labels, width and layers are compared later, when those of this training are known."""
    text = request.options["warm_start"]
    if text is None:
        return None
    offset = request.option_offset("warm_start")
    with error_at(offset):
        reference = ModelRef.parse(text, context.catalog.current_namespace())
        version = context.catalog.resolve(reference)
        context.catalog.check(version.name, "SELECT")
    wanted = KINDS[request.regression]
    if version.kind != wanted:
        reason = f"it is a {version.kind}, but this training creates a {wanted}"
        raise SqlExtError("WARM_START_MISMATCH", model=version, reason=reason, offset=offset)
    return version
