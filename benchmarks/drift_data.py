"""Two samples of a table such as drift is measured on, made from a seed: numbers of several kinds, and categories."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gauntlet.domain.spec import Range, Spec, Task

LEVELS = (
    ("Fair", "Good", "Very Good", "Premium", "Ideal"),
    ("D", "E", "F", "G", "H", "I", "J"),
    ("I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"),
    ("no", "yes"),
)
KINDS = ("normal", "normal", "lognormal", "lognormal", "uniform", "rounded", "whole")
"""What the numeric columns hold, in turn."""
SHIFTS = (0.0, 0.01, 0.0, 0.1)
"""By how many standard deviations a drifted column is shifted, in turn: not, negligibly, not, and by much."""
WIDEST = 1e15


def spec(numeric: int, categorical: int) -> Spec:
    """Return the spec of such a table."""
    return Spec(
        name="synthetic", title="Synthetic", data="synthetic.csv", target="n0", task=Task.REGRESSION, metric="mae",
        candidates=("linear",),
        numeric={f"n{number}": Range(min=-WIDEST, max=WIDEST) for number in range(numeric)},
        categorical={f"c{number}": LEVELS[number % len(LEVELS)] for number in range(categorical)},
    )  # fmt: skip


def sample(rows: int, seed: int, of: Spec, *, drifted: bool) -> pd.DataFrame:
    """Return rows of the spec's columns, text as pandas' str; drifted or not."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for number, name in enumerate(of.numeric):
        shift = SHIFTS[number % len(SHIFTS)] if drifted else 0.0
        columns[name] = _numbers(KINDS[number % len(KINDS)], rows, shift, rng)
    for number, (name, levels) in enumerate(of.categorical.items()):
        weights = np.linspace(1, 2 + (SHIFTS[number % len(SHIFTS)] if drifted else 0.0), len(levels))
        codes = rng.choice(len(levels), rows, p=weights / weights.sum())
        columns[name] = pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(levels))).astype("str")
    return pd.DataFrame(columns)


def _numbers(kind: str, rows: int, shift: float, rng: np.random.Generator) -> npt.NDArray[Any]:
    if kind == "whole":
        return rng.integers(0, 5000, rows) + int(1000 * shift)
    if kind == "uniform":
        return rng.uniform(shift, 10 + shift, rows)
    normal = rng.normal(shift, 1, rows)
    if kind == "lognormal":
        return np.exp(normal)
    return (50 + 10 * normal).round(1) if kind == "rounded" else normal
