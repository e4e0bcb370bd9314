"""Many decisions on rows drawn from the held-out ones, all by `compare` and `decide`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.promotion.held_out import Pair
from scipy import stats

from gauntlet.domain.comparison import compare, compare_arms
from gauntlet.domain.promotion import Decision, PromotionPolicy, PromotionRule, decide
from gauntlet.domain.verdict import Verdict

PAIRED = PromotionPolicy()
COMMON = PromotionPolicy(rule=PromotionRule.ORIGINAL)
"""The common practice: promote at the lower MAE, champion and challenger each on a half of the rows."""


@dataclass(frozen=True)
class Tally:
    """What became of some runs.

    Of `runs`, `promoted` by the rule; `shown`: a gain was shown, whatever the guardrails said, which is the rule
    without them; `common`: promoted by the common practice on the same rows.
    """

    runs: int = 0
    promoted: int = 0
    shown: int = 0
    common: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.runs + other.runs,
            self.promoted + other.promoted,
            self.shown + other.shown,
            self.common + other.common,
        )


def exact_interval(count: int, runs: int) -> tuple[float, float]:
    """Return the 95 % interval of a share by Clopper and Pearson (1934)."""
    found = stats.binomtest(count, runs).proportion_ci(0.95, method="exact")
    return float(found.low), float(found.high)


def tally(pairs: Sequence[Pair], rows: int, runs: Iterable[int], *, swap: bool = False) -> Tally:
    """Decide on `rows` drawn rows once for each of `runs`, whose numbers are the seeds, the pairs in turn.

    Rows are drawn with replacement, and each draw counts as a row of its own: the held-out rows are then the whole
    world that is drawn from, and what is true of them is the truth. With `swap` the two models' predictions change
    sides at random, row by row: neither side is better, whatever the models are.
    """
    total = Tally()
    for run in runs:
        rng = np.random.default_rng((0, rows, run))
        total += _trial(drawn(pairs[run % len(pairs)], rows, rng, swap=swap))
    return total


def drawn(pair: Pair, rows: int, rng: np.random.Generator, *, swap: bool = False) -> Pair:
    """Return a pair on rows drawn from its own."""
    chosen = rng.integers(len(pair.champion), size=rows)
    champion, challenger = pair.champion[chosen], pair.challenger[chosen]
    if swap:
        sides = rng.random(rows) < 0.5
        champion, challenger = np.where(sides, challenger, champion), np.where(sides, champion, challenger)
    return Pair(pair.rows.take(chosen), champion, challenger)


def by_rule(pair: Pair) -> Decision:
    """Decide by the product's rule: both models on every row."""
    rows = pair.rows
    comparison = compare(
        spec=rows.spec,
        truth=rows.truth,
        champion=pair.champion,
        challenger=pair.challenger,
        row_ids=np.arange(len(rows.truth)),
        trained_row_ids=np.array([], dtype=np.int64),
        segments=rows.segments,
        policy=PAIRED,
    )
    return decide(comparison, PAIRED)


def by_common_practice(pair: Pair) -> Decision:
    """Decide by the lower mean error: the champion on the first half of the rows, the challenger on the other."""
    truth, half = pair.rows.truth, len(pair.rows.truth) // 2
    comparison = compare_arms(
        spec=pair.rows.spec,
        truth_a=truth[:half],
        champion_a=pair.champion[:half],
        truth_b=truth[half:],
        challenger_b=pair.challenger[half:],
    )
    return decide(comparison, COMMON)


def _trial(pair: Pair) -> Tally:
    decision = by_rule(pair)
    assert decision.interval is not None, decision.reason
    return Tally(
        runs=1,
        promoted=int(decision.verdict is Verdict.PROMOTE),
        shown=int(decision.interval[1] < 0),
        common=int(by_common_practice(pair).verdict is Verdict.PROMOTE),
    )
