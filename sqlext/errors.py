"""Every error that a SQL user can meet: one class of exception, one table of error classes with their SQLSTATE.

An error is data: ``raise SqlExtError("MODEL_NOT_FOUND", model="shop.flowrs", hint="Did you mean shop.flowers?")``.
The template builds the sentence; the bridge turns it into Spark's AnalysisException or ParseException, so beeline, JDBC
and PySpark show it the way they show Spark's own. The message names the thing, says where it is and what would be accepted.
"""

from __future__ import annotations

import difflib
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
        "Model {model} exists; write CREATE OR REPLACE MODEL, CREATE MODEL IF NOT EXISTS, or TRAIN MODEL for a new version of it.",
    ),
    "NOT_A_MODEL": ("42809", "{table} is a {kind}, not a model; it was left untouched."),
    "INVALID_MODEL_NAME": ("42602", "'{name}' is not a model name: {reason}."),
    # --- catalog ------------------------------------------------------------------------------------------------
    "ALIAS_NOT_FOUND": ("42704", "Model {model} has no alias '{alias}'. {hint}"),
    "ALIASED_VERSION": ("2BP01", "Version {version} of {model} holds the alias {aliases}; move or unset it first."),
    "BACKBONE_IN_USE": ("2BP01", "{model} is the backbone of {users}; drop those first."),
    "DATABASE_NOT_FOUND": ("42704", "Database {database} was not found. {hint}"),
    "DEFAULT_VERSION_DROP": (
        "2BP01",
        "Version {version} is the default of {model} and other versions are there: make another one the default by "
        "ALTER MODEL {model} SET DEFAULT VERSION n first; DROP MODEL {model} drops all.",
    ),
    "FOLDER_ACCESS_DENIED": ("42501", "{user} has no {right} permission on {folder}: {reason}"),
    "INVALID_ALIAS": (
        "42602",
        "'{alias}' is not an alias: it is an identifier of letters, digits and _, not a number, 'latest' or 'default'.",
    ),
    "INVALID_MODEL_PROPERTY": ("22023", "Property '{key}' {reason}."),
    "MODEL_FILES_MISSING": ("58030", "The files of {model} are incomplete: {path} is missing."),
    "MODEL_FORMAT_TOO_NEW": (
        "0A000",
        "{model} was written by bigdl-sqlext {release} in format {format}; this is {this}, which reads formats up to "
        "{known}. Use {release} or newer.",
    ),
    "MODEL_KIND_MISMATCH": (
        "42809",
        "Model {model} is a {kind}; a {wanted} cannot become a version of it. Drop it first, or choose another name.",
    ),
    "PERMISSION_DENIED": ("42501", "No {right} on {model}: {reason}"),
    "NAME_IN_USE": ("42P07", "{name} is a {kind} already; choose another name."),
    "PROPERTY_NOT_FOUND": ("42704", "Model {model} has no property '{key}'. {hint}"),
    "RENAME_ACROSS_DATABASES": (
        "0A000",
        "{model} keeps its database: RENAME TO gives another name in it, not {to}. EXPORT MODEL and IMPORT MODEL carry a model elsewhere.",
    ),
    "RUN_HAS_ENDED": ("55000", "Run {run_id} has ended: it is {status}."),
    "RUN_NOT_FOUND": ("42704", "There is no training run '{run_id}'; SHOW TRAINING RUNS lists those of a database."),
    "STATEMENT_NOT_KEPT": ("0A000", "{model} does not keep the statement that made it, so there is none to show."),
    "VERSION_CONFLICT": ("40001", "{version} changed under all {attempts} attempts to change it; try again."),
    "PUBLISH_CONFLICT": ("40001", "{model} changed under all {attempts} attempts to publish a version; try again."),
    # --- networks and images ------------------------------------------------------------------------------------
    "INVALID_PREPROCESSING": ("22023", "Option {option} = {value} is not valid; it takes {accepted}."),
    "INVALID_NETWORK": ("22023", "The network cannot be imported: {reason}"),
    "IMPORT_CHECK_FAILED": ("22023", "Not imported: {reason}."),
    "ENGINE_NOT_AVAILABLE": ("0A000", "Engine {engine} cannot be used: {reason}."),
    # --- options ------------------------------------------------------------------------------------------------
    "UNKNOWN_OPTION": ("42616", "Option {option} is not known here. {hint}"),
    "INVALID_OPTION_VALUE": ("22023", "Option {option} = {value} is not valid: it takes {accepted}."),
    "MOMENTUM_WITHOUT_SGD": ("22023", "Option momentum belongs to optimizer 'sgd'; {optimizer} has none."),
    "OPTION_WITHOUT_EFFECT": ("22023", "Option {option} has no effect here: {reason}."),
    "FEATURE_NOT_AVAILABLE": ("0A000", "{feature} is not available in this release."),
    "UNKNOWN_ARCHITECTURE": ("42616", "There is no architecture {architecture}. There are: {known}."),
    "UNKNOWN_FORMAT": ("42616", "{format} names no known format. Formats: {formats}."),
    # --- data ---------------------------------------------------------------------------------------------------
    "SOURCE_NOT_FOUND": ("42P01", "{source} cannot be read: {reason}"),
    "COLUMN_NOT_FOUND": ("42703", "Column {column} is not in {source}. {hint}"),
    "FEATURES_NOT_CLEAR": (
        "42702",
        "FEATURES does not say which columns to use, and {source} leaves it open: {problem}.",
    ),
    "INVALID_FEATURES": ("42K09", "Column {column} cannot be used as FEATURES: {problem}."),
    "COLUMN_TYPE_DIFFERS": ("42K09", "Column {column} {problem}."),
    "INVALID_TARGET": ("42K09", "Column {column} cannot be used as TARGET: {problem}."),
    "INVALID_VALIDATION_COLUMN": (
        "42K09",
        "Column {column} cannot be used as VALIDATE BY: {problem}. It takes BOOLEAN (true validates) or STRING values train, "
        "validation and test.",
    ),
    "BACKBONE_WITHOUT_IMAGE": (
        "42K09",
        "BACKBONE goes with an image, or with an array that it made; FEATURES are columns of numbers ({columns}).",
    ),
    "WARM_START_MISMATCH": ("42809", "{model} cannot be the start of this training: {reason}."),
    "INVALID_LABEL": ("42K09", "Column {column} cannot be used as LABEL: {problem}."),
    "TOO_FEW_CLASSES": ("22023", "{source} has {count} in column {column}; a classifier needs two or more classes."),
    "NO_ROWS": ("22023", "{source} has no rows that can be used: {reason}."),
    "TOO_MANY_BAD_ROWS": (
        "22023",
        "{bad} of {rows} rows of {source} cannot be used ({reasons}); OPTIONS allow {allowed}. They are: {query}",
    ),
    "UNKNOWN_LABEL": ("22023", "Model {model} has no label '{label}'. {hint}"),
    "NO_HELD_OUT_ROWS": (
        "22023",
        "Version {version} of {model} has no held-out rows ({trained}); write EVALUATE MODEL {model} VERSION {version} FROM a table.",
    ),
    "NOTHING_TO_EVALUATE": (
        "22023",
        "{model} is an imported network without held-out rows; write EVALUATE MODEL {model} FROM a table.",
    ),
    "NO_CLASSES": ("42809", "{model} predicts a number and has no classes; leave {form} out."),
    "NO_LABELS": ("22023", "{model} has no labels, so there is nothing to compare; IMPORT it with LABELS."),
    "LABEL_NEEDED": (
        "22023",
        "{model} was imported, so say which column of the source holds the labels: EVALUATE MODEL {model} FROM .. LABEL column.",
    ),
    "INVALID_TUNE": ("22023", "TUNE {problem}."),
    "TUNE_FAILED": ("22023", "None of the {trials} trials of TUNE gave a model. {reason}"),
    "CANNOT_TRAIN_AGAIN": ("0A000", "{model} cannot be trained again: {problem}. {made}"),
    # --- backbones and engines --------------------------------------------------------------------------------------
    "BACKBONE_NOT_FOUND": ("42P01", "There is no backbone {model}. {hint}"),
    "NOT_A_CLASSIFIER": ("42809", "{model} is an imported {kind}; TRAIN needs a name of its own for the new model."),
    "NOT_A_BACKBONE": ("42809", "{model} is a {kind}, not an imported backbone. {hint}"),
    "BACKBONE_MISSING": (
        "42P01",
        "Model {model} needs version {version} of backbone {backbone} (id {model_id}), which is gone; no other version takes its place.",
    ),
    "BACKBONE_WIDTH": ("42K09", "{backbone} gives {expected} numbers, but column {column} holds arrays of {width}."),
    "NO_CLASSIFIER": (
        "42809",
        "{model} is a network without class scores; embed('{model}', image) gives its embedding.",
    ),
    "ENGINE_CANNOT_SCORE": ("0A000", "spark.sqlext.engine = {engine} cannot score {model}: {reason}."),
    "INVALID_SETTING": ("22023", "{setting} = {value} is not valid: it takes {accepted}."),
    "FEATURES_MISMATCH": ("42K09", "Model {model} takes {expected}, not {given}. {call}"),
    "WRONG_KIND_OF_MODEL": ("42809", "{function} is for a {wanted}; {model} is a {kind}. {instead}"),
    "UNSUPPORTED_IN_LAMBDA": (
        "0A000",
        "{function} cannot be called inside a lambda: it takes batches of rows. Make rows of the elements: SELECT {function}(.., x) "
        "FROM (SELECT explode(xs) AS x FROM ..).",
    ),
    "INVALID_ARGUMENTS": ("42605", "{function}: {signature} {problem}."),
    "NOT_AN_IMPORT": ("42809", "{model} is a trained {kind}; IMPORT needs a name of its own."),
    "INVALID_LABELS_TABLE": (
        "42K09",
        "LABELS FROM {table}: the table needs one STRING column (the labels) and one integer column (the 0-based index).",
    ),
    "LABELS_MISMATCH": (
        "22023",
        "LABELS names {given} labels ({distinct} distinct), but the network has {outputs} outputs; one distinct label each is needed.",
    ),
    # --- files and training -----------------------------------------------------------------------------------------
    "PATH_NOT_ALLOWED": (
        "42501",
        "'{path}' lies outside the folders that this server may use: {allowed} (spark.sqlext.allowedPaths).",
    ),
    "EXPORT_HAS_ITS_OWN": (
        "42601",
        "Without FORMAT, IMPORT reads the folder of an EXPORT, which has its own {clause}; leave the clause out, or write "
        "FORMAT {formats} if '{path}' is a file of that kind.",
    ),
    "IS_A_FOLDER": (
        "58030",
        "'{path}' is a folder; FORMAT {format} reads one file. Leave FORMAT out if EXPORT MODEL wrote the folder.",
    ),
    "EXPORT_DAMAGED": ("58030", "'{path}' cannot be imported: {reason}."),
    "EXPORT_NOT_POSSIBLE": (
        "0A000",
        "{model} cannot be exported as {format}: {reason}. EXPORT without FORMAT takes all.",
    ),
    "EXPORT_TARGET_EXISTS": ("58030", "'{path}' {reason}."),
    "BACKBONE_NOT_PLACED": ("42809", "The export's backbone cannot be published here as {backbone}: {reason}"),
    "NOT_IN_PACKAGE": ("58030", "The package has no network '{path}'; it has '{there}'."),
    "FILE_NOT_FOUND": ("58030", "'{path}' was not found (looked up as {looked_up})."),
    "BIGDL_MISSING": ("58000", "{reason}"),
    "TRAINING_CANCELLED": ("57014", "Training of {model} was cancelled (run {run_id}); no version was published."),
    "TRAINING_DIVERGED": (
        "22003",
        "Training of {model} diverged: the loss is {loss} after epoch {epoch}. Try a smaller learning_rate.",
    ),
    "TRAINING_TOO_LARGE": (
        "53000",
        "{size} of features do not fit one executor (at most {limit}, a tenth of its heap), and BigDL cannot train on all of "
        "them: {problem}.",
    ),
    # --- sessions -----------------------------------------------------------------------------------------------
    "JAVA_NOT_FOUND": (
        "0A000",
        "Spark 3.4 needs Java 8, 11 or 17. {seen}Install one, or Java 17 from PyPI: pip install 'bigdl-sqlext[java]'.",
    ),
    "COMPILED_SQLGLOT": (
        "0A000",
        "The sqlglot dialect `bigdl` needs sqlglot in pure Python, and here its compiled extra is installed: pip uninstall sqlglotc.",
    ),
    "JAR_NOT_BUILT": ("0A000", "{jar} is missing: run `make jar`, or install the package with pip."),
    "JAR_IS_STALE": ("0A000", "{jar} was built from other statements, functions or settings: run `make jar`."),
    "SESSION_NOT_READY": (
        "0A000",
        "The Spark session that runs already was started without {lacks}. Stop it and start one with sqlext.session(), "
        "or prepare its builder with sqlext.configure(builder).",
    ),
    "PINNED_THREADS_NEEDED": (
        "0A000",
        "bigdl-sqlext needs PySpark's pinned threads: unset PYSPARK_PIN_THREAD and start the program again.",
    ),
    "SERVER_NOT_STARTED": ("08001", "The Thrift server cannot listen on {host}:{port}: {reason}."),
    "NO_PYTHON_BACKEND": (
        "08001",
        "This Spark driver runs without the Python side of bigdl-sqlext. Start it with `sqlext serve` or sqlext.session(), or call "
        "sqlext.attach(spark) in the Python program that made the session.",
    ),
    "WAREHOUSE_IN_USE": (
        "55006",
        "Warehouse {folder} is in use by process {pid}, and its embedded metastore takes one process. End that one, or "
        "share it: start it as `sqlext serve --warehouse {folder}` and connect over JDBC.",
    ),
}

# The shim raises these by itself, too, in these words: they go into the jar.
RAISED_BY_JVM = ("INVALID_ARGUMENTS", "NO_PYTHON_BACKEND", "PATH_NOT_ALLOWED", "UNSUPPORTED_IN_LAMBDA")


class SqlExtError(Exception):
    """An error for the SQL user.

    :param error_class: a key of :data:`ERROR_CLASSES`.
    :param offset: 0-based character offset into the statement's text, where the fault can be pointed at.
    :param values: what the template of the error class names.
    """

    def __init__(self, error_class: str, *, offset: int | None = None, **values: object) -> None:
        self.error_class = error_class
        self.sqlstate, template = ERROR_CLASSES[error_class]
        self.offset = offset
        self.line: int | None = None  # from 1; set once the statement's text is known
        self.pos: int | None = None  # column from 0
        self.values = values
        super().__init__(template.format(**values).strip())

    @property
    def is_syntax(self) -> bool:
        """Whether Spark should show it as a ParseException."""
        return self.error_class == "SYNTAX_ERROR"


def position(sql: str, offset: int) -> tuple[int, int]:
    """Line (from 1) and column (from 0) of a character offset, as Spark counts them."""
    line = sql.count("\n", 0, offset) + 1
    return line, offset - (sql.rfind("\n", 0, offset) + 1)


@contextmanager
def error_at(offset: int | None) -> Iterator[None]:
    """An error of the block that has no position yet gets this one."""
    try:
        yield
    except SqlExtError as error:
        if error.offset is None:
            error.offset = offset
        raise


@contextmanager
def error_in(sql: str) -> Iterator[None]:
    """An error of the block gets the line and column that its offset has in ``sql``."""
    try:
        yield
    except SqlExtError as error:
        if error.offset is not None:
            error.line, error.pos = position(sql, error.offset)
        raise


def nearest(word: str, candidates: Iterable[str], limit: int = 5) -> str:
    """'Did you mean x?' when a candidate is close, else a list of the first ``limit`` candidates, else ''."""
    known = sorted(set(candidates))
    return did_you_mean(word, known) or listed(known, limit)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """'Did you mean x?' when one of ``known`` is close, else ''."""
    close = difflib.get_close_matches(word.lower(), [c.lower() for c in known], n=1, cutoff=0.6)
    return f"Did you mean {next(c for c in known if c.lower() == close[0])}?" if close else ""


def listed(known: Sequence[str], limit: int) -> str:
    """The first ``limit`` and how many more there are, or ''."""
    if not known:
        return ""
    return f"There are: {first_few(known, limit)}."
