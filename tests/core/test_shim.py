"""The Scala shim: which statements are routed to Python, positions, errors, settings, access to the callback server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pyspark import SparkContext
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import SparkSession

from sqlext import bridge, statements


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str | None]]]:
    """Records what reaches the parser in Python: (text, explain)."""
    seen: list[tuple[str, str | None]] = []
    real = statements.parse

    def parse(spark: SparkSession, sql: str, explain: str | None = None) -> Any:
        seen.append((sql, explain))
        return real(spark, sql, explain)

    monkeypatch.setattr(statements, "parse", parse)
    yield seen


OURS = {
    "SHOW MODELS": "SHOW MODELS",
    "show models;": "show models;",
    "  sHoW\n  models": "  sHoW\n  models",
    "/* a /* nested */ comment */ SHOW MODELS": " " * 29 + "SHOW MODELS",
    "-- SHOW TABLES\nSHOW MODELS": " " * 14 + "\nSHOW MODELS",
    "SHOW /* in between */ MODELS": "SHOW /* in between */ MODELS",
    "(SHOW MODELS)": " SHOW MODELS ",
    "((SHOW MODELS)) ; -- done": "  SHOW MODELS   ; -- done",
}


@pytest.mark.parametrize("sql", [sql for sql, text in OURS.items() if text])
def test_ours_keep_their_positions(spark: SparkSession, parsed: list[Any], sql: str) -> None:
    spark.sql(sql)
    assert parsed == [(OURS[sql], None)]


@pytest.mark.parametrize("mode", ["", "EXTENDED", "FORMATTED", "CODEGEN", "COST"])
def test_explain_runs_nothing_and_shows_no_option(spark: SparkSession, parsed: list[Any], mode: str) -> None:
    sql = f"EXPLAIN {mode} DROP MODEL secret_name"
    plan = spark.sql(sql).collect()[0][0]
    assert ("StatementCommand" in plan or mode == "CODEGEN") and "secret_name" not in plan
    assert parsed == [(" " * sql.index("DROP") + "DROP MODEL secret_name", mode or "SIMPLE")]


NATIVE = [
    "SELECT model, label FROM VALUES (1, 2) AS models (model, label)",
    "SELECT 'TRAIN MODEL m'",
    "/* SHOW MODELS */ SELECT 1",
    "SHOW TABLES",
    "EXPLAIN SELECT 1",
    "(SELECT 1)",
    "VALUES (1)",
    "SET spark.sqlext.engine",
]


@pytest.mark.parametrize("sql", NATIVE)
def test_everything_else_is_left_to_spark(spark: SparkSession, parsed: list[Any], sql: str) -> None:
    spark.sql(sql).collect()
    assert parsed == []


def test_describe_model_without_a_name_describes_a_table_called_model(
    spark: SparkSession, database: str, parsed: list[Any]
) -> None:
    spark.sql("CREATE TABLE model (a INT) USING parquet")
    assert spark.sql("DESCRIBE MODEL").first()[0] == "a"  # type: ignore[index]
    assert parsed == []
    with pytest.raises(AnalysisException, match="MODEL_NOT_FOUND"):
        spark.sql("DESCRIBE MODEL a").collect()


@pytest.mark.parametrize(
    "sql", ["TRAIN", "SHOW MODEL", "(SHOW MODELS", "EXPLAIN", "/* open", "", "EXPLAIN LOGICAL SHOW MODELS"]
)
def test_native_errors_stay_native(spark: SparkSession, parsed: list[Any], sql: str) -> None:
    with pytest.raises(ParseException) as caught:
        spark.sql(sql)
    assert "SYNTAX_ERROR" in str(caught.value) or "EXPLAIN" in sql or "/*" in sql
    assert parsed == []


def test_variables_are_substituted(spark: SparkSession, parsed: list[Any]) -> None:
    spark.conf.set("pattern", "a*")
    spark.sql("SHOW MODELS LIKE '${pattern}'")
    assert parsed == [("SHOW MODELS LIKE 'a*'", None)]


def test_typed_rows_that_queries_can_use(spark: SparkSession) -> None:
    frame = spark.sql("SHOW MODELS IN default")
    assert dict(frame.dtypes)["version"] == "int" and dict(frame.dtypes)["created_at"] == "timestamp"
    frame.createOrReplaceTempView("shown")
    assert spark.sql("SELECT count(*) FROM shown").first()[0] == 0  # type: ignore[index]


def test_every_type_comes_back(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = "a STRING, b BIGINT, c DOUBLE, d MAP<STRING, DOUBLE>, e TIMESTAMP, f ARRAY<STRING>, g BOOLEAN"
    row = {
        "a": 'n\u00e4n \u6a21 \U0001f600 " \\ \n',
        "b": 2**53 + 1,
        "c": float("inf"),
        "d": {"x": float("nan"), "y": 1e-300},
        "e": "2024-01-02T03:04:05.678901Z",
        "f": [],
        "g": True,
    }
    monkeypatch.setattr(statements, "parse", lambda *_: {"statement": "S", "schema": schema, "payload": {}})
    monkeypatch.setattr(statements, "run", lambda *_: [row, dict.fromkeys(row)])
    full, empty = spark.sql("SHOW MODELS").selectExpr("*", "unix_micros(e) AS micros").collect()
    assert (full.a, full.b, full.c, full.f, full.g) == (row["a"], row["b"], row["c"], [], True)
    assert str(full.d["x"]) == "nan" and full.d["y"] == 1e-300
    assert full.micros == 1704164645678901
    assert all(value is None for value in empty)


def test_a_syntax_error_points(spark: SparkSession) -> None:
    with pytest.raises(ParseException) as caught:
        spark.sql("-- first line\nDROP MODEL a.b EXTRA")
    assert "[SYNTAX_ERROR]" in str(caught.value) and "(line 2, pos 15)" in str(caught.value)
    assert (caught.value.getErrorClass(), caught.value.getSqlState()) == ("SYNTAX_ERROR", "42601")


def test_a_user_error_has_class_state_and_position_but_no_stack(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException) as caught:
        spark.sql("DROP MODEL\n  nowhere")
    error = caught.value
    assert (error.getErrorClass(), error.getSqlState()) == ("MODEL_NOT_FOUND", "42P01")
    assert str(error).startswith("[MODEL_NOT_FOUND] ") and "line 2 pos 2" in str(error)
    assert error.cause is None and "\tat " not in error.stackTrace


def test_an_error_of_spark_inside_a_statement_is_unchanged(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "run", lambda session, _: session.table("no_such_table").collect())
    with pytest.raises(AnalysisException) as caught:
        spark.sql("SHOW MODELS")
    assert caught.value.getErrorClass() == "TABLE_OR_VIEW_NOT_FOUND" and caught.value.getSqlState() == "42P01"
    assert "Traceback" not in str(caught.value) and "UnresolvedRelation" not in str(caught.value)


def test_a_bug_is_one_sentence_with_the_id_of_its_traceback(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run(*_: Any) -> list[Any]:
        raise KeyError("a bug")

    monkeypatch.setattr(statements, "run", run)
    with pytest.raises(Exception, match=r"KeyError: 'a bug' \(log id [0-9a-f]{8}\)") as caught:
        spark.sql("SHOW MODELS")
    assert type(caught.value).__name__ == "QueryExecutionException"
    log_id = str(caught.value).split("log id ")[1][:8]
    assert any(log_id in r.message and r.exc_info for r in caplog.records)


def test_a_statement_sees_the_callers_session(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    other = spark.newSession()
    other.range(7).createOrReplaceTempView("mine")
    monkeypatch.setattr(statements, "run", lambda session, _: [{"model": str(session.table("mine").count())}])
    assert other.sql("SHOW MODELS").first()["model"] == "7"  # type: ignore[index]


# --- functions and settings -------------------------------------------------------------------------------------------


def test_functions_are_in_every_session(spark: SparkSession, database: str) -> None:
    session = spark.newSession()
    shown = {row[0] for row in session.sql("SHOW FUNCTIONS").collect()}
    assert {"classify", "sqlext_classify", "cosine_similarity", "sqlext_cosine_similarity"} <= shown
    assert "Usage: classify(" in str(session.sql("DESCRIBE FUNCTION classify").collect())
    session.sql(f"CREATE VIEW {database}.v AS SELECT cosine_similarity(array(1F), array(2F)) AS c")
    assert session.sql(f"SELECT c FROM {database}.v").first()[0] == 1.0  # type: ignore[index]


def test_a_view_resolves_models_in_its_own_database(
    spark: SparkSession, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlext import udfs

    seen: list[Any] = []

    def bind(_: SparkSession, function: str, namespace: list[str], arguments: list[dict[str, Any]]) -> dict[str, Any]:
        seen.append((function, namespace, [(a["constant"], a.get("value")) for a in arguments]))
        return {"steps": [], "result": "CAST(arg1 AS STRING)"}

    monkeypatch.setattr(udfs, "bind", bind)
    spark.sql("CREATE VIEW v AS SELECT classify(concat('m', '@', 2), id) AS l FROM range(2)")
    spark.sql("USE default")
    seen.clear()
    frame = spark.sql(f"SELECT l, sqlext_classify('x', NULL) FROM {database}.v")
    assert frame.columns == ["l", "sqlext_classify(x, NULL)"]
    assert [row[0] for row in frame.collect()] == ["0", "1"]
    assert sorted(seen, key=str) == sorted(
        [
            ("classify", [database], [(True, "m@2"), (False, None)]),
            ("classify", ["default"], [(True, "x"), (True, None)]),
        ],
        key=str,
    )


def test_static_settings_cannot_be_set(spark: SparkSession) -> None:
    for name in ("python", "pythonpath", "allowedPaths", "functions", "train.localMaxBytes"):
        with pytest.raises(AnalysisException, match="Cannot modify the value of a static config"):
            spark.sql(f"SET spark.sqlext.{name}=/x/evil.sh")
    with pytest.raises(Exception, match=r"spark\.sqlext\.batch\.maxRows should be int"):
        spark.sql("SET spark.sqlext.batch.maxRows=many")


# --- access to the callback server ------------------------------------------------------------------------------------


def _say(lines: list[str]) -> bytes:
    """Sends lines of Py4J's protocol to the callback server and returns what it answers."""
    gateway: Any = SparkContext._gateway
    with socket.create_connection(("127.0.0.1", gateway._callback_server.port), timeout=5) as client:
        client.sendall("".join(f"{line}\n" for line in lines).encode())
        try:
            return client.recv(4096)
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("method", ["call", "__getattribute__", "Java", "__class__"])
def test_a_socket_without_the_token_runs_nothing(spark: SparkSession, parsed: list[Any], method: str) -> None:
    request = '{"sql": "SHOW MODELS"}'
    for number in range(5):
        assert _say(["c", f"p{number}", method, "sguess", "n", "sparse", f"s{request}", "e"]) == b""
    assert _say(["A", "guessed-token", "e"]) == b"!xn\n"  # Py4J's "no"
    assert parsed == []


def test_a_call_without_the_secret_runs_nothing(spark: SparkSession, parsed: list[Any]) -> None:
    backend = bridge.Backend()
    for secret in ("", "guess", None, b"x", "\u00e4"):
        answer = backend.call(secret, spark._jsparkSession, "parse", '{"sql": "SHOW MODELS"}')
        assert "refused" in answer
    assert parsed == []


def test_the_callback_object_exposes_nothing_else() -> None:
    for name in (*dir(object), "__dict__", "__globals__", "__getattribute__", "__setattr__", "secret"):
        if name != "__class__":
            with pytest.raises(AttributeError):
                getattr(bridge.Backend(), name)
