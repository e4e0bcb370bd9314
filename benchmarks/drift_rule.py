"""False alarms and power of drift rules on draws of real diamonds, 5,000 rows against 5,000 others.

    .venv/bin/python -m benchmarks.drift_rule [--draws 200]

Each draw is judged as it is (a false alarm, if any rule calls it drift) and, once for each column, with that one column
drifted by the router's own code, as `drift_cols` has it (power: a rule finds the drift, mean over columns and worst).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.diamonds import all_diamonds, diamonds_spec, fitting
from benchmarks.drift import machine
from scipy import stats
from scipy.spatial.distance import jensenshannon

from gauntlet.domain.drift import DriftPolicy, DriftProfile, DriftReport, DriftRule
from gauntlet.domain.spec import Spec

# the router is no installed package: it is found by its folder
sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "app")]

from router.columns import Column  # noqa: E402 - after the path
from router.drift import standard  # noqa: E402 - after the path

ROWS = 5000
BH, ORIGINAL = DriftPolicy(), DriftPolicy(rule=DriftRule.ORIGINAL)


@dataclass(frozen=True)
class Case:
    """Two samples with our reports of them."""

    reference: pd.DataFrame
    current: pd.DataFrame
    ours: DriftReport
    original: DriftReport
    spec: Spec


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    draws = parser.parse_args().draws
    spec = diamonds_spec()
    whole = fitting(all_diamonds(spec), spec).reset_index(drop=True)
    alarms = dict.fromkeys(RULES, 0)
    found = {name: dict.fromkeys(spec.variables, 0) for name in RULES}
    rng = np.random.default_rng(20)
    for _ in range(draws):
        for column, case in cases(whole, spec, rng):
            for name, rule in RULES.items():
                if not rule(case):
                    continue
                if column is None:
                    alarms[name] += 1
                else:
                    found[name][column] += 1
    print(machine())
    print(f"{draws} draws as they are, {draws} draws of each of {len(spec.variables)} columns drifted alone")
    print(f"{'rule':62s} {'false alarms':>14s} {'mean power':>11s} {'worst column':>21s}")
    for name in RULES:
        powers = {column: count / draws for column, count in found[name].items()}
        worst = min(powers, key=lambda column: powers[column])
        print(
            f"{name:62s} {f'{alarms[name]} of {draws}':>14s} {np.mean(list(powers.values())):11.3f} "
            f"{f'{powers[worst]:.3f} ({worst})':>21s}"
        )


def cases(whole: pd.DataFrame, spec: Spec, rng: np.random.Generator) -> Iterator[tuple[str | None, Case]]:
    """Yield a draw of two disjoint samples as it is (None), and with each column drifted."""
    rows = whole.iloc[rng.choice(len(whole), 2 * ROWS, replace=False)].reset_index(drop=True)
    reference, current = rows[:ROWS], rows[ROWS:].reset_index(drop=True)
    profile = DriftProfile.fit(reference, spec)
    for column in (None, *spec.variables):
        changed = (
            current if column is None else current.assign(**{column: drifted(current[column], whole[column], rng)})
        )
        ours, original = (profile.compare(changed, policy) for policy in (BH, ORIGINAL))
        yield column, Case(reference, changed, ours, original, spec)


def drifted(values: pd.Series[Any], whole: pd.Series[Any], rng: np.random.Generator) -> Any:
    """Return a column's values drifted by the router's code."""
    name = str(values.name)
    if pd.api.types.is_numeric_dtype(values):
        sampled, full = (Column(name, column.to_numpy(dtype=np.float64), None) for column in (values, whole))
        return standard(sampled, full, rng).numbers
    texts = tuple(sorted(set(whole)))
    sampled, full = (
        Column(name, None, pd.Categorical(column, categories=texts).codes.astype(np.int32), texts)
        for column in (values, whole)
    )
    return np.array(texts, dtype=object)[standard(sampled, full, rng).codes]


def p_values(case: Case) -> list[float]:
    """Return the p-value of each column: KS of numbers, chi-square of categories."""
    return [finding.p_value for finding in case.ours.findings if finding.p_value is not None]


def large(case: Case, distance: float, psi: float) -> bool:
    """Whether any column's effect is large, whatever its p-value."""
    least = dict.fromkeys(case.spec.numeric, distance) | dict.fromkeys(case.spec.categorical, psi)
    return any(
        finding.effect >= least[finding.column]
        for finding in case.ours.findings
        if finding.test == ("ks" if finding.column in case.spec.numeric else "psi")
    )


def half_of_the_columns(case: Case) -> bool:
    """Whether half of the columns have a normed Wasserstein or Jensen-Shannon distance >= 0.1: evidently's default."""
    far = [
        float(
            stats.wasserstein_distance(case.reference[name], case.current[name]) / max(case.reference[name].std(), 1e-3)
        )
        for name in case.spec.numeric
    ]
    for name, levels in case.spec.categorical.items():
        p, q = (frame[name].value_counts().reindex(levels, fill_value=0) for frame in (case.reference, case.current))
        far.append(float(jensenshannon(p, q)))
    return float(np.mean(np.array(far) >= 0.1)) >= 0.5


RULES: dict[str, Callable[[Case], bool]] = {
    "any p < .05 or PSI > .1 (DRIFT_RULE=original)": lambda case: case.original.drifted,
    "Bonferroni, .05": lambda case: min(p_values(case)) <= 0.05 / len(p_values(case)),
    "Benjamini-Hochberg, .05": lambda case: bool(min(stats.false_discovery_control(p_values(case))) <= 0.05),
    "D >= .1 or PSI >= .2, no test": lambda case: large(case, 0.1, 0.2),
    "half of the columns with W or JS >= .1 (evidently's default)": half_of_the_columns,
    "ours: Benjamini-Hochberg, .05, and D >= .03 or PSI >= .1": lambda case: case.ours.drifted,
}


if __name__ == "__main__":
    main()
