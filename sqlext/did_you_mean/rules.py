"""The near misses as data: what was written -> what was meant."""

from __future__ import annotations

from dataclasses import dataclass

from sqlext.statements.alter_model import ALTERATION_FORMS


@dataclass(frozen=True)
class Rule:
    """A wrong statement that begins with a verb and one of ``written``, between which words such as TEMPORARY may be.

    The error says ``problem`` and proposes ``start`` with the rest of the text, if that is one of our statements. If it is not,
    the error ends with ``otherwise``; if ``otherwise`` is empty, the rule does not apply.

    {found} is the text up to the end of ``written``, {name} the next name, {number} the next number. {if_exists} and the like
    are these words if the user wrote them, otherwise nothing.
    """

    written: tuple[str, ...]  # '' matches any text
    problem: str
    start: str = ""
    otherwise: str = "Write: {start} {name}"
    misspelt: bool = False  # a word like the last one of written[0] is also accepted
    of_verb: bool = False  # the verb is wrong, so the error points at it


_MODEL, _VERSIONS = ("MODEL", "MODELS"), ("VERSIONS MODEL", "VERSIONS")
_NO = "There is no {found}."
_REPEAT = "TRAIN MODEL without FROM repeats the training of a model."
_LISTS = "SHOW MODELS lists models"
_EXPLAIN = "EXPLAIN shows what a statement would do"
_CHANGES = f"and one of {ALTERATION_FORMS}."

_DESCRIBE = (
    Rule(_VERSIONS, "SHOW lists versions.", "SHOW MODEL VERSIONS"),
    Rule(_MODEL, "DESCRIBE MODEL describes one model.", "DESCRIBE MODEL {extended}"),
)

# The rules of each verb; the first one that applies counts.
RULES: dict[str, tuple[Rule, ...]] = {
    "PREDICT": (
        Rule(
            ("MODEL", ""),
            "PREDICT is not a statement; to predict, call a function in a query.",
            otherwise="Write: SELECT predict('{name}', column) FROM table",
            of_verb=True,
        ),
    ),
    "RETRAIN": (Rule((*_MODEL, ""), f"There is no RETRAIN; {_REPEAT}", "TRAIN MODEL", of_verb=True),),
    "CANCEL": (
        Rule(
            ("TRAINING", "RUN", "MODEL", ""),
            "CANCEL ends a training by its run_id; SHOW TRAINING RUNS lists them.",
            "CANCEL TRAINING",
            "Write: CANCEL TRAINING 'run_id'",
        ),
    ),
    "SHOW": (
        Rule(("MODELS",), _NO, "SHOW MODELS", "Write: SHOW MODELS"),
        Rule(_VERSIONS, "Versions belong to a model.", "SHOW MODEL VERSIONS"),
        Rule(("MODEL VERSIONS", "MODEL VERSION"), _NO, "SHOW MODEL VERSIONS", misspelt=True),
        Rule(("MODEL HISTORYS", "MODEL HISTORY"), _NO, "SHOW TRAINING HISTORY MODEL", misspelt=True),
        Rule(("MODEL TRAININGS", "MODEL TRAINING"), _NO, "SHOW TRAINING HISTORY MODEL", misspelt=True),
        Rule(("MODEL RUNS", "MODEL RUN"), _NO, "SHOW TRAINING RUNS FOR MODEL", misspelt=True),
        Rule(("MODEL ALL", "MODEL"), f"{_LISTS}.", "SHOW MODELS", otherwise=""),
        Rule(("MODEL ALL", "MODEL IN", "MODEL FROM", "MODEL LIKE"), f"{_LISTS}.", otherwise="Write: SHOW MODELS"),
        Rule(("MODEL",), f"{_LISTS}; DESCRIBE MODEL shows one.", "DESCRIBE MODEL"),
    ),
    "CREATE": (
        Rule(_VERSIONS, f"Training creates versions; {_REPEAT}", otherwise="Write: TRAIN MODEL {name}"),
        Rule(
            _MODEL,
            _NO,
            "CREATE {or_replace} MODEL {if_not_exists}",
            "Write: CREATE MODEL {name} LABEL column AS SELECT ..",
        ),
    ),
    "ALTER": (
        Rule(_VERSIONS, "Versions are changed through their model:", otherwise=f"ALTER MODEL name {_CHANGES}"),
        Rule(_MODEL, _NO, "ALTER MODEL {if_exists}", f"Write ALTER MODEL {{if_exists}} {{name}} {_CHANGES}"),
    ),
    "DROP": (
        Rule(
            _VERSIONS,
            "Versions are dropped one by one, or purged (ALTER MODEL name PURGE KEEP n VERSIONS).",
            otherwise="Write: ALTER MODEL {name} DROP VERSION {number}",
        ),
        Rule(_MODEL, _NO, "DROP MODEL {if_exists}"),
    ),
    "DESCRIBE": _DESCRIBE,
    "DESC": _DESCRIBE,
    "EXPLAIN": (
        Rule(_VERSIONS, f"{_EXPLAIN}; SHOW lists versions.", "SHOW MODEL VERSIONS"),
        Rule(_MODEL, f"{_EXPLAIN}; DESCRIBE MODEL EXTENDED shows what a model is.", "DESCRIBE MODEL EXTENDED"),
    ),
}

# BigQuery ML's functions of a model -> the statement to write instead.
FUNCTIONS = {
    "PREDICT": "SELECT predict('{name}', column) FROM table",
    "TRANSFORM": "SELECT predict('{name}', column) FROM table",
    "GENERATE_EMBEDDING": "SELECT embed('{name}', image) FROM table",
    "GENERATE_TEXT_EMBEDDING": "SELECT embed('{name}', image) FROM table",
    "EVALUATE": "EVALUATE MODEL {name} FROM table",
    "CONFUSION_MATRIX": "EVALUATE MODEL {name} FROM table CONFUSION MATRIX",
    "ROC_CURVE": "EVALUATE MODEL {name} FROM table",
    "TRAINING_INFO": "SHOW TRAINING HISTORY MODEL {name}",
    "TRIAL_INFO": "SHOW TRAINING RUNS FOR MODEL {name}",
    "FEATURE_INFO": "DESCRIBE MODEL EXTENDED {name}",
    "WEIGHTS": "DESCRIBE MODEL EXTENDED {name}",
}
