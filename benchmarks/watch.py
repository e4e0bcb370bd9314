"""Watch production for 14 days, many times over: how often equal models are rolled back, and when worse ones are found.

    .venv/bin/python -m benchmarks.watch

Real diamonds, two models of one recipe trained on other rows with other seeds. Equal: the two losses of a row are
swapped at random, which makes the models exactly equal. Worse: the same, and production's loss times 1.02, 1.05 or 1.1.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from benchmarks.diamonds import all_diamonds, diamonds_spec, fitting

from gauntlet.domain.confidence_sequence import PairedSums, WatchPolicy, bounds
from gauntlet.domain.recipes import pipeline
from gauntlet.domain.scores import Floats, losses
from gauntlet.domain.training import predict

DAYS, ROWS_A_DAY = 14, 1000
TRAINING_ROWS = 5000
RECIPE = "hist_gradient_boosting"
REPEATS = 2000


@dataclass(frozen=True)
class Result:
    """What came of many watches: the share that ended in a rollback, and the mean day of it."""

    share: float
    day: float


def main() -> None:
    """Print the table."""
    began = time.monotonic()
    previous, production = paired_losses()
    print(f"{len(previous):,} diamonds, {RECIPE}; {DAYS} days of {ROWS_A_DAY:,} rows, {REPEATS:,} watches a cell\n")
    print("| production is | looks | rolled back | mean day of it |\n|---|---|---|---|")
    for worse in (0.0, 0.02, 0.05, 0.10):
        for name, looks in (("daily", DAYS), ("hourly", DAYS * 24)):
            result = watch(previous, production, worse, looks, np.random.default_rng(20))
            day = f"{result.day:.1f}" if result.share else "-"
            print(f"| {f'{worse:.0%} worse' if worse else 'equal'} | {name} | {result.share:.1%} | {day} |", flush=True)
    print(f"\n{time.monotonic() - began:.0f} s")


def paired_losses() -> tuple[Floats, Floats]:
    """The losses, shape (rows,), of two models of one recipe on the same rows, which neither was trained on."""
    spec = diamonds_spec()
    rows = fitting(all_diamonds(spec).sample(frac=1, random_state=1), spec)
    fresh = rows.iloc[2 * TRAINING_ROWS :]
    found = []
    for number in range(2):
        own = spec.model_copy(update={"seed": spec.seed + number})
        trained_on = rows.iloc[number * TRAINING_ROWS : (number + 1) * TRAINING_ROWS]
        model = pipeline(RECIPE, own).fit(trained_on[list(spec.features)], trained_on[spec.target])
        found.append(losses(fresh[spec.target], predict(model, fresh, spec), spec))
    return found[0], found[1]


def watch(previous: Floats, production: Floats, worse: float, looks: int, rng: np.random.Generator) -> Result:
    """Watch `REPEATS` times with so many looks, production's losses being those of an equal model times 1 + `worse`."""
    days = []
    for _ in range(REPEATS):
        rows = rng.permutation(len(previous))[: DAYS * ROWS_A_DAY]
        swapped = rng.random(len(rows)) < 0.5
        a = np.where(swapped, production[rows], previous[rows])
        b = np.where(swapped, previous[rows], production[rows]) * (1 + worse)
        days.append(first_alarm(a, b, looks))
    alarms = [day for day in days if day is not None]
    return Result(len(alarms) / len(days), float(np.mean(alarms)) if alarms else 0.0)


def first_alarm(a: Floats, b: Floats, looks: int) -> float | None:
    """The day of the first look whose lower bound is above 0."""
    for day, sums in cumulated(a, b, looks):
        found = bounds(sums, WatchPolicy())
        if found is not None and found.lower > 0:
            return day
    return None


def cumulated(a: Floats, b: Floats, looks: int) -> Iterator[tuple[float, PairedSums]]:
    """Each look's day and sums, without going over all rows again at every look."""
    n = np.linspace(0, len(a), looks + 1).round().astype(int)[1:]
    a0, b0 = a.mean(), b.mean()  # sums of squares are taken about a value near the mean, so that little cancels
    x, y = a - a0, b - b0
    sums = np.stack([np.cumsum(values)[n - 1] for values in (x, y, x * x, y * y, x * y)])
    sx, sy, sxx, syy, sxy = sums
    table = (a0 + sx / n, b0 + sy / n, sxx - sx * sx / n, syy - sy * sy / n, sxy - sx * sy / n)
    for look, values in enumerate(zip(*table, strict=True)):
        yield (look + 1) * DAYS / looks, PairedSums(int(n[look]), *(float(value) for value in values))


if __name__ == "__main__":
    main()
