"""The rule that says which version scores: "production", "best:METRIC" or "version:N"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gauntlet.domain.errors import Final

HIGHER_IS_BETTER: Mapping[str, Mapping[str, bool]] = {
    "regression": {"mae": False, "rmse": False, "r2": True},
    "classification": {"log_loss": False, "accuracy": True, "auc": True},
}
"""By task: the metrics that `domain.scores.metrics` gives, and whether a higher one is better."""

# Postgres counts versions as integers of 32 bits.
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class RuleKind(StrEnum):
    """What a rule goes by."""

    PRODUCTION = "production"
    BEST = "best"
    VERSION = "version"


class RuleError(Final):
    """A rule that cannot be read: what one must be, what was found, and the remedy."""

    def __init__(self, rule: str, found: str, remedy: str) -> None:
        self.rule, self.found, self.remedy = rule, found, remedy
        super().__init__(f"{rule}; found {found}. {remedy}")

    def __reduce__(self) -> tuple[type[RuleError], tuple[str, str, str]]:
        return RuleError, (self.rule, self.found, self.remedy)


@dataclass(frozen=True)
class ModelRule:
    """A rule that was read: `metric` is set for BEST, `version` for VERSION."""

    kind: RuleKind
    metric: str = ""
    version: int = 0

    @property
    def higher_is_better(self) -> bool:
        """Say whether a higher value of the metric is better."""
        return any(known.get(self.metric, False) for known in HIGHER_IS_BETTER.values())

    @classmethod
    def parse(cls, text: str, task: str | None) -> ModelRule:
        """Return the rule in a text; RuleError for any other, or a metric that the task (None: no task) has not."""
        kind, colon, rest = text.partition(":")
        if text == RuleKind.PRODUCTION:
            return cls(RuleKind.PRODUCTION)
        if kind == RuleKind.BEST and colon:
            return cls(RuleKind.BEST, metric=_metric(rest, task))
        if kind == RuleKind.VERSION and colon:
            if not _NUMBER.fullmatch(rest):
                raise RuleError(
                    "a version must be a whole number from 1",
                    f'"{rest}"',
                    'Write for example "version:3"; `gauntlet history` lists versions.',
                )
            return cls(RuleKind.VERSION, version=int(rest))
        best = _names(task)[0]
        raise RuleError(
            'must be "production", "best:METRIC" or "version:N"',
            f'"{text}"',
            f'For example "best:{best}" or "version:3".',
        )


def _names(task: str | None) -> tuple[str, ...]:
    known = HIGHER_IS_BETTER.get(task or "")
    return tuple(known) if known else tuple(name for one in HIGHER_IS_BETTER.values() for name in one)


def _metric(name: str, task: str | None) -> str:
    names = _names(task)
    if name not in names:
        kind = f"a {task}" if task in HIGHER_IS_BETTER else "a spec"
        known = ", ".join(names)
        raise RuleError(f"the metric of {kind} must be one of {known}", f'"{name}"', f'For example "best:{names[0]}".')
    return name
