"""TRAIN MODEL: a new version of a model, trained with BigDL on the cluster's executors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sqlext.errors import SqlExtError
from sqlext.options import Option, boolean, choice, integer, number, resolve
from sqlext.statements.base import Context, ResultRow, Statement
from sqlext.tokens import Creation, ModelReference, Name, RawOption, Source, TokenReader

OPTIONS = (
    Option("epochs", integer(1), None, "passes over the training rows; default 20, or 100 with early_stop"),
    Option("batch_size", integer(1), None, "rows of one step; default 32"),
    Option("optimizer", choice("adam", "sgd"), "adam", "BigDL's optimizer"),
    Option("learning_rate", number(0, above=True), None, "default 1e-3 on embeddings, 1e-2 elsewhere"),
    Option("momentum", number(0, 1), None, "of sgd; default 0.9. BigDL dampens by the same value"),
    Option("weight_decay", number(0), 0.0, "L2 penalty on every Linear layer"),
    Option(
        "early_stop",
        boolean,
        None,
        "stop 3 epochs after the best val_loss and publish the best epoch; default: on for arrays",
    ),
    Option("on_bad_row", choice("skip", "fail"), "skip", "undecodable images, NULL features or labels"),
    Option("max_bad_fraction", number(0, 1), 0.1, "more bad rows than this fail the statement"),
    Option("promote", choice("always", "never"), "always", "whether the new version becomes the default"),
    Option("seed", integer(0, 2**31 - 1), 42, "fixes split, initial weights and order"),
)

# Options of other systems -> what to write here.
FOREIGN_OPTIONS = {
    "model_type": "LABEL column (classification), and USING for the architecture",
    "input_label_cols": "LABEL column",
    "data_split_method": "VALIDATE SPLIT 0.2, VALIDATE FROM table or VALIDATE NONE",
    "data_split_eval_fraction": "VALIDATE SPLIT 0.2",
    "data_split_col": "VALIDATE SPLIT, FROM or NONE",
    "max_iterations": "epochs = n",
    "num_epochs": "epochs = n",
    "learn_rate": "learning_rate = x",
    "lr": "learning_rate = x",
    "l2_reg": "weight_decay = x",
    "min_rel_progress": "early_stop = true",
}

_LATER = {
    "TARGET": "regression by TARGET",
    "TUNE": "TUNE",
    "PROPERTIES": "PROPERTIES",
}


@dataclass(frozen=True)
class Validation:
    """VALIDATE: ``kind`` is split, source or none. ``fraction`` is the share of rows that validates."""

    kind: str = "split"
    fraction: float = 0.2
    seed: int | None = None
    source: Source | None = None
    text: str = "SPLIT 0.2"


@dataclass
class _Clauses:
    source: Source | None = None
    features: list[Name] = field(default_factory=list)
    label: Name | None = None
    backbone: ModelReference | None = None
    validation: Validation | None = None
    comment: str | None = None
    options: list[RawOption] = field(default_factory=list)


class TrainModel(Statement):
    """``TRAIN [OR REPLACE] MODEL [IF NOT EXISTS] name FROM source [FEATURES (c)] LABEL c [USING linear] [BACKBONE m]
    [VALIDATE SPLIT f [STRATIFIED] [SEED n] | FROM source | NONE] [COMMENT s] [OPTIONS (..)]``

    The frozen backbone embeds every image once, on the executors; BigDL trains the head on the embeddings; the version
    is published by one metastore call. A run that fails or is cancelled leaves every published version as it was.
    """

    NAME = "TRAIN MODEL"
    HEADS = (("TRAIN", "MODEL"), ("TRAIN", "OR", "REPLACE", "MODEL"))
    OUTPUT: ClassVar[dict[str, str]] = {
        "model": "STRING",
        "version": "INT",
        "run_id": "STRING",
        "status": "STRING",
        "task": "STRING",
        "rows_trained": "BIGINT",
        "rows_validated": "BIGINT",
        "rows_tested": "BIGINT",
        "rows_skipped": "BIGINT",
        "classes": "INT",
        "batch_size": "INT",
        "epochs": "INT",
        "best_epoch": "INT",
        "loss": "DOUBLE",
        "val_loss": "DOUBLE",
        "metric_name": "STRING",
        "metric_value": "DOUBLE",
        "duration_ms": "BIGINT",
        "message": "STRING",
        "is_default": "BOOLEAN",
        "baseline_value": "DOUBLE",
    }

    def __init__(self, creation: Creation, clauses: _Clauses) -> None:
        assert clauses.source is not None
        assert clauses.label is not None
        self.name, self.replace, self.if_not_exists = creation.name, creation.replace, creation.if_not_exists
        self.source, self.label = clauses.source, clauses.label
        self.features, self.backbone, self.comment = clauses.features, clauses.backbone, clauses.comment
        self.validation = clauses.validation or Validation()
        self.options = resolve(clauses.options, OPTIONS, foreign=FOREIGN_OPTIONS)
        given = {option.key for option in clauses.options}
        if self.replace and self.options["promote"] == "never":
            offset = next(option.value_offset for option in clauses.options if option.key == "promote")
            accepted = "'always' with OR REPLACE, which removes the older versions"
            raise SqlExtError("INVALID_OPTION_VALUE", option="promote", value="never", accepted=accepted, offset=offset)
        if "momentum" in given and self.options["optimizer"] != "sgd":
            offset = next(option.offset for option in clauses.options if option.key == "momentum")
            raise SqlExtError("MOMENTUM_WITHOUT_SGD", optimizer=self.options["optimizer"], offset=offset)

    @classmethod
    def parse(cls, reader: TokenReader) -> TrainModel:
        creation, clauses = reader.creation("TRAIN"), _Clauses()
        reader.clauses(
            {
                "FROM": lambda r: setattr(clauses, "source", r.source()),
                "FEATURES": lambda r: setattr(clauses, "features", r.columns()),
                "LABEL": lambda r: setattr(clauses, "label", r.name("a column")),
                "USING": _architecture,
                "BACKBONE": lambda r: setattr(clauses, "backbone", _backbone(r)),
                "VALIDATE": lambda r: setattr(clauses, "validation", _validation(r)),
                "COMMENT": lambda r: setattr(clauses, "comment", r.string("a comment in quotes")),
                "OPTIONS": lambda r: setattr(clauses, "options", r.options()),
            },
            later=_LATER,
        )
        for word, value in (("FROM", clauses.source), ("LABEL", clauses.label)):
            if value is None:
                reader.fail(f"{word}: TRAIN MODEL {creation.name} needs it")
        return cls(creation, clauses)

    def run(self, context: Context) -> list[ResultRow]:
        from sqlext.training.run import train

        return [train(context, self)]


def _architecture(reader: TokenReader) -> None:
    offset = reader.offset
    name = reader.identifier("an architecture: linear").lower()
    if name in ("mlp", "cnn", "finetune"):
        raise SqlExtError("FEATURE_NOT_AVAILABLE", feature=f"USING {name}", offset=offset)
    if name != "linear":
        raise SqlExtError("UNKNOWN_ARCHITECTURE", architecture=name, offset=offset)


def _backbone(reader: TokenReader) -> ModelReference:
    reference = reader.model()
    offset = reader.offset
    if reader.take("FREEZE") and not reader.take("ALL"):
        raise SqlExtError("FEATURE_NOT_AVAILABLE", feature="FREEZE other than ALL", offset=offset)
    return reference


def _validation(reader: TokenReader) -> Validation:
    start = reader.offset
    kind = reader.need_any("SPLIT, FROM or NONE", "SPLIT", "FROM", "NONE")
    if kind == "NONE":
        return Validation("none", text="NONE")
    if kind == "FROM":
        source = reader.source()
        return Validation("source", source=source, text=f"FROM {source.text}")
    offset = reader.offset
    fraction = float(reader.number("a fraction between 0 and 1"))
    if not 0 < fraction < 1:
        raise SqlExtError(
            "SYNTAX_ERROR",
            problem=f"SPLIT {fraction:g}: the share of rows that validates lies between 0 and 1.",
            offset=offset,
        )
    seed = None
    while reader.at_any({"STRATIFIED", "SEED", "TEST", "GROUP"}):
        if reader.at_any({"TEST", "GROUP"}):
            raise SqlExtError("FEATURE_NOT_AVAILABLE", feature="SPLIT with TEST or GROUP", offset=reader.offset)
        if reader.take("SEED"):
            seed = reader.integer("an integer")
        else:
            reader.need("STRATIFIED")
    return Validation("split", fraction, seed, text=reader.sql[start : reader.offset].strip())
