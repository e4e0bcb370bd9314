"""Our drift check beside others on the same rows, in one process and one run.

    .venv/bin/python -m benchmarks.drift [--rows 1000000] [--large]

A million rows of 14 numeric and 6 categorical columns, or with --large ten million of 7 and 3. Tools take turns, so
that other work on the machine falls on all; use the ratios, since the seconds depend on the machine. What each does:
ours all of its report; the loop KS distance and p-value (scipy) and PSI from pandas' value_counts; polars_ds the KS
distance without a p-value, and PSI.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import polars_ds as pds
import psutil
from benchmarks.drift_data import sample, spec
from scipy import stats

from gauntlet.domain.drift import DriftPolicy, DriftProfile, DriftReport
from gauntlet.domain.spec import Spec

GOALS = {"scipy loop": {"fitted": 35.0, "cold": 15.0}, "polars_ds": {"fitted": 3.0}}
"""By what factor to be faster, on the million rows."""
MEMORY_GOAL = 1.5
SMALL, LARGE = (1_000_000, 14, 6), (10_000_000, 7, 3)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, help="rows of each of the two tables")
    parser.add_argument("--large", action="store_true", help="ten million rows of ten columns")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each tool")
    options = parser.parse_args()
    rows, numeric, categorical = LARGE if options.large else SMALL
    rows = options.rows or rows
    print(machine())
    print(f"{rows:,} x {numeric + categorical} against as many ({numeric} numeric, {categorical} categorical)")
    compare(rows, spec(numeric, categorical), options.rounds)
    for way in ("cold", "fitted"):
        share = in_own_process(_memory, way, rows, numeric, categorical)
        print(f"ours, {way}: memory at its peak {share:.2f} times the data (goal: at most {MEMORY_GOAL})")


def machine() -> str:
    """Return the machine in words."""
    memory = psutil.virtual_memory().total / 2**30
    return f"machine: {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def compare(rows: int, of: Spec, rounds: int) -> None:
    """Print each tool's seconds, the median over rounds in which they take turns, and the ratios."""
    reference, current = sample(rows, 1, of, drifted=False), sample(rows, 2, of, drifted=True)
    profile, policy = DriftProfile.fit(reference, of), DriftPolicy()
    categories = current.astype(dict.fromkeys(of.categorical, "category"))
    both = pl.from_pandas(pd.concat([reference.add_suffix("_a"), current.add_suffix("_b")], axis=1))
    tools: dict[str, Callable[[], Any]] = {
        "ours, fitted": lambda: profile.compare(current, policy),
        "ours, fitted, categories as pandas' category": lambda: profile.compare(categories, policy),
        "ours, cold": lambda: DriftProfile.fit(reference, of).compare(current, policy),
        "scipy loop": lambda: scipy_loop(reference, current, of),
        "polars_ds": lambda: polars_loop(both, of),
    }
    seconds = turns(tools, rounds)
    check_alike(profile.compare(current, policy), scipy_loop(reference, current, of)[0])
    for name, taken in seconds.items():
        print(f"  {name:46s} {taken:8.3f} s   {taken / seconds['ours, fitted']:6.1f} times ours, fitted")
    for tool, goals in GOALS.items():
        for way, goal in goals.items():
            ratio = seconds[tool] / seconds[f"ours, {way}"]
            told = f" (goal: {goal:g}){'' if ratio >= goal else ' - MISSED'}" if rows == SMALL[0] else ""
            print(f"ours, {way}: {ratio:.1f} times as fast as {tool}{told}")


def turns(tools: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return each tool's median seconds over rounds, in each of which every tool has its turn."""
    taken: dict[str, list[float]] = {name: [] for name in tools}
    for _ in range(rounds):
        for name, tool in tools.items():
            gc.collect()
            began = time.perf_counter()
            tool()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


def scipy_loop(reference: pd.DataFrame, current: pd.DataFrame, of: Spec) -> tuple[dict[str, Any], dict[str, float]]:
    """Test each column as people do with scipy and pandas; return the KS results and the PSIs."""
    ks = {
        name: stats.ks_2samp(reference[name], current[name], method="asymp", nan_policy="omit") for name in of.numeric
    }
    return ks, {name: psi(reference[name], current[name]) for name in of.categorical}


def psi(reference: pd.Series[Any], current: pd.Series[Any]) -> float:
    """Return the PSI of two columns of categories."""
    p, q = (column.value_counts(normalize=True) for column in (reference, current))
    p, q = (shares.clip(lower=1e-6) for shares in p.align(q, fill_value=0))
    return float(((q - p) * np.log(q / p)).sum())


def polars_loop(both: pl.DataFrame, of: Spec) -> Any:
    """Test each column with polars_ds, all in one select: it takes its own threads."""
    tests = [pds.ks_2samp(f"{name}_a", f"{name}_b").alias(name) for name in of.numeric]
    tests += [pds.psi_discrete(f"{name}_b", f"{name}_a").alias(name) for name in of.categorical]
    return both.select(tests)


def check_alike(ours: DriftReport, theirs: dict[str, Any]) -> None:
    """Fail unless our distances and p-values are scipy's."""
    for finding in ours.findings:
        if finding.test == "ks":
            assert abs(finding.statistic - theirs[finding.column].statistic) < 1e-12
            assert finding.p_value is not None
            assert abs(finding.p_value - theirs[finding.column].pvalue) < 1e-12
    print("every KS distance and p-value of ours is scipy's to within 1e-12")


def in_own_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a process of its own, with nothing else in its memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def _memory(way: str, rows: int, numeric: int, categorical: int) -> float:
    """Return the peak while we check, data included, over what the data of both samples takes."""
    of = spec(numeric, categorical)
    small = [sample(30_000, seed, of, drifted=False) for seed in (1, 2)]
    DriftProfile.fit(small[0], of).compare(small[1], DriftPolicy())  # what is loaded once is not the data's
    reference, current = (sample(rows, seed, of, drifted=seed == 2) for seed in (1, 2))
    data = sum(int(frame.memory_usage(deep=True).sum()) for frame in (reference, current))
    gc.collect()
    held = _resident()
    profile = DriftProfile.fit(reference, of) if way == "fitted" else None
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    (profile or DriftProfile.fit(reference, of)).compare(current, DriftPolicy())
    return (data + _resident("VmHWM:") - held) / data


def _resident(line: str = "VmRSS:") -> int:
    """Return this process's memory in bytes, as Linux tells it; VmHWM is its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(found.split()[1]) * 1024 for found in lines if found.startswith(line))


if __name__ == "__main__":
    main()
