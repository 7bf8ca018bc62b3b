"""The grammar without Spark: what is accepted, and where errors point."""

from __future__ import annotations

import pytest

from sqlext import statements
from sqlext.errors import SqlExtError
from sqlext.statements import parse_statement
from sqlext.statements.describe_model import DescribeModel
from sqlext.statements.drop_model import DropModel
from sqlext.statements.evaluate_model import EvaluateModel
from sqlext.statements.import_model import ImportModel
from sqlext.statements.show_models import ShowModels
from sqlext.statements.train_model import TrainModel


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
    assert one.options == other.options
    assert one.options["momentum"] == 0.5
    assert (
        (one.validation.fraction, one.validation.seed)
        == (other.validation.fraction, other.validation.seed)
        == (0.25, 7)
    )
    assert [str(c) for c in other.features] == ["image"]
    assert str(one.name) == str(other.name) == "shop.flowers"


def test_query_is_taken_verbatim() -> None:
    train = parse_statement("TRAIN MODEL m FROM (SELECT a, ')' AS b FROM t /* ) */ WHERE c IN (1, 2)) LABEL b")
    assert isinstance(train, TrainModel)
    assert train.source.sql == "(SELECT a, ')' AS b FROM t /* ) */ WHERE c IN (1, 2))"
    assert train.source.is_query


def test_clause_words_are_no_keywords_elsewhere() -> None:
    train = parse_statement(
        "TRAIN MODEL model FROM options FEATURES (features) LABEL label VALIDATE FROM `validate` OPTIONS (seed 1)"
    )
    assert isinstance(train, TrainModel)
    assert (str(train.name), str(train.label), train.source.sql) == ("model", "label", "`options`")


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("EVALUATE MODEL a.b VERSION 3 FROM t LABEL x", EvaluateModel),
        ("EVALUATE MODEL a.b ALIAS prod", EvaluateModel),
        ("SHOW MODELS IN shop LIKE 'fl*|x'", ShowModels),
        ("SHOW MODELS 'fl%'", ShowModels),
        ("DESC MODEL EXTENDED a.b@", None),
        ("DESCRIBE MODEL FORMATTED a.b VERSION 2", DescribeModel),
        ("DESCRIBE MODEL extended", DescribeModel),
        ("DROP MODEL IF EXISTS a.b VERSION 1", DropModel),
        (
            "IMPORT OR REPLACE MODEL m FROM 'file:/x.onnx' LABELS ('a', 'b') OPTIONS (mean = '.485 .456 .406')",
            ImportModel,
        ),
        ("IMPORT MODEL IF NOT EXISTS 'models.m' FROM 'x' FORMAT onnx", ImportModel),
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
        ("TRAIN MODEL m LABEL x", "SYNTAX_ERROR", 1, 21, "FROM"),
        ("TRAIN MODEL m FROM t", "SYNTAX_ERROR", 1, 20, "LABEL"),
        ("TRAIN MODEL m FROM t\nLABEL x\n  FOO 3", "SYNTAX_ERROR", 3, 2, "found 'FOO'"),
        ("TRAIN MODEL m FROM t LABEL x LABEL y", "SYNTAX_ERROR", 1, 29, "twice"),
        ("TRAIN MODEL m FROM (select 1 LABEL x", "SYNTAX_ERROR", 1, 36, "')'"),
        ("TRAIN MODEL m FROM t LABEL x VALIDATE SPLIT 1.5", "SYNTAX_ERROR", 1, 44, "between 0 and 1"),
        ("TRAIN OR REPLACE MODEL IF NOT EXISTS m FROM t LABEL x", "SYNTAX_ERROR", 1, 23, "exclude"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (epoch = 3)", "UNKNOWN_OPTION", 1, 38, "Did you mean epochs?"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (lr = 3)", "UNKNOWN_OPTION", 1, 38, "learning_rate"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (epochs = 0)", "INVALID_OPTION_VALUE", 1, 47, "from 1"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (epochs = 2.5)", "INVALID_OPTION_VALUE", 1, 47, "integer"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (optimizer = 'adm')", "INVALID_OPTION_VALUE", 1, 50, "'adam' or 'sgd'"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (learning_rate = -1)", "INVALID_OPTION_VALUE", 1, 54, "above 0"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (momentum = 0.9)", "MOMENTUM_WITHOUT_SGD", 1, 38, "sgd"),
        ("TRAIN MODEL m FROM t LABEL x OPTIONS (seed 1, seed 2)", "SYNTAX_ERROR", 1, 46, "twice"),
        ("TRAIN MODEL m FROM t LABEL x USING mlp", "FEATURE_NOT_AVAILABLE", 1, 35, "mlp"),
        ("TRAIN MODEL m FROM t LABEL x USING cnnn", "UNKNOWN_ARCHITECTURE", 1, 35, "linear"),
        ("TRAIN MODEL m FROM t TARGET x", "FEATURE_NOT_AVAILABLE", 1, 21, "TARGET"),
        ("IMPORT MODEL m", "SYNTAX_ERROR", 1, 14, "FROM"),
        ("IMPORT MODEL m FROM 'x.bin'", "UNKNOWN_FORMAT", 1, 20, "ONNX"),
        ("IMPORT MODEL m FROM 'x' FORMAT keras", "FEATURE_NOT_AVAILABLE", 1, 31, "KERAS"),
        ("DROP MODEL m VERSION x", "SYNTAX_ERROR", 1, 21, "version number"),
        ("DESCRIBE MODEL m VERSION x", "SYNTAX_ERROR", 1, 25, "version number"),
        ("SHOW MODELS LIKE", "SYNTAX_ERROR", 1, 16, "pattern"),
        ("EVALUATE MODEL m FROM t garbage", "SYNTAX_ERROR", 1, 24, "garbage"),
        ("TRAIN MODEL m FROM t LABEL 'x", "SYNTAX_ERROR", 1, 0, "not closed"),
    ],
)
def test_errors_point(sql: str, error_class: str, line: int, pos: int, says: str) -> None:
    error = error_of(sql)
    assert (error.error_class, error.line, error.pos) == (error_class, line, pos), str(error)
    assert says in str(error)
