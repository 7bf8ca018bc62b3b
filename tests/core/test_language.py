"""The grammar without Spark: which statements are accepted, and the positions of errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sqlext import statements
from sqlext.errors import SqlExtError
from sqlext.grammar import planned
from sqlext.statements import parse_statement
from sqlext.statements.alter_model import AlterModel
from sqlext.statements.cancel_training import CancelTraining
from sqlext.statements.comment_on_model import CommentOnModel
from sqlext.statements.create_model import CreateModel
from sqlext.statements.describe_model import DescribeModel
from sqlext.statements.drop_model import DropModel
from sqlext.statements.evaluate_model import EvaluateModel
from sqlext.statements.export_model import ExportModel
from sqlext.statements.import_model import ImportModel
from sqlext.statements.purge_models import PurgeModels
from sqlext.statements.show_create_model import ShowCreateModel
from sqlext.statements.show_model_versions import ShowModelVersions
from sqlext.statements.show_models import ShowModels
from sqlext.statements.show_training_history import ShowTrainingHistory
from sqlext.statements.show_training_runs import ShowTrainingRuns
from sqlext.statements.train_model import TrainModel
from sqlext.training.retrain import full_text
from sqlext.training.trials import TUNABLE


def error_of(sql: str) -> SqlExtError:
    with pytest.raises(SqlExtError) as caught:
        statements.parse(None, sql)  # type: ignore[arg-type]
    return caught.value


def test_train_takes_its_clauses_in_any_order() -> None:
    one = parse_statement(
        "TRAIN MODEL shop.flowers FROM shop.images FEATURES (image) LABEL species BACKBONE models.resnet50 "
        "VALIDATE SPLIT 0.25 STRATIFIED SEED 7 COMMENT 'c' OPTIONS (epochs = 25, 'batch_size' 4, optimizer = 'sgd', momentum 0.5)"
    )
    other = parse_statement(
        "train model `shop`.flowers options (MOMENTUM = 0.5, optimizer 'SGD', batch_size = '4', epochs 25) comment 'c' "
        "validate split 0.25 seed 7 backbone models.resnet50 label species features image from shop.images -- end\n;"
    )
    assert isinstance(one, TrainModel)
    assert isinstance(other, TrainModel)
    one, other = one.request, other.request
    assert one.options == other.options
    assert one.options["momentum"] == 0.5
    assert (
        (one.validation.fraction, one.validation.seed)
        == (other.validation.fraction, other.validation.seed)
        == (0.25, 7)
    )
    assert [str(c) for c in other.features] == ["image"]
    assert str(one.name) == str(other.name) == "shop.flowers"


def test_every_clause_of_train() -> None:
    train = parse_statement(
        "TRAIN MODEL m FROM db.t VERSION AS OF 3 FEATURES (a, b) TARGET y USING mlp "
        "VALIDATE SPLIT 0.2 TEST 0.1 GROUP store SEED 3 "
        "TUNE (learning_rate BETWEEN 1e-4 AND 1e-1 LOG, hidden IN ('8', '8,4')) TRIALS 6 BY RANDOM MINIMIZE rmse "
        "PROPERTIES (Team = 'fruit', 'cost.centre' = 007, release = 1.10, live TRUE) OPTIONS (hidden = '64, 8', max_runtime = '10m', min_loss 0)"
    )
    assert isinstance(train, TrainModel)
    train = train.request
    assert train.source is not None
    assert train.source.sql == "`db`.`t` VERSION AS OF 3"
    assert ([str(c) for c in train.features], str(train.target), train.label) == (["a", "b"], "y", None)
    split = train.validation
    assert (split.fraction, split.test_fraction, str(split.group), split.seed) == (0.2, 0.1, "store", 3)
    assert split.text == "SPLIT 0.2 TEST 0.1 GROUP store SEED 3"
    assert train.tune is not None
    rate, hidden = train.tune.items
    assert (rate.option, rate.low, rate.high, rate.log, rate.values) == ("learning_rate", 1e-4, 0.1, True, None)
    assert (hidden.option, hidden.values, hidden.log) == ("hidden", ("8", "8,4"), False)
    assert (train.tune.trials, train.tune.method, train.tune.direction, train.tune.metric) == (
        6,
        "random",
        "minimize",
        "rmse",
    )
    assert train.properties == {"Team": "fruit", "cost.centre": "007", "release": "1.10", "live": "true"}
    assert (train.options["hidden"], train.options["max_runtime"], train.options["min_loss"]) == ("64,8", 600.0, 0.0)


def test_train_again_needs_no_other_clause() -> None:
    train = parse_statement("TRAIN MODEL m OPTIONS (promote = 'if_better')")
    assert isinstance(train, TrainModel)
    train = train.request
    assert (train.source, train.label, train.target) == (None, None, None)
    assert set(train.given) == {"OPTIONS"}
    by = parse_statement("TRAIN MODEL m FROM t LABEL y VALIDATE BY part OPTIONS (class_weights = '{\"a\": 2}')")
    assert isinstance(by, TrainModel)
    by = by.request
    assert (by.validation.kind, str(by.validation.column), by.options["class_weights"]) == ("by", "part", {"a": 2.0})


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("SELECT a FROM t", "(SELECT a FROM t)"),
        ("(SELECT a FROM t)", "(SELECT a FROM t)"),
        ("(SELECT 1) UNION (SELECT 2)", "((SELECT 1) UNION (SELECT 2))"),
        (
            "SELECT a AS options, ')' FROM t WHERE label = 1 -- all\n;",
            "(SELECT a AS options, ')' FROM t WHERE label = 1)",
        ),
    ],
)
def test_create_model_as(query: str, source: str) -> None:
    create = parse_statement(f"CREATE OR REPLACE MODEL db.m LABEL y OPTIONS (epochs 3) COMMENT 'c' AS {query}")
    assert isinstance(create, CreateModel)
    create = create.request
    assert create.source is not None
    assert (create.source.sql, create.source.is_query, create.replace) == (source, True, True)
    assert (str(create.label), create.options["epochs"], create.comment) == ("y", 3, "c")


def test_training_again_recreates_the_statement() -> None:
    again = parse_statement(
        "TRAIN MODEL m OPTIONS (promote = 'never', seed = 7) PROPERTIES (b = 'it\\'s') COMMENT 'new'"
    )
    written = (
        "CREATE OR REPLACE MODEL m LABEL y -- the class\n OPTIONS (epochs = 3, seed = 1e0, 'early_stop' true) /* x */ "
        "PROPERTIES (a = 1) VALIDATE NONE -- all\n AS SELECT x, y FROM t WHERE day = current_date() -- today's"
    )
    assert isinstance(again, TrainModel)
    text = full_text("db.m", again.request, written.replace("1e0", "1"))
    assert text.splitlines()[:2] == ["TRAIN MODEL `db`.`m`", "FROM (SELECT x, y FROM t WHERE day = current_date())"]
    full = parse_statement(text)
    assert isinstance(full, TrainModel)
    full = full.request
    assert (str(full.label), full.validation.kind, full.comment) == ("y", "none", "new")
    assert [(o.key, o.value) for o in full.raw_options] == [
        ("epochs", 3),
        ("seed", 7),
        ("early_stop", True),
        ("promote", "never"),
    ]
    assert full.properties == {"a": "1", "b": "it's"}
    assert full_text("db.m", again.request, text) == text


def test_query_is_taken_verbatim() -> None:
    train = parse_statement("TRAIN MODEL m FROM (SELECT a, ')' AS b FROM t /* ) */ WHERE c IN (1, 2)) LABEL b")
    assert isinstance(train, TrainModel)
    train = train.request
    assert train.source.sql == "(SELECT a, ')' AS b FROM t /* ) */ WHERE c IN (1, 2))"
    assert train.source.is_query


def test_clause_words_can_be_names() -> None:
    train = parse_statement(
        "TRAIN MODEL model FROM options FEATURES (features) LABEL label VALIDATE FROM `validate` OPTIONS (seed 1)"
    )
    assert isinstance(train, TrainModel)
    train = train.request
    assert (str(train.name), str(train.label), train.source.sql) == ("model", "label", "`options`")


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("EVALUATE MODEL a.b VERSION 3 FROM t LABEL x", EvaluateModel),
        ("EVALUATE MODEL a.b ALIAS prod", EvaluateModel),
        ("EVALUATE MODEL a.b VERSION 3, c CONFUSION MATRIX LABEL x FROM (SELECT 1)", EvaluateModel),
        ("evaluate model a per class from t version as of 3", EvaluateModel),
        ("SHOW MODELS IN shop LIKE 'fl*|x'", ShowModels),
        ("SHOW MODELS 'fl%'", ShowModels),
        ("show model versions a.b", ShowModelVersions),
        ("SHOW TRAINING HISTORY MODEL a.b ALIAS prod", ShowTrainingHistory),
        ("SHOW TRAINING HISTORY FOR RUN '0a1b'", ShowTrainingHistory),
        ("SHOW TRAINING RUNS", ShowTrainingRuns),
        ("SHOW CREATE MODEL m VERSION 2", ShowCreateModel),
        ("CANCEL TRAINING '0a1b'", CancelTraining),
        ("ALTER MODEL IF EXISTS a.b RENAME TO c;", AlterModel),
        ("ALTER MODEL m SET DEFAULT VERSION latest", AlterModel),
        ("ALTER MODEL m SET DEFAULT VERSION 3", AlterModel),
        ("ALTER MODEL m SET ALIAS prod = 2", AlterModel),
        ("ALTER MODEL m UNSET ALIAS prod", AlterModel),
        ("ALTER MODEL m SET PROPERTIES ('a.b' = 'x', c 2)", AlterModel),
        ("ALTER MODEL m UNSET PROPERTIES IF EXISTS (a.b, 'c')", AlterModel),
        ("ALTER MODEL m DROP VERSION 1", AlterModel),
        ("ALTER MODEL m PURGE KEEP 2 VERSIONS", AlterModel),
        ("ALTER MODEL m PURGE KEEP 2 VERSIONS OLDER THAN 30 DAYS", AlterModel),
        ("COMMENT ON MODEL a.b IS 'text'", CommentOnModel),
        ("COMMENT ON MODEL a.b IS null", CommentOnModel),
        ("PURGE MODELS FROM a LIKE 'x*|y' KEEP 0 VERSIONS OLDER THAN 7 DAYS ORPHANS DRY RUN", PurgeModels),
        ("PURGE MODELS 'x' ORPHANS", PurgeModels),
        ("SHOW TRAINING RUNS IN a FOR MODEL a.b", ShowTrainingRuns),
        ("DESC MODEL EXTENDED a.b@", None),
        ("DESCRIBE MODEL FORMATTED a.b VERSION 2", DescribeModel),
        ("DESCRIBE MODEL extended", DescribeModel),
        ("DESCRIBE MODEL extended VERSION 2", DescribeModel),
        ("DESCRIBE MODEL EXTENDED version VERSION 2", DescribeModel),
        ("DROP MODEL IF EXISTS a.b VERSION 1", DropModel),
        (
            "IMPORT OR REPLACE MODEL m FROM 'file:/x.onnx' LABELS ('a', 'b') OPTIONS (mean = '.485 .456 .406')",
            ImportModel,
        ),
        ("IMPORT MODEL IF NOT EXISTS 'models.m' FROM 'x' FORMAT onnx", ImportModel),
        ("IMPORT MODEL m FROM 'hdfs:/exports/m' COMMENT 'c'", ImportModel),
        ("EXPORT MODEL m TO 'hdfs:/m.bigdl' FORMAT bigdl", ExportModel),
        ("IMPORT MODEL m FROM 'm' FORMAT BIGDL LABELS ('a', 'b')", ImportModel),
        ("EXPORT MODEL a.b VERSION 2 OPTIONS (overwrite true) TO 'file:/x'", ExportModel),
        ("export model `a`.b alias prod to 'x'", ExportModel),
    ],
)
def test_statements_are_recognised(sql: str, kind: type | None) -> None:
    if kind is None:
        assert error_of(sql).error_class == "SYNTAX_ERROR"
    else:
        assert isinstance(parse_statement(sql), kind)


@pytest.mark.parametrize(
    ("sql", "error_class", "line", "pos", "says"),
    [
        ("TRAIN MODEL", "SYNTAX_ERROR", 1, 11, "a model name"),
        ("CREATE MODEL m LABEL y", "SYNTAX_ERROR", 1, 22, "AS and the query"),
        ("CREATE MODEL m LABEL y AS", "SYNTAX_ERROR", 1, 25, "a query"),
        ("CREATE MODEL m FROM t LABEL y AS SELECT 1", "SYNTAX_ERROR", 1, 15, "AS and a query"),
        ("CREATE MODEL m AS SELECT 1 AS y", "SYNTAX_ERROR", 1, 31, "TARGET (regression) for CREATE MODEL m"),
        ("CREATE OR REPLACE MODEL IF NOT EXISTS m LABEL y AS SELECT 1", "SYNTAX_ERROR", 1, 24, "exclude"),
        ("TRAIN MODEL m FROM t", "SYNTAX_ERROR", 1, 20, "LABEL"),
        ("TRAIN MODEL m FROM t\nLABEL x\n  FOO 3", "SYNTAX_ERROR", 3, 2, "found 'FOO'"),
        ("TRAIN MODEL m FROM t LABEL x LABEL y", "SYNTAX_ERROR", 1, 29, "twice"),
        ("TRAIN MODEL m FROM (select 1 LABEL x", "SYNTAX_ERROR", 1, 36, "')'"),
        ("TRAIN MODEL m FROM t LABEL x VALIDATE SPLIT 1.5", "SYNTAX_ERROR", 1, 44, "above 0 and below 1"),
        ("TRAIN OR REPLACE MODEL IF NOT EXISTS m FROM t LABEL x", "SYNTAX_ERROR", 1, 23, "exclude"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (epoch = 3)", "UNKNOWN_OPTION", 1, 38, "Did you mean epochs?"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (lr = 3)", "UNKNOWN_OPTION", 1, 38, "learning_rate"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (epochs = 0)", "INVALID_OPTION_VALUE", 1, 47, "from 1"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (epochs = 2.5)", "INVALID_OPTION_VALUE", 1, 47, "integer"),
        (
            "TRAIN MODEL m FROM t LABEL x OPTIONS (optimizer = 'adm')",
            "INVALID_OPTION_VALUE",
            1,
            50,
            "'adam', 'adagrad'",
        ),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (learning_rate = -1)", "INVALID_OPTION_VALUE", 1, 54, "above 0"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (momentum = 0.9)", "MOMENTUM_WITHOUT_SGD", 1, 38, "sgd"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (seed 1, seed 2)", "SYNTAX_ERROR", 1, 46, "twice"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (dampening 0.1)", "OPTION_WITHOUT_EFFECT", 1, 38, "these do: sgd"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (hidden '8')", "OPTION_WITHOUT_EFFECT", 1, 38, "USING mlp"),
        ("TRAIN MODEL m FROM t LABEL x USING mlp OPTIONS (hidden 'a')", "INVALID_OPTION_VALUE", 1, 55, "'256,64'"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (metric 'rmse')", "INVALID_OPTION_VALUE", 1, 45, "accuracy"),
        ("TRAIN MODEL m FROM t TARGET x OPTIONS (metric 'accuracy')", "INVALID_OPTION_VALUE", 1, 46, "rmse, mae, r2"),
        ("TRAIN MODEL m FROM t TARGET x OPTIONS (class_weights 'auto')", "OPTION_WITHOUT_EFFECT", 1, 39, "TARGET"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (class_weights '{a}')", "INVALID_OPTION_VALUE", 1, 52, "JSON"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (max_runtime 'ten')", "INVALID_OPTION_VALUE", 1, 50, "'10m'"),
        (
            "TRAIN MODEL m FROM t LABEL x OPTIONS (precision f16)",
            "INVALID_OPTION_VALUE",
            1,
            48,
            "'auto', 'f32' or 'bf16'",
        ),
        (
            "TRAIN OR REPLACE MODEL m FROM t LABEL x OPTIONS (promote if_better)",
            "INVALID_OPTION_VALUE",
            1,
            57,
            "REPLACE",
        ),
        ("TRAIN MODEL m FROM t LABEL x USING cnn garbage", "SYNTAX_ERROR", 1, 39, "garbage"),
        ("TRAIN MODEL m FROM t LABEL x BACKBONE b FREEZE NONE LABEL y", "SYNTAX_ERROR", 1, 52, "twice"),
        ("TRAIN MODEL m FROM t LABEL x USING cnnn", "UNKNOWN_ARCHITECTURE", 1, 35, "linear"),
        ("TRAIN MODEL m FROM t TARGET x LABEL y", "SYNTAX_ERROR", 1, 30, "exclude"),
        ("TRAIN MODEL m FROM t TARGET x VALIDATE SPLIT 0.1 STRATIFIED", "SYNTAX_ERROR", 1, 39, "LABEL"),
        ("TRAIN MODEL m FROM t LABEL x VALIDATE SPLIT 0.5 TEST 0.5", "SYNTAX_ERROR", 1, 48, "no rows"),
        ("TRAIN MODEL m FROM t LABEL x VALIDATE SPLIT 0.5 SEED 1 SEED 2", "SYNTAX_ERROR", 1, 55, "twice"),
        ("TRAIN MODEL m FROM t LABEL x VALIDATE BY", "SYNTAX_ERROR", 1, 40, "a column"),
        ("TRAIN MODEL m FROM t LABEL x TUNE (epochs 3)", "SYNTAX_ERROR", 1, 42, "IN or BETWEEN"),
        ("TRAIN MODEL m FROM t LABEL x TUNE (seed IN (1), seed IN (2))", "SYNTAX_ERROR", 1, 48, "twice"),
        ("TRAIN MODEL m FROM t LABEL x TUNE (seed IN (1)) BY LUCK", "SYNTAX_ERROR", 1, 51, "GRID or RANDOM"),
        ("TRAIN MODEL m FROM t LABEL x PROPERTIES (Team = 'a', Team = 'b')", "SYNTAX_ERROR", 1, 53, "twice"),
        ("IMPORT MODEL m", "SYNTAX_ERROR", 1, 14, "FROM"),
        ("IMPORT MODEL m FROM 'x' OPTIONS (promote = always)", "EXPORT_HAS_ITS_OWN", 1, 32, "OPTIONS"),
        ("IMPORT MODEL m LABELS ('a') FROM 'x'", "EXPORT_HAS_ITS_OWN", 1, 22, "LABELS"),
        ("IMPORT MODEL m FROM 'x' FORMAT t", "UNKNOWN_FORMAT", 1, 31, "ONNX"),
        ("EXPORT MODEL m", "SYNTAX_ERROR", 1, 14, "TO and a path"),
        ("EXPORT MODEL m TO 'x' OPTIONS (overwrite = 1)", "INVALID_OPTION_VALUE", 1, 43, "true or false"),
        ("EXPORT MODEL m TO 'x' OPTIONS (replace = true)", "UNKNOWN_OPTION", 1, 31, "overwrite"),
        ("EXPORT MODEL m FORMAT onx TO 'x'", "UNKNOWN_FORMAT", 1, 22, "ONNX"),
        ("DROP MODEL m VERSION x", "SYNTAX_ERROR", 1, 21, "version number"),
        ("DESCRIBE MODEL m VERSION x", "SYNTAX_ERROR", 1, 25, "version number"),
        ("SHOW MODELS LIKE", "SYNTAX_ERROR", 1, 16, "pattern"),
        ("CANCEL TRAINING 12", "SYNTAX_ERROR", 1, 16, "run_id in quotes"),
        ("ALTER MODEL m", "SYNTAX_ERROR", 1, 13, "one of RENAME TO, SET DEFAULT VERSION"),
        ("ALTER MODEL m SET VERSION 2", "SYNTAX_ERROR", 1, 14, "SET ALIAS"),
        ("ALTER MODEL m SET DEFAULT VERSION newest", "SYNTAX_ERROR", 1, 34, "a version number or LATEST"),
        ("ALTER MODEL m SET ALIAS 3 = 2", "SYNTAX_ERROR", 1, 24, "a name, not a number"),
        ("ALTER MODEL m SET ALIAS prod 2", "SYNTAX_ERROR", 1, 29, "="),
        ("ALTER MODEL m SET ALIAS prod = 2.5", "SYNTAX_ERROR", 1, 31, "a version number"),
        ("ALTER MODEL m UNSET PROPERTIES ()", "SYNTAX_ERROR", 1, 32, "a property"),
        ("ALTER MODEL m PURGE", "SYNTAX_ERROR", 1, 19, "KEEP n VERSIONS or OLDER THAN n DAYS"),
        ("ALTER MODEL m PURGE KEEP -1 VERSIONS", "SYNTAX_ERROR", 1, 25, "0 or more"),
        ("COMMENT ON MODEL m 'x'", "SYNTAX_ERROR", 1, 19, "IS"),
        ("COMMENT ON MODEL m IS 3", "SYNTAX_ERROR", 1, 22, "a comment in quotes, or NULL"),
        ("PURGE MODELS", "SYNTAX_ERROR", 1, 12, "KEEP n VERSIONS, OLDER THAN n DAYS or ORPHANS"),
        ("PURGE MODELS DRY RUN", "SYNTAX_ERROR", 1, 13, "OLDER THAN n DAYS or ORPHANS"),
        ("PURGE MODELS KEEP 2 VERSIONS RUN", "SYNTAX_ERROR", 1, 29, "DRY RUN"),
        ("PURGE MODELS DRY RUN KEEP 2 VERSIONS DRY RUN", "SYNTAX_ERROR", 1, 37, "twice"),
        ("SHOW CREATE MODEL m 2", "SYNTAX_ERROR", 1, 20, "VERSION, ALIAS"),
        ("SHOW MODEL VERSIONS", "SYNTAX_ERROR", 1, 19, "a model name"),
        ("SHOW MODEL VERSIONS m VERSION 2", "SYNTAX_ERROR", 1, 22, "end of the statement"),
        ("SHOW TRAINING HISTORY m", "SYNTAX_ERROR", 1, 22, "MODEL and a model name, or RUN"),
        ("SHOW TRAINING HISTORY RUN 12", "SYNTAX_ERROR", 1, 26, "run_id in quotes"),
        ("SHOW TRAINING RUNS FOR m", "SYNTAX_ERROR", 1, 19, "FOR MODEL"),
        ("SHOW TRAINING RUNS IN a FOR MODEL b.m", "SYNTAX_ERROR", 1, 34, "different databases"),
        ("EVALUATE MODEL m FROM t garbage", "SYNTAX_ERROR", 1, 24, "garbage"),
        ("TRAIN MODEL m FROM t LABEL 'x", "SYNTAX_ERROR", 1, 0, "not closed"),
    ],
)
def test_errors_point(sql: str, error_class: str, line: int, pos: int, says: str) -> None:
    error = error_of(sql)
    assert (error.error_class, error.line, error.pos) == (error_class, line, pos), str(error)
    assert says in str(error)


def planned_uses() -> Iterator[tuple[str, str, str]]:
    """A statement with each planned word, where its error points, and the feature that the error names."""
    train = "TRAIN MODEL m FROM t LABEL x"
    for word in planned.ARCHITECTURES:
        yield f"{train} USING {word}", word, f"USING {word}"
    for word, follows in planned.FREEZE.items():
        layer = " 'layer4'" if follows else ""
        yield f"{train} BACKBONE b FREEZE {word}{layer}", "FREEZE", "FREEZE other than ALL"
    for word in planned.FORMATS:
        yield f"IMPORT MODEL m FROM 'x' FORMAT {word.lower()}", word.lower(), f"IMPORT .. FORMAT {word}"
        yield f"EXPORT MODEL m TO 'x' FORMAT {word}", word, f"EXPORT .. FORMAT {word}"
    for option, values in planned.OPTION_VALUES.items():
        for value in values:
            yield f"{train} TUNE (epochs IN (1)) OPTIONS ({option} {value})", value, f"{option} = '{value}'"


@pytest.mark.parametrize(("sql", "at", "feature"), list(planned_uses()))
def test_a_planned_word_is_reported_as_planned(sql: str, at: str, feature: str) -> None:
    error = error_of(sql)
    assert (error.error_class, error.pos) == ("FEATURE_NOT_AVAILABLE", sql.index(at))
    assert str(error) == f"{feature} is not available in this release."


def test_tune_cannot_try_a_planned_value() -> None:
    assert not set(planned.OPTION_VALUES) & set(TUNABLE)
