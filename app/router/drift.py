"""Changing a sampled column on purpose: the drift of `drift_cols`, and the kinds that `drift` names."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from router.columns import NULL, Column, Numbers
from router.errors import bad
from router.strict_json import number_within, shown

DRIFTED_SHARE = 0.5
SMALLEST_FACTOR, LARGEST_FACTOR = 0.1, 2.0


@dataclass(frozen=True)
class Drift:
    """One kind of drift with the size of its one parameter."""

    kind: str
    size: float

    def to_dict(self) -> dict[str, object]:
        """The form it is sent and stored in."""
        return {"kind": self.kind, KINDS[self.kind].parameter: self.size}


@dataclass(frozen=True)
class Kind:
    """What a kind of drift does: (sampled column, whole column, size, generator) -> drifted column."""

    apply: Callable[[Column, Column, float, np.random.Generator], Column]
    parameter: str
    default: float
    low: float
    high: float
    texts: bool
    meaning: str


def standard(sampled: Column, whole: Column, rng: np.random.Generator) -> Column:
    """The drift of `drift_cols`.

    A number: a random half of the values, each times its own draw of U(0.1, 2.0). A category: every value a random
    choice of the column's distinct values.
    """
    if not sampled.numeric:
        return _mix(sampled, whole, 1.0, rng)
    assert sampled.numbers is not None  # noqa: S101
    chosen = _chosen(sampled, DRIFTED_SHARE, rng)
    numbers = sampled.numbers.copy()
    numbers[chosen] *= rng.uniform(SMALLEST_FACTOR, LARGEST_FACTOR, len(chosen))
    return _with_numbers(sampled, numbers)


def drifted(drift: Drift, sampled: Column, whole: Column, rng: np.random.Generator) -> Column:
    """`sampled` after `drift`; `whole` is the column of all rows: it gives the scale and the values to choose from."""
    return KINDS[drift.kind].apply(sampled, whole, drift.size, rng)


def parse(name: str, column: Column, value: object) -> Drift:
    """The drift that `value` asks for in the column `name`; refused (400) unless it fits the column."""
    if not isinstance(value, dict):
        raise bad(f"drift.{name} must be an object", shown(value), 'Send {"kind": "noise"}, for example.')
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise bad(f"drift.{name}.kind must name a kind of drift", shown(kind), f"Known: {', '.join(KINDS)}.")
    if not column.numeric and not KINDS[kind].texts:
        fitting = ", ".join(known for known, each in KINDS.items() if each.texts)
        raise bad(
            f"drift.{name}: {kind} must have a column of numbers",
            f"{name} is a category",
            f"For a category: {fitting}.",
        )
    parameter, default = KINDS[kind].parameter, KINDS[kind].default
    unknown = [key for key in value if key not in {"kind", parameter}]
    if unknown:
        raise bad(f"drift.{name} must hold known keys only", unknown[0], f"{kind} takes {parameter}.")
    return Drift(kind, _size(name, KINDS[kind], value.get(parameter, default)))


def _size(name: str, rule: Kind, value: object) -> float:
    number = number_within(value, rule.low, rule.high)
    if number is None:
        bounds = f"a number from {rule.low:g} to {rule.high:g}"
        raise bad(f"drift.{name}.{rule.parameter} must be {bounds}", shown(value), f"The default is {rule.default:g}.")
    return number


def _noise(sampled: Column, whole: Column, size: float, rng: np.random.Generator) -> Column:
    return _with_numbers(sampled, _numbers(sampled) + rng.normal(0, 1, len(sampled)) * size * whole.sd)


def _scale(sampled: Column, _whole: Column, size: float, _rng: np.random.Generator) -> Column:
    return _with_numbers(sampled, _numbers(sampled) * size)


def _shift(sampled: Column, whole: Column, size: float, _rng: np.random.Generator) -> Column:
    return _with_numbers(sampled, _numbers(sampled) + size * whole.sd)


def _mix(sampled: Column, whole: Column, size: float, rng: np.random.Generator) -> Column:
    chosen = _chosen(sampled, size, rng)
    if sampled.numbers is None:
        assert sampled.codes is not None  # noqa: S101
        codes = sampled.codes.copy()
        codes[chosen] = rng.integers(0, len(sampled.texts), len(chosen)) if sampled.texts else NULL
        return replace(sampled, codes=codes)
    numbers = sampled.numbers.copy()
    if whole.known.size:
        numbers[chosen] = rng.choice(whole.known, len(chosen))
    return _with_numbers(_without_texts(sampled, chosen), numbers)


def _nulls(sampled: Column, _whole: Column, size: float, rng: np.random.Generator) -> Column:
    chosen = _chosen(sampled, size, rng)
    emptied = _without_texts(sampled, chosen)
    if emptied.numbers is None:
        return emptied
    numbers = emptied.numbers.copy()
    numbers[chosen] = np.nan
    return _with_numbers(emptied, numbers)


def _without_texts(column: Column, chosen: npt.NDArray[np.int64]) -> Column:
    if column.codes is None:
        return column
    codes = column.codes.copy()
    codes[chosen] = NULL
    return replace(column, codes=codes)


def _with_numbers(column: Column, numbers: Numbers) -> Column:
    """The column with other numbers: fractions from now on, and null where one became infinite."""
    return replace(column, numbers=np.where(np.isfinite(numbers), numbers, np.nan), whole=False)


def _numbers(column: Column) -> Numbers:
    assert column.numbers is not None  # noqa: S101
    return column.numbers


def _chosen(column: Column, share: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Positions of a random share of the rows; the count is exact (rounded)."""
    count = round(share * len(column))
    return np.arange(count) if count == len(column) else rng.choice(len(column), count, replace=False)


KINDS = {
    "noise": Kind(_noise, "sd", 0.5, 0, 100, False, "adds normal noise; sd in standard deviations of the column"),
    "scale": Kind(_scale, "factor", 1.5, -100, 100, False, "multiplies every value by factor"),
    "shift": Kind(_shift, "by", 0.5, -100, 100, False, "adds by, in standard deviations of the column"),
    "mix": Kind(_mix, "share", 0.5, 0, 1, True, "replaces this share of values by random values of the column"),
    "nulls": Kind(_nulls, "share", 0.1, 0, 1, True, "empties this share of values"),
}
