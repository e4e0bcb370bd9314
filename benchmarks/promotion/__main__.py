"""Does the promotion rule hold? Thousands of decisions on real diamonds whose right answer is known.

    python -m benchmarks.promotion [--quick]

Models are trained once, on rows that are never judged on; what is repeated is the drawing of rows and the decision on
them, by the product's own `compare` and `decide`. Seeds are fixed: the figures are the same on every run.
"""

import argparse
import multiprocessing
import os
import platform
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import psutil
from benchmarks.promotion.held_out import BOOSTING, FOREST, Diamonds, HeldOut, Pair, in_pairs
from benchmarks.promotion.retrains import DAYS, months
from benchmarks.promotion.trials import PAIRED, Tally, exact_interval, tally

from gauntlet.domain.scores import Floats

CORES = os.cpu_count() or 1
NAME = 26
"""Width of a table's first column."""
ROWS = 5_000
MODELS, PAIRED_MODELS, FORESTS = 40, 20, 10
"""Models of boosting, of which each simulated month takes one a day; those of them that make pairs; and forests."""


@dataclass(frozen=True)
class Runs:
    """How often each question is asked."""

    equal: dict[int, int]
    each_pair: int
    gain: int
    segment: int
    months: int


FULL = Runs(equal={1_000: 2_000, 5_000: 4_000, 20_000: 1_000}, each_pair=200, gain=1_000, segment=1_000, months=40)
QUICK = Runs(equal={5_000: 400}, each_pair=20, gain=100, segment=100, months=4)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about a tenth of the runs")
    runs = QUICK if parser.parse_args().quick else FULL
    began = time.monotonic()
    diamonds = Diamonds.load()
    rows, models = diamonds.rows(), diamonds.models(BOOSTING, MODELS)
    boosting, forest = in_pairs(rows, models[:PAIRED_MODELS]), in_pairs(rows, diamonds.models(FOREST, FORESTS))
    memory = psutil.virtual_memory().total / 2**30
    print(f"machine: {platform.machine()}, {CORES} cores, {memory:.0f} GiB, Python {platform.python_version()}")
    print(f"diamonds: {len(rows.truth):,} held-out rows; policy {PAIRED.sha256()[:12]}")
    # Spawned, not forked: boosting has started threads by now.
    with ProcessPoolExecutor(CORES, multiprocessing.get_context("spawn")) as pool:
        tables = Tables(pool, runs)
        tables.equal_models(boosting, forest)
        tables.pairs_as_they_are({"boosting": boosting, "forest": forest})
        tables.gains(boosting)
        tables.bad_segments(boosting)
    a_month(rows, models, runs.months)
    print(f"\n{time.monotonic() - began:.0f} s in all")


@dataclass(frozen=True)
class Tables:
    """One table for each question that single decisions answer."""

    pool: ProcessPoolExecutor
    runs: Runs

    def equal_models(self, boosting: Sequence[Pair], forest: Sequence[Pair]) -> None:
        """A/A: the two models' errors change sides at random, row by row."""
        self._head("Equal models: errors swapped at random, row by row")
        for rows, count in self.runs.equal.items():
            self._line(f"boosting, {rows:,} rows", boosting, count, "<= 3.5%", rows, swap=True)
        self._line(f"forest, {ROWS:,} rows", forest, self.runs.equal[ROWS], "<= 3.5%", swap=True)

    def pairs_as_they_are(self, recipes: Mapping[str, Sequence[Pair]]) -> None:
        """Models of one recipe and other seeds, from the best challenger to the worst."""
        self._head(f"One recipe, other seeds, as they are, {ROWS:,} rows", "true effect")
        for recipe, pairs in recipes.items():
            for pair in sorted(pairs, key=lambda each: each.effect):
                self._line(f"{recipe}, {pair.effect:+.2%}", [pair], self.runs.each_pair)

    def gains(self, boosting: Sequence[Pair]) -> None:
        """Power: another seed's model, its residuals rescaled."""
        self._head(f"Another seed's model, its residuals rescaled, {ROWS:,} rows", "true effect")
        for effect, goal in ((0.0, "<= 3.5%"), (-0.02, ""), (-0.05, ">= 85%"), (-0.10, "")):
            self._line(f"{effect:+.0%}", [pair.rescaled(effect) for pair in boosting], self.runs.gain, goal)

    def bad_segments(self, boosting: Sequence[Pair]) -> None:
        """The whole is better, one segment is worse."""
        self._head(f"The whole 10 % better, one clarity worse, {ROWS:,} rows")
        clarity = boosting[0].rows.segments["clarity"]
        for category, effect, goal in (("SI2", 0.15, "<= 15%"), ("IF", 0.25, "")):
            pairs = [pair.worse_in("clarity", category, effect, -0.10) for pair in boosting]
            share = np.mean(clarity == category)
            self._line(f"{category}, {share:.0%} of rows, {effect:+.0%}", pairs, self.runs.segment, goal)

    def _head(self, title: str, of: str = "") -> None:
        figures = f"{'runs':>6} {'promoted':>9} {'95 % interval':>15} {'no guardrails':>14} {'lower MAE on halves':>20}"
        print(f"\n{title}\n{of:<{NAME}} {figures} {'goal':>7}")

    def _line(
        self, name: str, pairs: Sequence[Pair], count: int, goal: str = "", rows: int = ROWS, *, swap: bool = False
    ) -> None:
        found = self._tally(pairs, rows, count, swap=swap)
        low, high = (f"{100 * end:.2f}" for end in exact_interval(found.promoted, found.runs))
        promoted, shown, common = (each / found.runs for each in (found.promoted, found.shown, found.common))
        figures = f"{found.runs:>6,} {promoted:>9.2%} {f'{low} to {high}':>15} {shown:>14.2%} {common:>20.1%}"
        print(f"{name:<{NAME}} {figures} {goal:>7}".rstrip(), flush=True)

    def _tally(self, pairs: Sequence[Pair], rows: int, count: int, *, swap: bool) -> Tally:
        """Share the runs out among the processes; who makes which changes nothing."""
        parts = [range(first, count, CORES) for first in range(CORES)]
        return sum(self.pool.map(partial(tally, pairs, rows, swap=swap), parts), Tally())


def a_month(rows: HeldOut, models: Sequence[Floats], repetitions: int) -> None:
    """Daily retrains of one recipe: what each rule promotes."""
    found = months(rows, models, ROWS, repetitions)
    print(f"\n{DAYS} daily retrains of boosting, {ROWS:,} rows a day, mean of {repetitions} months")
    print(f"{'':<{NAME}} {'promotions':>11} {'harmful':>8} {'true MAE against the start':>27} {'worst month':>12}")
    for name, results in found.items():
        promotions, harmful = np.mean([[each.promotions, each.harmful] for each in results], axis=0)
        changes = [each.change for each in results]
        print(f"{name:<{NAME}} {promotions:>11.1f} {harmful:>8.1f} {np.mean(changes):>+27.2%} {max(changes):>+12.2%}")


if __name__ == "__main__":
    main()
