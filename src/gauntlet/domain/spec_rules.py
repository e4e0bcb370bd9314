"""What a spec file must fulfil beyond the types of its keys: every rule reads the raw file and reports by key."""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from gauntlet.domain.model_rule import ModelRule, RuleError
from gauntlet.domain.schedule import PRESETS, RECURRING, is_schedule


class Task(StrEnum):
    """What is predicted: a number or a category."""

    REGRESSION = "regression"
    CLASSIFICATION = "classification"


METRICS: Mapping[Task, tuple[str, ...]] = {Task.REGRESSION: ("mae",), Task.CLASSIFICATION: ("log_loss",)}
"""The metrics, lower is better, by which candidates of a task can be compared."""

BUILT_IN_CANDIDATES: Mapping[Task, tuple[str, ...]] = {
    Task.REGRESSION: ("linear", "ridge", "random_forest", "hist_gradient_boosting"),
    Task.CLASSIFICATION: ("logistic", "random_forest", "hist_gradient_boosting"),
}
"""The candidate models that need no code, by task."""

RESERVED_COLUMNS = ("row_id", "arm")
"""Column names that the router adds to what it serves."""

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
"""How a condition of predict.where compares a column with its value; the last two take a list."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
PACKAGE_FILE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*:(?!/)(?!.*\.\.).+")

Error = tuple[str, str]


def sentence(rule: str, found: object, remedy: str) -> str:
    """Return the one form of an error text: the rule, what was found, the remedy."""
    shown = found if isinstance(found, str) else repr(found)
    return f"{rule}; found {shown}. {remedy}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the remedy for an unknown word: the closest known one, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f'Did you mean "{close[0]}"?' if close else f"Known: {', '.join(names) or 'none'}."


def broken_rules(name: str, raw: Mapping[str, Any]) -> list[Error]:
    """Return (key, text) for every rule that the raw file breaks; values of a wrong type are left to the types."""
    columns = _Columns(raw)
    return [
        *_name(name),
        *_data(raw),
        *_schedule(raw),
        *_ranges(raw),
        *_categories(columns),
        *_column_names(columns, raw.get("key")),
        *_target(columns, raw),
        *_metric(raw),
        *_segments(columns, raw),
        *_candidates(raw),
        *_drift(columns, raw),
        *_predict(raw),
    ]


class _Columns:
    """The column names of a raw file, as far as they are tables at all."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        numeric, categorical = raw.get("numeric", {}), raw.get("categorical", {})
        self.numeric: list[str] = list(numeric) if isinstance(numeric, dict) else []
        self.categorical: dict[str, list[str]] = (
            {column: _texts(values) for column, values in categorical.items()} if isinstance(categorical, dict) else {}
        )

    @property
    def all(self) -> list[str]:
        return [*self.numeric, *self.categorical]


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def _task(raw: Mapping[str, Any]) -> Task | None:
    value = raw.get("task")
    return Task(value) if value in tuple(Task) else None


def _doubled(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _name(name: str) -> Iterator[Error]:
    if not NAME.fullmatch(name):
        rule = "the file's name must be 1 to 63 of a-z, 0-9 and _, beginning with a letter"
        yield "name", sentence(rule, f'"{name}"', "Rename the file.")


def _data(raw: Mapping[str, Any]) -> Iterator[Error]:
    data = raw.get("data")
    if not isinstance(data, str):
        return
    if ":" in data and not PACKAGE_FILE.fullmatch(data):
        rule = "must be PACKAGE:FILE with a file inside a top-level package"
        yield "data", sentence(rule, f'"{data}"', 'For example "plotnine:data/diamonds.csv".')
    if not data.endswith((".csv", ".parquet")):
        rule = "must name a CSV or parquet file"
        yield "data", sentence(rule, f'"{data}"', "Let the name end with .csv or .parquet.")


def _schedule(raw: Mapping[str, Any]) -> Iterator[Error]:
    predict = raw.get("predict")
    schedules = {"schedule": (raw.get("schedule"), PRESETS), "retrain": (raw.get("retrain"), RECURRING)}
    if isinstance(predict, dict):
        schedules["predict.schedule"] = (predict.get("schedule"), RECURRING)
    for key, (schedule, presets) in schedules.items():
        wrong = isinstance(schedule, str) and (not is_schedule(schedule) or schedule in set(PRESETS) - set(presets))
        if wrong:
            rule = f"must be empty, one of {', '.join(presets)}, or cron's five fields that come true on some day"
            yield key, sentence(rule, f'"{schedule}"', 'For example "30 6 * * mon-fri".')


def _ranges(raw: Mapping[str, Any]) -> Iterator[Error]:
    numeric = raw.get("numeric")
    for column, bounds in numeric.items() if isinstance(numeric, dict) else ():
        low, high = (bounds.get("min"), bounds.get("max")) if isinstance(bounds, dict) else (None, None)
        if isinstance(low, int | float) and isinstance(high, int | float) and low >= high:
            text = sentence("min must be less than max", f"min = {low}, max = {high}", "Exchange or widen them.")
            yield f"numeric.{column}", text


def _categories(columns: _Columns) -> Iterator[Error]:
    for column, categories in columns.categorical.items():
        for category in _doubled(categories):
            found = f'"{category}" {categories.count(category)} times'
            yield f"categorical.{column}", sentence("categories must differ", found, "Leave one.")


def _column_names(columns: _Columns, key: object) -> Iterator[Error]:
    for column in _doubled(columns.all):
        rule = "a column must be either numeric or categorical"
        yield f"categorical.{column}", sentence(rule, f'"{column}" in both', "Remove it from one table.")
    for column in columns.all:
        if column in RESERVED_COLUMNS:
            table = "numeric" if column in columns.numeric else "categorical"
            rule = "the names row_id and arm are the router's own"
            yield f"{table}.{column}", sentence(rule, f'"{column}"', "Rename the column in the file.")
    if isinstance(key, str) and (key in columns.all or key in RESERVED_COLUMNS):
        rule = "must be a column of its own, neither numeric nor categorical nor the router's"
        yield "key", sentence(rule, f'"{key}"', "Remove it from the other table, or name another column.")


def _target(columns: _Columns, raw: Mapping[str, Any]) -> Iterator[Error]:
    target, task = raw.get("target"), _task(raw)
    if not isinstance(target, str):
        return
    if target not in columns.all:
        remedy = f"List it there. {did_you_mean(target, columns.all)}"
        yield "target", sentence("must be listed under [numeric] or [categorical]", f'"{target}"', remedy)
        return
    if len(columns.all) < 2:
        rule = "at least one column beside the target must be listed"
        yield "numeric", sentence(rule, "none", "Add features under [numeric] or [categorical].")
    if task is Task.REGRESSION and target not in columns.numeric:
        rule, remedy = "the target of a regression must be numeric", 'Move it, or set task = "classification".'
        yield "target", sentence(rule, f'categorical "{target}"', remedy)
    if task is Task.CLASSIFICATION and target not in columns.categorical:
        rule, remedy = "the target of a classification must be categorical", 'Move it, or set task = "regression".'
        yield "target", sentence(rule, f'numeric "{target}"', remedy)
    elif task is Task.CLASSIFICATION and len(columns.categorical[target]) < 2:
        rule = "the target of a classification must have at least two categories"
        yield f"categorical.{target}", sentence(rule, columns.categorical[target], "List them all.")


def _known(by_task: Mapping[Task, tuple[str, ...]], task: Task | None) -> tuple[str, ...]:
    """What a task knows; while the task itself is wrong, what any does, so that the rest is judged all the same."""
    return by_task[task] if task else tuple(dict.fromkeys(name for names in by_task.values() for name in names))


def _metric(raw: Mapping[str, Any]) -> Iterator[Error]:
    metric, task = raw.get("metric"), _task(raw)
    metrics = _known(METRICS, task)
    if isinstance(metric, str) and metric not in metrics:
        known = " or ".join(f'"{name}"' for name in metrics)
        yield "metric", sentence(f"must be {known} for a {task or 'spec'}", f'"{metric}"', f"Set metric = {known}.")


def _segments(columns: _Columns, raw: Mapping[str, Any]) -> Iterator[Error]:
    segments = _texts(raw.get("segments"))
    for segment in _doubled(segments):
        found = f'"{segment}" {segments.count(segment)} times'
        yield "segments", sentence("segments must differ", found, "Leave one.")
    for segment in dict.fromkeys(segments):
        if segment not in columns.categorical:
            kind = "numeric" if segment in columns.numeric else "unknown"
            remedy = did_you_mean(segment, columns.categorical)
            yield "segments", sentence("a segment must be a categorical column", f'{kind} "{segment}"', remedy)


def _candidates(raw: Mapping[str, Any]) -> Iterator[Error]:
    candidates, task = _texts(raw.get("candidates")), _task(raw)
    for candidate in _doubled(candidates):
        found = f'"{candidate}" {candidates.count(candidate)} times'
        yield "candidates", sentence("candidates must differ", found, "Leave one.")
    for candidate in dict.fromkeys(candidates):
        if ":" in candidate and not FACTORY.fullmatch(candidate):
            rule = "a candidate of your own must be package.module:factory"
            yield "candidates", sentence(rule, f'"{candidate}"', 'For example "my_models.trees:make".')
        elif ":" not in candidate and candidate not in _known(BUILT_IN_CANDIDATES, task):
            rule = f"a candidate must be built in for a {task or 'task'}, or package.module:factory"
            remedy = did_you_mean(candidate, _known(BUILT_IN_CANDIDATES, task))
            yield "candidates", sentence(rule, f'"{candidate}"', remedy)


def _drift(columns: _Columns, raw: Mapping[str, Any]) -> Iterator[Error]:
    tables = raw.get("drift")
    for column, own in tables.items() if isinstance(tables, dict) else ():
        if column not in columns.all:
            remedy = did_you_mean(column, columns.all)
            yield f"drift.{column}", sentence("must name a numeric or categorical column", f'"{column}"', remedy)
        elif isinstance(own, dict) and "distance" in own and column not in columns.numeric:
            rule = "only numbers have a KS distance"
            yield f"drift.{column}.distance", sentence(rule, f'categorical "{column}"', "Set psi instead.")


def _predict(raw: Mapping[str, Any]) -> Iterator[Error]:
    predict = raw.get("predict")
    if not isinstance(predict, dict):
        return
    model, where = predict.get("model"), predict.get("where")
    if isinstance(model, str) and model:
        try:
            ModelRule.parse(model, _task(raw))
        except RuleError as error:
            yield "predict.model", sentence(error.rule, error.found, error.remedy)
    columns = _texts(predict.get("columns"))
    for column in _doubled(columns):
        found = f'"{column}" {columns.count(column)} times'
        yield "predict.columns", sentence("columns must differ", found, "Leave one.")
    for place, condition in enumerate(where) if isinstance(where, list | tuple) else ():
        if isinstance(condition, list | tuple) and len(condition) == len(("column", "comparison", "value")):
            yield from _condition(f"predict.where.{place}", condition[1], condition[2])


def _condition(key: str, comparison: object, value: object) -> Iterator[Error]:
    if isinstance(comparison, str) and comparison not in COMPARISONS:
        yield f"{key}.1", sentence(f"must be one of {', '.join(COMPARISONS)}", f'"{comparison}"', "Choose one of them.")
        return
    if comparison in ("in", "not in"):
        values = value if isinstance(value, list | tuple) else []
        if not values or not all(map(_is_plain, values)) or len(set(map(_kind, values))) > 1:
            rule = f'what comes after "{comparison}" must be a list of numbers, of texts, or of true and false'
            yield f"{key}.2", sentence(rule, repr(value), 'For example ["Good", "Ideal"].')
    elif not _is_plain(value):
        rule = "must be a finite number, a text, true or false"
        yield f"{key}.2", sentence(rule, repr(value), 'A list goes with "in" and "not in"; a date is written as text.')


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _kind(value: object) -> type:
    return bool if isinstance(value, bool) else str if isinstance(value, str) else float
