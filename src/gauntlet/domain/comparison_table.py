"""A comparison from one table of any project: the truth and both models' predictions, a row for each unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gauntlet.domain.columns import as_categories, as_numbers
from gauntlet.domain.comparison import Comparison, compare, compare_arms, compare_split
from gauntlet.domain.errors import Final
from gauntlet.domain.promotion_policy import PromotionPolicy, PromotionRule
from gauntlet.domain.scores import Floats
from gauntlet.domain.spec_rules import did_you_mean

MODELS = ("champion", "challenger", "anchor")
SECONDS = ("champion_seconds", "challenger_seconds")
SEGMENT_VALUES = 50
"""A text column with at most so many values is a segment column."""
ARMS = ("a", "b")
PROBABILITY_SUM = 1e-3

_NO_IDS = np.array([], dtype=np.int64)


class ColumnsError(Final):
    """A table's columns do not make a comparison."""


@dataclass(frozen=True)
class TableComparison:
    """A comparison, the columns that were taken as segments, and those that nothing was made of.

    `lacks_anchor`: the rule wants one and the table has none. `hints` are about a policy that may not be the one meant.
    """

    comparison: Comparison
    segments: tuple[str, ...]
    unused: tuple[str, ...]
    lacks_anchor: bool = False
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Problem:
    metric: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class _Predictions:
    problem: _Problem
    truth: npt.NDArray[Any]
    models: dict[str, Floats]
    used: tuple[str, ...]


def compare_table(frame: pd.DataFrame, policy: PromotionPolicy) -> TableComparison:
    """Compare by the columns `truth`, `champion`, `challenger`; optional: `row_id`, `arm` (a, b), `anchor`, seconds.

    Under log_loss predictions are the probability of class 1 (truth 0 or 1), or one column a class: `champion.CLASS`.
    `champion_seconds`, `challenger_seconds` hold the time of one call each in the rows where one was measured. Every
    other column with few text values is a segment column. Raises ColumnsError.
    """
    by_margin = policy.rule is PromotionRule.NON_INFERIORITY
    names = MODELS if by_margin and _has_anchor(frame) else MODELS[:2]
    found = (_classified if policy.metric == "log_loss" else _numeric)(frame, names)
    reserved = {*found.used, "row_id", "arm", *SECONDS, *_of_models(frame)}
    segments = {
        str(name): values
        for name in frame.columns
        if name not in reserved and (values := _segment(frame[name])) is not None
    }
    comparison = _compared(frame, policy, found, segments)
    read = {*found.used, *segments, *(name for name in ("row_id", *SECONDS) if name in frame.columns)}
    read |= {"arm"} if not policy.rule.paired else set()
    unused = tuple(str(name) for name in frame.columns if name not in read)
    lacks_anchor = by_margin and len(names) < len(MODELS)
    return TableComparison(comparison, tuple(segments), unused, lacks_anchor, tuple(_hints(frame, policy, found)))


def _compared(
    frame: pd.DataFrame, policy: PromotionPolicy, found: _Predictions, segments: dict[str, npt.NDArray[Any]]
) -> Comparison:
    champion, challenger = found.models["champion"], found.models["challenger"]
    if policy.rule is PromotionRule.ORIGINAL:
        in_b = _in_b(frame)
        return compare_arms(
            spec=found.problem,
            truth_a=found.truth[~in_b],
            champion_a=champion[~in_b],
            truth_b=found.truth[in_b],
            challenger_b=challenger[in_b],
        )
    given: dict[str, Any] = {
        "spec": found.problem,
        "truth": found.truth,
        "champion": champion,
        "challenger": challenger,
        "row_ids": _row_ids(frame),
        "trained_row_ids": _NO_IDS,
        "segments": segments,
        "seconds": _seconds(frame),
        "policy": policy,
    }
    if policy.rule is PromotionRule.SPLIT:
        return compare_split(**given, in_b=_in_b(frame), share_b=policy.share_b)
    return compare(**given, anchor=found.models.get("anchor"))


def _hints(frame: pd.DataFrame, policy: PromotionPolicy, found: _Predictions) -> Iterator[str]:
    if policy.metric == "mae" and _looks_binary(found):
        yield 'these look like probabilities; metric = "log_loss" in a policy judges them as such'
    if policy.rule is PromotionRule.PAIRED and "arm" in frame.columns:
        yield 'this rule does not read the column arm; did you mean rule = "split"?'


def _looks_binary(found: _Predictions) -> bool:
    """Whether the truth is 0 or 1 and the predictions are from 0 to 1, not all of them 0 or 1 themselves."""
    truth = found.truth[np.isfinite(found.truth)]
    predictions = np.concatenate([values[np.isfinite(values)] for values in found.models.values()])
    within = bool(((predictions >= 0) & (predictions <= 1)).all())
    return len(truth) > 0 and bool(np.isin(truth, [0, 1]).all()) and within and not np.isin(predictions, [0, 1]).all()


def _numeric(frame: pd.DataFrame, names: tuple[str, ...]) -> _Predictions:
    _require(frame, ("truth", *names))
    models = {name: _numbers(frame, name) for name in names}
    return _Predictions(_Problem("mae", ()), _numbers(frame, "truth"), models, ("truth", *names))


def _classified(frame: pd.DataFrame, names: tuple[str, ...]) -> _Predictions:
    classes = tuple(str(name).partition(".")[2] for name in frame.columns if str(name).startswith("champion."))
    if not classes:
        return _binary(frame, names)
    columns = {name: [f"{name}.{one}" for one in classes] for name in names}
    used = ("truth", *(column for group in columns.values() for column in group))
    _require(frame, used)
    if len(classes) < 2:
        raise ColumnsError(f"there must be at least two classes; found champion.{classes[0]} alone. Add the others.")
    categories = as_categories(frame["truth"])
    unknown = sorted(set(categories.values.dropna().unique()) - set(classes))
    if unknown:
        remedy = f"Add its columns, or correct it. {did_you_mean(unknown[0], classes)}"
        raise ColumnsError(f'every truth must be one of the classes; found "{unknown[0]}". {remedy}')
    models = {
        name: np.column_stack([_probabilities(frame, column) for column in group]) for name, group in columns.items()
    }
    for name, values in models.items():
        off = np.abs(values.sum(axis=1) - 1) > PROBABILITY_SUM
        if off.any():
            rows = f"{int(off.sum()):,} rows of {name}, first row {int(np.argmax(off)):,}"
            raise ColumnsError(f"a row's probabilities must add up to 1; found others in {rows}. Correct them.")
    return _Predictions(_Problem("log_loss", classes), categories.values.to_numpy(dtype=object), models, used)


def _binary(frame: pd.DataFrame, names: tuple[str, ...]) -> _Predictions:
    _require(frame, ("truth", *names))
    truth = _numbers(frame, "truth")
    if not np.isin(truth[np.isfinite(truth)], [0, 1]).all():
        raise ColumnsError(
            "under log_loss the truth must be 0 or 1, or there must be a column for each class; found other numbers. "
            "Name the columns champion.CLASS and challenger.CLASS."
        )
    labels = np.where(truth == 1, "1", "0").astype(object)
    labels[~np.isfinite(truth)] = None
    ones = {name: _probabilities(frame, name) for name in names}
    models = {name: np.column_stack([1 - values, values]) for name, values in ones.items()}
    return _Predictions(_Problem("log_loss", ("0", "1")), labels, models, ("truth", *names))


def _require(frame: pd.DataFrame, names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        columns = [str(name) for name in frame.columns]
        remedy = did_you_mean(missing[0], columns)
        raise ColumnsError(f"the table must have the columns {', '.join(names)}; {missing[0]} is missing. {remedy}")


def _has_anchor(frame: pd.DataFrame) -> bool:
    return any(str(column).partition(".")[0] == "anchor" for column in frame.columns)


def _of_models(frame: pd.DataFrame) -> set[Any]:
    """The columns that are a model's, whether they are read or not."""
    return {column for column in frame.columns if str(column).partition(".")[0] in MODELS}


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    numbers = as_numbers(frame[name])
    if numbers.misfit.any():
        first = frame[name].iloc[int(np.argmax(numbers.misfit))]
        rows = f"{int(numbers.misfit.sum()):,} rows"
        raise ColumnsError(f"{name} must hold numbers; found {first!r} and the like in {rows}. Correct them.")
    return numbers.floats


def _probabilities(frame: pd.DataFrame, name: str) -> Floats:
    values = _numbers(frame, name)
    wrong = np.isfinite(values) & ((values < 0) | (values > 1))
    if wrong.any():
        first = values[int(np.argmax(wrong))]
        raise ColumnsError(f"{name} must hold probabilities from 0 to 1; found {first:g}. Correct it.")
    return values


def _row_ids(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    if "row_id" not in frame.columns:
        return np.arange(len(frame), dtype=np.int64)
    missing = int(frame["row_id"].isna().sum())
    if missing:
        raise ColumnsError(f"every row must have its row_id; {missing:,} have none. Fill them, or drop the column.")
    try:
        return pd.factorize(frame["row_id"])[0].astype(np.int64)
    except TypeError:
        raise ColumnsError("a row_id must be a number or a text; lists are there. Write one value a row.") from None


def _in_b(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    if "arm" not in frame.columns:
        raise ColumnsError('this rule compares two arms; there is no column arm. Add one that holds "a" or "b".')
    arms = frame["arm"].astype(object)
    strange = ~arms.isin(ARMS)
    if strange.any():
        found = arms[strange].iloc[0]
        raise ColumnsError(
            f'arm must be "a" (the champion\'s) or "b" (the challenger\'s); found {found!r}. Correct it.'
        )
    return (arms == "b").to_numpy(dtype=bool)


def _seconds(frame: pd.DataFrame) -> tuple[Floats, Floats] | None:
    given = [name for name in SECONDS if name in frame.columns]
    if not given:
        return None
    _require(frame, SECONDS)
    seconds = _numbers(frame, SECONDS[0]), _numbers(frame, SECONDS[1])
    if any((times < 0).any() or np.isinf(times).any() for times in seconds):
        raise ColumnsError("times must be seconds of at least 0; negative or infinite ones are there. Mend them.")
    return seconds


def _segment(column: pd.Series[Any]) -> npt.NDArray[Any] | None:
    """The values of a text column that has few of them; None for any other column."""
    if not (isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype) or column.dtype == object):
        return None
    present = column.dropna()
    if not len(present) or not all(isinstance(value, str) for value in present):
        return None
    return column.to_numpy(dtype=object) if present.nunique() <= SEGMENT_VALUES else None
