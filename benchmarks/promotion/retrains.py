"""A model trained anew every day by one recipe, and what each rule makes of a month of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.promotion.held_out import HeldOut, Pair
from benchmarks.promotion.trials import by_common_practice, by_rule, drawn

from gauntlet.domain.promotion import Decision
from gauntlet.domain.scores import Floats
from gauntlet.domain.verdict import Verdict

DAYS = 30
RULES: Mapping[str, Callable[[Pair], Decision]] = {
    "lower MAE on halves": by_common_practice,
    "paired rule": by_rule,
}


@dataclass(frozen=True)
class Month:
    """What one rule did in `DAYS` days.

    `harmful` promotions brought a model in whose true loss is higher than the champion's; `change` is the true loss
    of the last champion / of the first - 1.
    """

    promotions: int
    harmful: int
    change: float


def months(rows: HeldOut, models: Sequence[Floats], a_day: int, repetitions: int) -> dict[str, list[Month]]:
    """Return what each rule does in each repetition; both see the same models in the same order on the same rows."""
    found: dict[str, list[Month]] = {name: [] for name in RULES}
    for repetition in range(repetitions):
        order = np.random.default_rng((1, repetition)).permutation(len(models))[: DAYS + 1]
        for name, rule in RULES.items():
            found[name].append(_month(rows, [models[i] for i in order], a_day, rule, repetition))
    return found


def _month(
    rows: HeldOut, models: Sequence[Floats], a_day: int, rule: Callable[[Pair], Decision], repetition: int
) -> Month:
    champion, promotions, harmful = models[0], 0, 0
    for day, challenger in enumerate(models[1:]):
        pair = Pair(rows, champion, challenger)
        rng = np.random.default_rng((2, repetition, day))
        if rule(drawn(pair, a_day, rng)).verdict is Verdict.PROMOTE:
            promotions += 1
            harmful += pair.effect > 0
            champion = challenger
    return Month(promotions, harmful, Pair(rows, models[0], champion).effect)
