"""Names of and references to models in SQL text."""

from __future__ import annotations

import pytest

from sqlext.catalog import ModelName, ModelRef, alias_name
from sqlext.errors import SqlExtError

SHOP = ModelName("shop", "flowers")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop.flowers", ModelRef(SHOP)),
        ("flowers", ModelRef(SHOP)),
        ("SHOP.Flowers", ModelRef(SHOP)),
        ("`shop`.`flowers`", ModelRef(SHOP)),
        (" shop . flowers ", ModelRef(SHOP)),
        ("shop.flowers@3", ModelRef(SHOP, version=3)),
        ("flowers@prod", ModelRef(SHOP, alias="prod")),
        ("flowers@`Prod`", ModelRef(SHOP, alias="prod")),
        ("shop.flowers@LATEST", ModelRef(SHOP, alias="latest")),
        ("shop.flowers@default", ModelRef(SHOP, alias="default")),
        ("other.`2024_x`@3a", ModelRef(ModelName("other", "2024_x"), alias="3a")),
    ],
)
def test_reference(text: str, expected: ModelRef) -> None:
    assert ModelRef.parse(text, "shop") == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "model or database.model"),
        (".", "model or database.model"),
        ("shop.", "model or database.model"),
        ("a.b.c", "model or database.model"),
        ("shop.flow-ers", "@alias"),
        ("`flow-ers`", "letters, digits"),
        ("`../../etc`", "letters, digits"),
        ("blümchen", "@alias"),
        ("shop.flowers@", "model or database.model"),
        ("shop.flowers@1@2", "@alias"),
        ("shop.flowers@a.b", "@alias"),
        ("shop.flowers@-1", "model or database.model"),
        ("m" * 129, "128 characters"),
    ],
)
def test_invalid_references(text: str, reason: str) -> None:
    with pytest.raises(SqlExtError, match=reason) as error:
        ModelRef.parse(text, "shop")
    assert error.value.error_class == "INVALID_MODEL_NAME"


def test_a_name_has_no_version() -> None:
    with pytest.raises(SqlExtError, match="'@3' is unexpected"):
        ModelName.parse("shop.flowers@3", "shop")
    assert ModelName.parse("Flowers", "shop") == SHOP
    assert SHOP.sql == "`spark_catalog`.`shop`.`flowers`"


@pytest.mark.parametrize("text", ["3", "latest", "DEFAULT", "a-b", ""])
def test_invalid_aliases(text: str) -> None:
    with pytest.raises(SqlExtError) as error:
        alias_name(text)
    assert error.value.error_class == "INVALID_ALIAS"


@pytest.mark.parametrize("text", ["shop.flowers", "shop.flowers@3", "shop.flowers@prod"])
def test_a_reference_prints_as_it_is_written(text: str) -> None:
    assert str(ModelRef.parse(text, "x")) == text


def test_the_session_catalog_may_be_written() -> None:
    assert ModelName.of(("Spark_Catalog", "Shop", "m"), "db") == ModelName("shop", "m")
    assert str(ModelRef.parse("spark_catalog.shop.m@3", "db")) == "shop.m@3"
    assert ModelName("shop", "m").sql == "`spark_catalog`.`shop`.`m`"
    with pytest.raises(
        SqlExtError, match="'c22.shop.m' is not.*models are in Spark's session catalog \\(spark_catalog\\)"
    ):
        ModelName.of(("c22", "shop", "m"), "db")
