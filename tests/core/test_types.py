"""Every type of Spark as label, target and feature: it trains, evaluates and scores, or an error names what is accepted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession, types

from tests.support.results import one

# Class of the type -> SQL of two values, for 0 and 1 in the column b. `?` is b as INT.
VALUES = {
    "StringType": "IF(? = 0, 'no ', 'no')",
    "CharType": "padded",
    "VarcharType": "varied",
    "BooleanType": "? = 0",
    "ByteType": "CAST(? * 3 AS TINYINT)",
    "ShortType": "CAST(? * 300 AS SMALLINT)",
    "IntegerType": "? * 70000",
    "LongType": "CAST(1700000000000 + ? AS BIGINT)",
    "FloatType": "IF(? = 0, IF(id < 20, -0.0F, 0.0F), 7.0F)",
    "DoubleType": "IF(? = 0, IF(id < 20, -0.0D, 0.0D), 7.0D)",
    "DecimalType": "CAST('12345678901234567890123456' AS DECIMAL(38, 2)) + ?",
    "DateType": "date'2024-02-28' + ?",
    "TimestampType": "timestamp_seconds(1700000000 + ? * 90000)",
    "TimestampNTZType": "timestamp_ntz'2024-02-28 10:00:00' + make_dt_interval(?)",
    "DayTimeIntervalType": "make_dt_interval(?)",
    "YearMonthIntervalType": "make_ym_interval(?)",  # PySpark 3.4 has no class for it
    "CalendarIntervalType": "make_interval(?)",  # nor for this one
    "BinaryType": "CAST(CAST(? AS STRING) AS BINARY)",
    "NullType": "NULL",
    "ArrayType": "array(?, 0)",
    "MapType": "map('a', ?)",
    "StructType": "struct(? AS a)",
    "UserDefinedType": "vector",
}
BASES = {
    *("DataType", "AtomicType", "NumericType", "IntegralType", "FractionalType"),
    *("StructField", "PythonOnlyUDT", "ExamplePointUDT"),
}
NUMBERS = ("ByteType", "ShortType", "IntegerType", "LongType", "FloatType", "DoubleType", "DecimalType")
CLASSES = (
    *("StringType", "CharType", "VarcharType", "BooleanType", *NUMBERS, "DateType", "TimestampType"),
    *("TimestampNTZType", "DayTimeIntervalType", "YearMonthIntervalType", "CalendarIntervalType"),
)
# Types that take the way of another one above, from the column to the label's text; `make test-slow` has them.
ALIKE = (
    *("VarcharType", "BooleanType", "ByteType", "ShortType", "IntegerType", "LongType", "FloatType", "DateType"),
    *("StringType", "TimestampNTZType", "DayTimeIntervalType", "CalendarIntervalType"),
)
# The texts of the two labels, where they are not those of CAST to STRING.
TEXTS = {
    "StringType": {"no ", "no"},
    "CharType": {"a", "b"},
    "VarcharType": {"a ", "a"},
    "FloatType": {"0.0", "7.0"},
    "DoubleType": {"0.0", "7.0"},
    "DecimalType": {"12345678901234567890123456.00", "12345678901234567890123457.00"},
    "TimestampType": {"2023-11-14 22:13:20Z", "2023-11-15 23:13:20Z"},
}


def _subclasses(kind: type) -> set[type]:
    return {kind}.union(*[_subclasses(sub) for sub in kind.__subclasses__() if sub.__module__ == types.__name__])


def test_the_table_has_every_type() -> None:
    assert {kind.__name__ for kind in _subclasses(types.DataType)} <= VALUES.keys() | BASES


@pytest.fixture(scope="module")
def typed(spark: SparkSession) -> Iterator[str]:
    """Database `typed` with a table of 40 rows and one column per type, named like its class, and the view `every` of it."""
    from pyspark.ml.linalg import Vectors

    spark.sql("CREATE DATABASE typed")
    spark.sql("USE typed")
    spark.sql("SET TIME ZONE 'America/New_York'")
    spark.sql("CREATE TABLE texts (id BIGINT, b INT, v DOUBLE, padded CHAR(4), varied VARCHAR(4)) USING PARQUET")
    spark.sql(
        "INSERT INTO texts SELECT id, id % 2, (id % 2) * 10 + id / 100, IF(id % 2 = 0, 'a', 'b'), IF(id % 2 = 0, 'a ', 'a') "
        "FROM range(0, 40, 1, 1)"
    )
    vectors = [(i, Vectors.dense(i, 1)) for i in range(2)]
    spark.createDataFrame(vectors, ["b", "vector"]).createOrReplaceTempView("vectors")
    columns = ", ".join(f"{sql.replace('?', 'b')} AS {name}" for name, sql in VALUES.items())
    spark.sql(f"CREATE TEMPORARY VIEW computed AS SELECT id, v, {columns} FROM texts JOIN vectors USING (b)")
    spark.sql("CACHE TABLE every AS SELECT /*+ COALESCE(1) */ * FROM computed")
    yield "every"
    spark.sql("UNCACHE TABLE every")
    spark.sql("RESET spark.sql.session.timeZone")
    spark.sql("USE default")
    spark.sql("DROP DATABASE typed CASCADE")


def error(spark: SparkSession, sql: str) -> str:
    with pytest.raises(AnalysisException) as caught:
        spark.sql(sql)
    return str(caught.value)


@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.slow if k in ALIKE else ()) for k in CLASSES])
def test_as_label(spark: SparkSession, typed: str, kind: str) -> None:
    row = one(
        spark, f"TRAIN MODEL as_label FROM every FEATURES (v) LABEL {kind} OPTIONS (epochs = 30, learning_rate = 0.3)"
    )
    assert (row.classes, row.rows_skipped, row.metric_value) == (2, 0, 1.0)
    zones = ("America/New_York", "Asia/Tokyo") if kind.startswith("Timestamp") else ("America/New_York",)
    for zone in zones:
        spark.sql(f"SET TIME ZONE '{zone}'")
        found = one(spark, "EVALUATE MODEL as_label FROM every")
        assert (found.accuracy, found.rows_unknown_label, found.rows_skipped) == (1.0, 0, 0), zone
        scored = one(
            spark,
            f"SELECT collect_set(classify('as_label', v)) AS labels, min(classify_score_of('as_label', {kind}, v)) AS low, "
            f"count(classify_score_of('as_label', {kind}, v)) AS known FROM every",
        )
        assert scored.known == 40 and scored.low > 0.5, zone
        if kind in TEXTS:
            assert set(scored.labels) == TEXTS[kind]
    spark.sql("SET TIME ZONE 'America/New_York'")
    spark.sql("DROP MODEL as_label")


def test_a_default_of_another_time_zone_is_compared(spark: SparkSession, typed: str) -> None:
    options = "epochs = 30, learning_rate = 0.3"
    spark.sql(f"TRAIN MODEL zoned FROM every FEATURES (v) LABEL TimestampType OPTIONS ({options})")
    spark.sql("SET TIME ZONE 'Asia/Tokyo'")
    again = one(spark, "TRAIN MODEL zoned OPTIONS (promote = 'if_better', epochs = 1)")
    spark.sql("SET TIME ZONE 'America/New_York'")
    assert again.message.startswith("default stays 1: version 1 scores 1.000, this version ")
    constant = "timestamp'2023-11-14 17:13:20'"  # in New York
    known = one(spark, f"SELECT count(classify_score_of('zoned', {constant}, v)) AS n FROM every").n
    assert known == 40


def test_a_default_with_labels_of_another_type_stays(spark: SparkSession, typed: str) -> None:
    """Its labels would be 0 and 1, those of this run 0.0 and 1.0: it would lose although it is right."""
    train = "TRAIN MODEL retyped FROM every FEATURES (v) LABEL {} OPTIONS (epochs = 5, promote = 'if_better')"
    spark.sql(train.format("IntegerType"))
    message = one(spark, train.format("DoubleType")).message
    assert message.startswith("default stays 1: version 1 cannot be scored on these rows")
    assert "version 1 has labels of type int, and this column is double; use promote = 'always'" in message
    assert "cannot be scored" not in (one(spark, train.format("LongType")).message or "")
    spark.sql("DROP MODEL retyped")


@pytest.mark.parametrize(
    ("trained", "validated"), [pytest.param("CHAR(4)", "STRING", marks=pytest.mark.slow), ("STRING", "CHAR(4)")]
)
def test_validation_rows_with_padded_labels(spark: SparkSession, typed: str, trained: str, validated: str) -> None:
    for name, kind in (("train_rows", trained), ("other_rows", validated)):
        spark.sql(f"DROP TABLE IF EXISTS {name}")
        spark.sql(f"CREATE TABLE {name} (v DOUBLE, label {kind}) USING PARQUET")
        spark.sql(f"INSERT INTO {name} SELECT v, IF(b = 0, 'a', 'b') FROM texts")
    row = one(
        spark,
        "TRAIN MODEL padded FROM train_rows FEATURES (v) LABEL label VALIDATE FROM other_rows "
        "OPTIONS (epochs = 30, learning_rate = 0.3)",
    )
    assert (row.rows_validated, row.metric_value, row.classes) == (40, 1.0, 2)
    assert "no training row has" not in row.message
    spark.sql("DROP MODEL padded")


# Type and labels of the model, then SQL of a value -> the text that equals a label, or another text.
EQUAL_LABELS = {
    "a BIGINT beside DOUBLE": ("double", "9007199254740993", "9007199254740993"),
    "a BIGINT that DOUBLE has": ("double", "9007199254740992", "9.007199254740992E15"),
    "an INT beside FLOAT": ("float", "16777217", "16777217"),
    "an INT that FLOAT has": ("float", "16777216", "1.6777216E7"),
    "a DOUBLE beside BIGINT": ("bigint", "0.5D", "0.5"),
    "a DOUBLE that BIGINT has": ("bigint", "-0.0D", "0"),
    "a DECIMAL beside DOUBLE": ("double", "9007199254740993.0BD", "9007199254740993.0"),
    "a DECIMAL beside INT": ("int", "1.0000001BD", "1.0000001"),
    "a DECIMAL that INT has": ("int", "1.000BD", "1"),
    "a text with seven digits": ("int", "'1.0000001'", "1.0000001"),
    "a text with a small exponent": ("int", "'1e-7'", "1e-7"),
    "a text with zeros": ("int", "' +1.000000000 '", "1"),
    "a text with an exponent": ("int", "'1e3'", "1000"),
    "a text beside DOUBLE": ("double", "'9007199254740993'", "9007199254740993"),
    "a text that is no number": ("int", "'one'", "one"),
}


def test_numbers_are_equal_only_without_rounding(spark: SparkSession) -> None:
    from sqlext.spark.labels import known_label_sql

    kinds = spark.sql("SELECT " + ", ".join(value for _, value, _ in EQUAL_LABELS.values())).schema.fields
    texts = [
        known_label_sql(value, field.dataType, {"label_type": trained})
        for (trained, value, _), field in zip(EQUAL_LABELS.values(), kinds, strict=True)
    ]
    found = one(spark, "SELECT " + ", ".join(f"{text} AS c{i}" for i, text in enumerate(texts)))
    assert dict(zip(EQUAL_LABELS, found, strict=True)) == {name: text for name, (*_, text) in EQUAL_LABELS.items()}


@pytest.mark.parametrize("kind", sorted(VALUES.keys() - set(CLASSES)))
def test_not_a_label(spark: SparkSession, typed: str, kind: str) -> None:
    message = error(spark, f"TRAIN MODEL not_a_label FROM every FEATURES (v) LABEL {kind}")
    assert "[INVALID_LABEL]" in message
    assert "values cannot be classes; use a string, number, boolean or date" in message


def test_as_targets(spark: SparkSession, typed: str) -> None:
    """The same for all types but for the unit: the target is 0 or 1 times a constant, plus an offset."""
    wanted = None
    for kind in ("ByteType", "LongType", "DecimalType"):
        row = one(
            spark,
            f"TRAIN MODEL as_target FROM every FEATURES (v) TARGET {kind} OPTIONS (epochs = 30, learning_rate = 0.3)",
        )
        share = row.metric_value / row.baseline_value
        if kind == "DecimalType":
            continue  # 1 is less than the distance of DOUBLE numbers there
        wanted = wanted or share
        assert share == pytest.approx(wanted, rel=0.02), kind
        found = one(spark, "EVALUATE MODEL as_target FROM every")
        assert found.rmse < 0.4 * found.baseline_value, kind
        spread = one(spark, "SELECT count(DISTINCT predict_value('as_target', v)) AS n FROM every")
        assert spread.n > 30, kind


@pytest.mark.parametrize("kind", sorted(VALUES.keys() - set(NUMBERS)))
def test_not_a_target(spark: SparkSession, typed: str, kind: str) -> None:
    message = error(spark, f"TRAIN MODEL not_a_target FROM every FEATURES (v) TARGET {kind}")
    assert "[INVALID_TARGET]" in message
    assert "not a number; use LABEL" in message


def test_as_features(spark: SparkSession, typed: str) -> None:
    for features in (", ".join((*NUMBERS, "BooleanType")), "ArrayType", "UserDefinedType"):
        row = one(
            spark,
            f"TRAIN MODEL as_feature FROM every FEATURES ({features}) LABEL CharType OPTIONS (epochs = 30, learning_rate = 0.3) "
            "VALIDATE FROM every",
        )
        assert row.metric_value == 1.0, features
        found = one(spark, "EVALUATE MODEL as_feature FROM every")
        assert found.accuracy == 1.0
        wrong = one(
            spark,
            f"SELECT count_if(classify('as_feature', {features}) <> rtrim(CharType)) AS wrong, "
            f"count(predict_error('as_feature', {features})) AS bad FROM every",
        )
        assert (wrong.wrong, wrong.bad) == (0, 0), features


@pytest.mark.parametrize(
    "kind", sorted(VALUES.keys() - {*NUMBERS, "BooleanType", "ArrayType", "UserDefinedType", "BinaryType"})
)
def test_not_a_feature(spark: SparkSession, typed: str, kind: str) -> None:
    message = error(spark, f"TRAIN MODEL not_a_feature FROM every FEATURES ({kind}) LABEL ByteType")
    assert "[INVALID_FEATURES]" in message
    assert "neither an image (BINARY or an image struct) nor an array, a vector or a number" in message
