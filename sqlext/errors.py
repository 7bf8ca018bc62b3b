"""Every error that a SQL user can see: one exception class and one table of error classes with their SQLSTATEs.

An error is data: ``raise SqlExtError("MODEL_NOT_FOUND", model="shop.flowrs", hint="Did you mean shop.flowers?")``.
The template turns the data into a message. The bridge turns the exception into Spark's AnalysisException or
ParseException, so beeline, JDBC and PySpark display it like Spark's own errors. A message says what is wrong, with which
object, and what would be accepted.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlext.text import first_few

# Error class -> (SQLSTATE, template). SQLSTATEs follow Spark's error-classes.json.
ERROR_CLASSES: dict[str, tuple[str, str]] = {
    # --- syntax -------------------------------------------------------------------------------------------------
    "SYNTAX_ERROR": ("42601", "{problem}"),
    # --- names --------------------------------------------------------------------------------------------------
    "MODEL_NOT_FOUND": ("42P01", "Model {model} was not found. {hint}"),
    "MODEL_VERSION_NOT_FOUND": ("42P01", "Model {model} has no version {version}. {hint}"),
    "MODEL_ALREADY_EXISTS": (
        "42710",
        "Model {model} already exists. Use CREATE OR REPLACE MODEL to replace it, CREATE MODEL IF NOT EXISTS to leave it as "
        "it is, or TRAIN MODEL to add a version.",
    ),
    "NOT_A_MODEL": ("42809", "{table} is a {kind}, not a model. Use another name; SHOW MODELS lists the models."),
    "INVALID_MODEL_NAME": ("42602", "'{name}' is not a valid model name: {reason}."),
    # --- catalog ------------------------------------------------------------------------------------------------
    "ALIAS_NOT_FOUND": ("42704", "Model {model} has no alias '{alias}'. {hint}"),
    "ALIASED_VERSION": (
        "2BP01",
        "Version {version} of {model} cannot be dropped because it has an alias: {aliases}. Move or unset it first (ALTER MODEL).",
    ),
    "BACKBONE_IN_USE": (
        "2BP01",
        "A version of {model} cannot be dropped because it is the backbone of {users}. Drop those models first.",
    ),
    "DATABASE_NOT_FOUND": ("42704", "Database {database} was not found. {hint}"),
    "DEFAULT_VERSION_DROP": (
        "2BP01",
        "Version {version} of {model} cannot be dropped because it is the default and other versions exist. Set another default "
        "first (ALTER MODEL {model} SET DEFAULT VERSION n), or drop the whole model (DROP MODEL {model}).",
    ),
    "FOLDER_ACCESS_DENIED": ("42501", "{user} has no {right} permission on {folder}: {reason}"),
    "INVALID_ALIAS": (
        "42602",
        "'{alias}' is not a valid alias. Use letters, digits and _, but not a number, 'latest' or 'default'.",
    ),
    "INVALID_MODEL_PROPERTY": ("22023", "Property '{key}' {reason}."),
    "MODEL_FILES_MISSING": ("58030", "The files of {model} are incomplete: {path} is missing."),
    "MODEL_FORMAT_TOO_NEW": (
        "0A000",
        "{model} was written by bigdl-sqlext {release} in format {format}, but this release ({this}) reads only formats up to "
        "{known}. Use bigdl-sqlext {release} or newer.",
    ),
    "MODEL_KIND_MISMATCH": (
        "42809",
        "Model {model} is a {kind}, so a {wanted} cannot be added as a version. Choose another name, or drop the model first.",
    ),
    "PERMISSION_DENIED": ("42501", "No {right} permission on {model}: {reason}"),
    "NAME_IN_USE": ("42P07", "A {kind} with the name {name} already exists. Choose another name."),
    "PROPERTY_NOT_FOUND": ("42704", "Model {model} has no property '{key}'. {hint}"),
    "RENAME_ACROSS_DATABASES": (
        "0A000",
        "{model} cannot be renamed to {to}: RENAME TO does not move a model to another database. Use EXPORT MODEL and IMPORT MODEL "
        "to copy it there.",
    ),
    "RUN_HAS_ENDED": (
        "55000",
        "Training run {run_id} cannot be cancelled because it has already ended: its status is {status}.",
    ),
    "RUN_NOT_FOUND": (
        "42704",
        "Training run '{run_id}' was not found. SHOW TRAINING RUNS lists the runs of a database.",
    ),
    "STATEMENT_NOT_KEPT": (
        "0A000",
        "The statement that created {model} was not stored, so SHOW CREATE MODEL cannot show it.",
    ),
    "VERSION_CONFLICT": (
        "40001",
        "{version} could not be changed: concurrent changes interfered with all {attempts} attempts. Run the statement again.",
    ),
    "PUBLISH_CONFLICT": (
        "40001",
        "No version of {model} could be published: concurrent changes interfered with all {attempts} attempts. Run the "
        "statement again.",
    ),
    # --- networks and images ------------------------------------------------------------------------------------
    "INVALID_PREPROCESSING": ("22023", "Option {option} = {value} is invalid: expected {accepted}."),
    "INVALID_NETWORK": ("22023", "The network cannot be imported: {reason}"),
    "IMPORT_CHECK_FAILED": ("22023", "The network was not imported: {reason}."),
    "ENGINE_NOT_AVAILABLE": ("0A000", "Engine {engine} cannot be used: {reason}."),
    # --- options ------------------------------------------------------------------------------------------------
    "UNKNOWN_OPTION": ("42616", "Unknown option {option}. {hint}"),
    "INVALID_OPTION_VALUE": ("22023", "Option {option} = {value} is invalid: expected {accepted}."),
    "MOMENTUM_WITHOUT_SGD": ("22023", "Option momentum is only for optimizer 'sgd', not for '{optimizer}'."),
    "OPTION_WITHOUT_EFFECT": ("22023", "Option {option} has no effect in this statement: {reason}."),
    "FEATURE_NOT_AVAILABLE": ("0A000", "{feature} is not available in this release."),
    "UNKNOWN_ARCHITECTURE": ("42616", "USING {architecture} is unknown. Available: {known}."),
    "UNKNOWN_FORMAT": ("42616", "Unknown format: {format}. Available: {formats}."),
    # --- data ---------------------------------------------------------------------------------------------------
    "SOURCE_NOT_FOUND": ("42P01", "{source} cannot be read: {reason}"),
    "SOURCE_CHANGED": ("40001", "The table changed while it was read: {what}. Run the statement again."),
    "SOURCE_UNREADABLE": ("58030", "The source cannot be read: {reason}"),
    "AMBIGUOUS_COLUMN": (
        "42702",
        "Column {column} is ambiguous: {source} has {names}. Name the columns in a query with aliases.",
    ),
    "COLUMN_NOT_FOUND": ("42703", "Column {column} is not in {source}. {hint}"),
    "FEATURES_NOT_CLEAR": (
        "42702",
        "Cannot choose the feature columns of {source}: {problem}.",
    ),
    "INVALID_FEATURES": ("42K09", "Column {column} cannot be used as FEATURES: {problem}."),
    "COLUMN_TYPE_DIFFERS": ("42K09", "Column {column} {problem}."),
    "INVALID_TARGET": ("42K09", "Column {column} cannot be used as TARGET: {problem}."),
    "INVALID_VALIDATION_COLUMN": (
        "42K09",
        "Column {column} cannot be used in VALIDATE BY: {problem}. Use a BOOLEAN column (true: validation) or a STRING column "
        "with the values train, validation and test.",
    ),
    "BACKBONE_WITHOUT_IMAGE": (
        "42K09",
        "BACKBONE needs an image column, or an array column with embeddings of this backbone, but the features are columns of "
        "numbers ({columns}).",
    ),
    "WARM_START_MISMATCH": ("42809", "warm_start cannot use the weights of {model}: {reason}."),
    "INVALID_LABEL": ("42K09", "Column {column} cannot be used as LABEL: {problem}."),
    "TOO_FEW_CLASSES": (
        "22023",
        "Column {column} of {source} contains {count}; a classifier needs at least two classes.",
    ),
    "NO_ROWS": ("22023", "{source} does not have the rows that the statement needs: {reason}."),
    "TOO_MANY_BAD_ROWS": (
        "22023",
        "{bad} of {rows} rows of {source} cannot be used ({reasons}), but the options allow {allowed}. This query shows the rows: {query}",
    ),
    "UNKNOWN_LABEL": ("22023", "Model {model} has no label '{label}'. {hint}"),
    "NO_HELD_OUT_ROWS": (
        "22023",
        "Version {version} of {model} has no held-out rows ({trained}). Evaluate it on a table or query: "
        "EVALUATE MODEL {model} VERSION {version} FROM source.",
    ),
    "NOTHING_TO_EVALUATE": (
        "22023",
        "{model} is an imported network, which has no held-out rows. Evaluate it on a table or query: EVALUATE MODEL {model} "
        "FROM source.",
    ),
    "NO_CLASSES": ("42809", "{model} predicts a number and has no classes. Leave {form} out."),
    "NO_LABELS": ("22023", "{model} has no labels to compare with. Import it with LABELS."),
    "LABEL_NEEDED": (
        "22023",
        "{model} was imported and has no label column. Name the column of the source that contains the labels: EVALUATE MODEL "
        "{model} FROM source LABEL column.",
    ),
    "INVALID_TUNE": ("22023", "TUNE {problem}."),
    "TUNE_FAILED": ("22023", "None of the {trials} TUNE trials produced a model. {reason}"),
    "CANNOT_TRAIN_AGAIN": ("0A000", "The training of {model} cannot be repeated: {problem}. {made}"),
    # --- backbones and engines --------------------------------------------------------------------------------------
    "BACKBONE_NOT_FOUND": ("42P01", "Backbone {model} was not found. {hint}"),
    "NOT_A_CLASSIFIER": (
        "42809",
        "{model} is an imported {kind}, to which TRAIN cannot add a version. Choose another name for the new model.",
    ),
    "NOT_A_BACKBONE": ("42809", "{model} is a {kind}, not an imported backbone. {hint}"),
    "BACKBONE_MISSING": (
        "42P01",
        "Model {model} needs version {version} of backbone {backbone} (id {model_id}), which no longer exists. "
        "No other version can replace it.",
    ),
    "BACKBONE_WIDTH": (
        "42K09",
        "{backbone} returns arrays of {expected} numbers, but column {column} contains arrays of {width}.",
    ),
    "NO_CLASSIFIER": (
        "42809",
        "{model} is a network without class scores. Use embed('{model}', image) to get its embedding.",
    ),
    "ENGINE_CANNOT_SCORE": ("0A000", "Engine {engine} (spark.sqlext.engine) cannot score {model}: {reason}."),
    "INVALID_SETTING": ("22023", "{setting} = {value} is invalid: expected {accepted}."),
    "FEATURES_MISMATCH": ("42K09", "Model {model} expects {expected}, not {given}. {call}"),
    "WRONG_KIND_OF_MODEL": ("42809", "{function} needs a {wanted}, but {model} is a {kind}. {instead}"),
    "UNSUPPORTED_IN_LAMBDA": (
        "0A000",
        "{function} cannot be called inside a lambda function because it scores batches of rows. Turn the elements into rows: "
        "SELECT {function}(.., x) FROM (SELECT explode(xs) AS x FROM ..).",
    ),
    "INVALID_ARGUMENTS": ("42605", "Invalid call: {signature} {problem}."),
    "NOT_AN_IMPORT": (
        "42809",
        "{model} is a trained {kind}, to which IMPORT cannot add a version. Choose another name for the new model.",
    ),
    "INVALID_LABELS_TABLE": (
        "42K09",
        "{table} cannot be used in LABELS FROM. The table must have exactly one STRING column (the labels) and one integer column "
        "(their 0-based indexes).",
    ),
    "LABELS_MISMATCH": (
        "22023",
        "LABELS names {given} labels ({distinct} distinct), but the network has {outputs} outputs. Each output needs one distinct label.",
    ),
    "LABELS_NEEDED": (
        "22023",
        "The network has one output, {output}, which stands for two classes. Name them: LABELS ('first', 'second'), where the output "
        "is the probability of the second; {backbone}.",
    ),
    # --- files and training -----------------------------------------------------------------------------------------
    "PATH_NOT_ALLOWED": (
        "42501",
        "'{path}' is outside the folders that this server may use: {allowed} (spark.sqlext.allowedPaths).",
    ),
    "EXPORT_HAS_ITS_OWN": (
        "42601",
        "The {clause} clause is only for network files, but IMPORT reads '{path}' as a folder that EXPORT MODEL wrote. Leave {clause} "
        "out, or add FORMAT {formats} if '{path}' is a network file.",
    ),
    "IS_A_FOLDER": (
        "58030",
        "'{path}' is a folder, but FORMAT {format} reads a single file. Leave FORMAT out if EXPORT MODEL wrote the folder.",
    ),
    "EXPORT_DAMAGED": ("58030", "'{path}' cannot be imported: {reason}."),
    "EXPORT_NOT_POSSIBLE": (
        "0A000",
        "{model} cannot be exported as {format}: {reason}. EXPORT MODEL without FORMAT can export every model.",
    ),
    "EXPORT_TARGET_EXISTS": ("58030", "'{path}' {reason}."),
    "BACKBONE_NOT_PLACED": ("42809", "The backbone in the export cannot be published as {backbone}: {reason}"),
    "NOT_IN_PACKAGE": ("58030", "Unknown built-in network '{path}'. Available: '{available}'."),
    "FILE_NOT_FOUND": ("58030", "'{path}' was not found (looked up as {looked_up})."),
    "BIGDL_MISSING": ("58000", "{reason}"),
    "TRAINING_CANCELLED": ("57014", "Training of {model} was cancelled (run {run_id}); no version was published."),
    "TRAINING_DIVERGED": (
        "22003",
        "Training of {model} diverged: the loss is {loss} after epoch {epoch}. Try a smaller learning_rate.",
    ),
    "TRAINING_TOO_LARGE": (
        "53000",
        "The features take {size}, but one executor can train on at most {limit} (a tenth of its heap), and BigDL cannot train on "
        "all executors: {problem}.",
    ),
    # --- sessions -----------------------------------------------------------------------------------------------
    "JAVA_NOT_FOUND": (
        "0A000",
        "Spark 3.4 needs Java 8, 11 or 17. {seen}Install one of them, for example Java 17 from PyPI: pip install 'bigdl-sqlext[java]'.",
    ),
    "COMPILED_SQLGLOT": (
        "0A000",
        "The sqlglot dialect `bigdl` needs sqlglot in pure Python, but its compiled extra is installed. Run: pip uninstall sqlglotc",
    ),
    "JAR_NOT_BUILT": ("0A000", "{jar} is missing. Run `make jar`, or install the package with pip."),
    "JAR_IS_STALE": (
        "0A000",
        "{jar} is out of date: it was built for other statements, functions or settings. Run `make jar`.",
    ),
    "SESSION_NOT_READY": (
        "0A000",
        "The running Spark session was started without {lacks}. Stop it and start one with sqlext.session(), "
        "or prepare its builder with sqlext.configure(builder).",
    ),
    "PINNED_THREADS_NEEDED": (
        "0A000",
        "bigdl-sqlext needs PySpark's pinned thread mode. Unset PYSPARK_PIN_THREAD and restart the program.",
    ),
    "SERVER_NOT_STARTED": ("08001", "The Thrift server cannot listen on {host}:{port}: {reason}."),
    "NO_PYTHON_BACKEND": (
        "08001",
        "This Spark driver does not know the Python that carries out the statements and functions of bigdl-sqlext. Add the lines "
        "that `sqlext conf` prints to spark-defaults.conf (spark.sqlext.python is missing), start the driver with `sqlext serve` or "
        "sqlext.session(), or call sqlext.attach(spark) in the Python program that created the session.",
    ),
    "BACKEND_NOT_STARTED": (
        "08001",
        "The Python process of bigdl-sqlext ({python}, from spark.sqlext.python) did not start: {reason}",
    ),
    "BACKEND_LOST": (
        "08006",
        "The Python process of bigdl-sqlext ended while the statement ran. Run the statement again: the process is started again.",
    ),
    "SERVER_STOPS": ("57P01", "The server is shutting down."),
    "INVALID_WAREHOUSE": (
        "22023",
        "Warehouse {folder} cannot be used: {reason}.",
    ),
    "WAREHOUSE_IN_USE": (
        "55006",
        "Warehouse {folder} is in use by process {pid}, and its embedded metastore supports only one process. End that process. "
        "To share the warehouse, run `sqlext serve --warehouse {folder}` in its place, and connect over JDBC.",
    ),
}

# The Scala shim also raises these, so the jar contains their templates.
RAISED_BY_JVM = (
    "BACKEND_LOST",
    "BACKEND_NOT_STARTED",
    "INVALID_ARGUMENTS",
    "NO_PYTHON_BACKEND",
    "PATH_NOT_ALLOWED",
    "SERVER_NOT_STARTED",
    "SERVER_STOPS",
    "UNSUPPORTED_IN_LAMBDA",
)


class SqlExtError(Exception):
    """An error for the SQL user.

    :param error_class: a key of :data:`ERROR_CLASSES`.
    :param offset: 0-based character offset of the fault in the statement's text, if it has one.
    :param values: a value for each placeholder in the template of the error class.
    """

    def __init__(self, error_class: str, *, offset: int | None = None, **values: object) -> None:
        self.error_class = error_class
        self.sqlstate, template = ERROR_CLASSES[error_class]
        self.offset = offset
        self.line: int | None = None  # 1-based; set once the statement's text is known
        self.pos: int | None = None  # column, 0-based; without a line: which argument of a function's call is at fault
        self.values = values
        super().__init__(template.format(**values).strip())

    @property
    def is_syntax(self) -> bool:
        """Whether Spark should show the error as a ParseException (otherwise as an AnalysisException)."""
        return self.error_class == "SYNTAX_ERROR"


def position(sql: str, offset: int) -> tuple[int, int]:
    """Returns the line (1-based) and column (0-based) of a character offset, as Spark counts them."""
    line = sql.count("\n", 0, offset) + 1
    return line, offset - (sql.rfind("\n", 0, offset) + 1)


@contextmanager
def error_at(offset: int | None) -> Iterator[None]:
    """Gives an error raised in the block this position, unless it already has one."""
    try:
        yield
    except SqlExtError as error:
        if error.offset is None:
            error.offset = offset
        raise


@contextmanager
def error_in_argument(index: int) -> Iterator[None]:
    """Gives an error raised in the block the place of an argument of the function's call (0: the first one)."""
    try:
        yield
    except SqlExtError as error:
        if error.line is None and error.pos is None:
            error.pos = index
        raise


@contextmanager
def error_in(sql: str) -> Iterator[None]:
    """Gives an error raised in the block the line and column of its offset in ``sql``."""
    try:
        yield
    except SqlExtError as error:
        if error.offset is not None:
            error.line, error.pos = position(sql, error.offset)
        raise


def nearest(word: str, candidates: Iterable[str], limit: int = 5) -> str:
    """Returns 'Did you mean x?' if a candidate is close, otherwise the first ``limit`` candidates, or '' if there are none."""
    known = sorted(set(candidates))
    return did_you_mean(word, known) or listed(known, limit)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Returns 'Did you mean x?' if one of ``known`` is close, otherwise ''."""
    alike, found = max(((likeness(word, name), name) for name in known), default=(0.0, ""), key=lambda pair: pair[0])
    if alike < _CLOSE:
        return ""
    # An accent can be part of its letter or a character of its own; Spark compares characters.
    same = found.lower() != word.lower() and _composed(found) == _composed(word)
    return f"Did you mean {found}?{_LOOKS_THE_SAME if same else ''}"


def likeness(word: str, other: str) -> float:
    """How much two names are alike, from 0 to 1. Equal parts before a dot do not count: shop.a is not like shop.b."""
    parts, others = (_PART.findall(_composed(name)) for name in (word, other))
    while len(parts) > 1 and len(others) > 1 and parts[0] == others[0]:
        parts, others = parts[1:], others[1:]
    matcher = difflib.SequenceMatcher(None, ".".join(parts), ".".join(others))
    # The first two are upper bounds, and much faster to compute: a database can have many tables.
    if min(matcher.real_quick_ratio(), matcher.quick_ratio()) < _CLOSE:
        return 0.0
    return matcher.ratio()


_CLOSE = 0.6
_PART = re.compile(r"(?:`(?:[^`]|``)*`|[^`.])+")
_LOOKS_THE_SAME = " It looks the same, but its accents are encoded differently; copy the name from this message."


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text.lower())


def listed(known: Sequence[str], limit: int) -> str:
    """Returns 'Available: a, b and 3 more.' with the first ``limit`` names, or '' if there are none."""
    if not known:
        return ""
    return f"Available: {first_few(known, limit)}."
