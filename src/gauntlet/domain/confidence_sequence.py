"""A confidence sequence of a relative effect: bounds that hold at every look at once, however often one looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what the ledger keeps is shown by commands that need no heavy library
    from gauntlet.domain.scores import Floats


@dataclass(frozen=True)
class WatchPolicy:
    """When production counts as worse than the version before it.

    `alpha` is the chance, over all looks together, that a bound on one side ever fails; `tuned_rows` the number of rows
    at which the bounds are tightest; below `min_rows` nothing is said, since the bounds are asymptotic; automatic
    rollbacks lie at least `cooldown_days` apart.
    """

    alpha: float = 0.025
    tuned_rows: int = 5000
    min_rows: int = 1000
    cooldown_days: int = 7


@dataclass(frozen=True)
class PairedSums:
    """What the sequence needs of two models' losses on the same rows.

    Means, and sums of squares and products about the means (`square_previous` = sum((a - mean a)^2), `product` =
    sum((a - mean a)(b - mean b))), where a is a row's loss of the version before and b that of production.
    """

    rows: int
    mean_previous: float
    mean_production: float
    square_previous: float
    square_production: float
    product: float

    @classmethod
    def of(cls, previous: Floats, production: Floats) -> PairedSums:
        """Return the sums of losses, both of shape (rows,) with at least one row."""
        mean_a, mean_b = float(previous.mean()), float(production.mean())
        a, b = previous - mean_a, production - mean_b
        return cls(len(a), mean_a, mean_b, float(a @ a), float(b @ b), float(a @ b))


@dataclass(frozen=True)
class Bounds:
    """The effect r = mean loss of production / mean loss of the version before - 1, and its bounds at these rows.

    Above 0 production is worse. The lower bound fails at any look at all with a chance of alpha, and so does the upper.
    """

    rows: int
    effect: float
    lower: float
    upper: float


def bounds(sums: PairedSums, policy: WatchPolicy) -> Bounds | None:
    """Return effect and bounds; None with fewer than the policy's rows, or where the version before makes no error.

    r -+ s * sqrt(2 (n rho^2 + 1) / (n rho)^2 * log(1 + sqrt(n rho^2 + 1) / (2 alpha))): the one-sided asymptotic
    confidence sequence by Robbins' normal mixture, of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
    central limit theory and asymptotic confidence sequences" (arXiv 2103.06476, 2021). s is the spread of one row's
    share in r by the delta method, sd(b - (1 + r) a) / mean a, as in `comparison`.
    """
    if sums.rows < max(policy.min_rows, 2) or not sums.mean_previous:
        return None
    effect = sums.mean_production / sums.mean_previous - 1
    margin = _spread(sums, 1 + effect) * _margin(sums.rows, policy)
    return Bounds(sums.rows, effect, effect - margin, effect + margin)


def _spread(sums: PairedSums, ratio: float) -> float:
    squares = sums.square_production - 2 * ratio * sums.product + ratio**2 * sums.square_previous
    return math.sqrt(max(squares, 0.0) / (sums.rows - 1)) / sums.mean_previous  # rounding may fall below 0


def _margin(rows: int, policy: WatchPolicy) -> float:
    """Return the half width for a spread of 1."""
    rho2 = _rho2(policy)
    scaled = rows * rho2 + 1
    return math.sqrt(2 * scaled / (rows**2 * rho2) * math.log1p(math.sqrt(scaled) / (2 * policy.alpha)))


def _rho2(policy: WatchPolicy) -> float:
    """Return the square of the mixture's scale that makes the bounds tightest at `tuned_rows`.

    With x = n rho^2 and both sides at 2 alpha, the width is least where x = log(1 + x) - 2 log(2 alpha); one step of
    that from x = -2 log(2 alpha) is close enough, as in the paper's section on tuning.
    """
    start = -2 * math.log(2 * policy.alpha)
    return (start + math.log1p(start)) / policy.tuned_rows
