"""EXPLAIN TRAIN MODEL: what a training would do, from the catalog, the schemas and, with FORMATTED, some of the rows.

EXPLAIN trains nothing and writes nothing. Without a mode it runs no Spark job; FORMATTED and EXTENDED read the label
column and the first features, of at most :data:`ROWS` and :data:`SAMPLE` rows (rows.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlext.catalog.entry import ModelEntry
from sqlext.catalog.names import ModelName
from sqlext.context import Context
from sqlext.text import first_few
from sqlext.training.explain.rows import Found, look
from sqlext.training.explain.sizes import batch, memory, network
from sqlext.training.options import OPTIONS
from sqlext.training.plan import TrainPlan, existing_model, make_plan
from sqlext.training.request import TrainRequest
from sqlext.training.retrain import full_training
from sqlext.training.trials import Trial, goal_of, trials_of

Lines = list[tuple[str, str]]
SHOWN_TRIALS = 20


def explain(context: Context, request: TrainRequest, mode: str) -> str:
    """The text of EXPLAIN's one column.

    :raises SqlExtError: every planning error of TRAIN MODEL, with its position.
    """
    with full_training(context, request) as (full_context, full_request):
        return _explain(full_context, full_request, mode)


def _explain(context: Context, request: TrainRequest, mode: str) -> str:
    name, existing = existing_model(context, request)
    if existing is not None and request.if_not_exists:
        version = existing.default.version
        return f"== {request.statement} ==\n{name} exists, its default is version {version}; nothing would be trained"
    trials = trials_of(request) if request.tune is not None else []
    plan = make_plan(context, trials[0].request if trials else request, name, existing)
    text = _section(request.statement, _summary(plan, request, _outcome(request, name, existing), trials))
    if mode == "SIMPLE":
        return text
    found = look(context, plan)
    sections = {
        "Source": found.source_lines(plan),
        "Columns": _columns(plan, found),
        "Target" if plan.regression else "Classes": found.label_lines(),
        "Network": network(context, plan, found),
        "Batch": batch(context, plan, found),
        "Memory": memory(context, plan, found),
        "Options": _options(plan, request),
    }
    return "\n\n".join([text, *(_section(title, lines) for title, lines in sections.items())])


def _section(title: str, lines: Lines) -> str:
    width = max((len(key) for key, _ in lines), default=0)
    return "\n".join([f"== {title} ==", *(f"{key:<{width}}  {value}".rstrip() for key, value in lines)])


def _outcome(request: TrainRequest, name: ModelName, existing: ModelEntry | None) -> str:
    """Which version the model would get, and whether it would become the default."""
    if existing is None:
        return f"{name}: version 1 of a new model"
    text = f"{name}: a new version after {existing.latest.version}"
    if request.replace:
        return f"{text}; older versions are removed, except aliased and pinned ones"
    promote = request.options["promote"]
    if existing.default.pinned:
        return f"{text}; default stays {existing.default.version}: pinned"
    return (
        text
        + {
            "always": ", the new default",
            "if_better": f", the new default if it is better than version {existing.default.version}",
            "never": f"; default stays {existing.default.version}: promote = 'never'",
        }[str(promote)]
    )


def _summary(plan: TrainPlan, request: TrainRequest, outcome: str, trials: Sequence[Trial]) -> Lines:
    used = plan.features.text
    treated = f" by {plan.backbone}" if plan.backbone is not None else ", standardised" if plan.standardize else ""
    architecture = plan.architecture + (f" ({plan.options['hidden']})" if plan.hidden else "")
    options = ("epochs", "optimizer", "learning_rate", "early_stop", "seed")
    shown = ", ".join(f"{key} = {_text(plan.options[key])}" for key in options)
    return [
        ("model", outcome),
        ("source", plan.source_text),
        ("features", used + treated),
        *([("left out", ", ".join(plan.features.left_out))] if plan.features.left_out else []),
        ("target" if plan.regression else "label", plan.label.text),
        ("validate", plan.validation.text),
        ("using", architecture),
        ("options", shown),
        *([("tune", _search(request, trials))] if trials else []),
    ]


def _search(request: TrainRequest, trials: Sequence[Trial]) -> str:
    goal = goal_of(request)
    order = "lowest" if goal.lower else "highest"
    shown = first_few([str(trial) for trial in trials], SHOWN_TRIALS, "; ")
    return f"{len(trials)} trials, the one with the {order} {goal.metric} is published: {shown}"


def _columns(plan: TrainPlan, found: Found) -> Lines:
    return [
        *(("feature", f"{column.text} {column.type.simpleString()}") for column in plan.features.columns),
        ("target" if plan.regression else "label", f"{plan.label.text} {plan.label.type.simpleString()}"),
        ("left out", ", ".join(plan.features.left_out) or "none"),
        *(("warning", sentence) for sentence in found.warnings),
    ]


def _options(plan: TrainPlan, request: TrainRequest) -> Lines:
    """Every option with its value and, for options in the statement, the default."""
    written = {option.key for option in request.raw_options}
    lines = []
    for option in OPTIONS:
        value = _text(plan.options[option.name])
        default = "auto" if option.default is None else _text(option.default)
        lines.append((option.name, f"{value}  (in OPTIONS; default {default})" if option.name in written else value))
    return lines


def _text(value: object) -> str:
    return "not set" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)
