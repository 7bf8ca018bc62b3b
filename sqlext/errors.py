"""Every error that a SQL user can meet: one class of exception, one table of error classes with their SQLSTATE.

An error is data: ``raise SqlExtError("MODEL_NOT_FOUND", model="shop.flowrs", hint="Did you mean shop.flowers?")``.
The template builds the sentence; the bridge turns it into Spark's AnalysisException or ParseException, so beeline, JDBC
and PySpark show it the way they show Spark's own. The message names the thing, says where it is and what would be accepted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Error class -> (SQLSTATE, template). SQLSTATEs follow Spark's error-classes.json.
ERROR_CLASSES: dict[str, tuple[str, str]] = {
    # --- syntax -------------------------------------------------------------------------------------------------
    "SYNTAX_ERROR": ("42601", "{problem}"),
    # --- names --------------------------------------------------------------------------------------------------
    "MODEL_NOT_FOUND": ("42P01", "Model {model} was not found. {hint}"),
    "MODEL_VERSION_NOT_FOUND": ("42P01", "Model {model} has no version {version}. {hint}"),
    "NOT_A_MODEL": ("42809", "{table} is a {kind}, not a model; it was left untouched."),
    "INVALID_MODEL_NAME": ("42602", "'{name}' is not a model name: {reason}."),
}


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
        self.values = values
        super().__init__(" ".join(template.format(**values).split(" ")).strip())


def nearest(word: str, candidates: Iterable[str], limit: int = 5) -> str:
    """'Did you mean x?' when a candidate is close, else a list of the first ``limit`` candidates, else ''."""
    known = sorted(set(candidates))
    close = difflib.get_close_matches(word.lower(), [c.lower() for c in known], n=1, cutoff=0.6)
    if close:
        return f"Did you mean {next(c for c in known if c.lower() == close[0])}?"
    if not known:
        return ""
    rest = f" and {len(known) - limit} more" if len(known) > limit else ""
    return f"There are: {', '.join(known[:limit])}{rest}."
